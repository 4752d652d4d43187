import { Hono } from 'hono';
import { html } from 'hono/html';
import type { Config } from '../../config/config.ts';
import { answer } from '../../http/answer.ts';
import type { AppEnv } from '../../http/env.ts';

const NONCE_BYTES = 18;

/**
 * `GET /console`: one page for operators. It holds no data: its script asks for the list with the token that the
 * operator brings, and keeps that in memory only.
 */
export function consolePage({ console: options, refreshScope, issuers }: Config): Hono<AppEnv> {
  const login = options?.login;
  const scopeClaims = [...new Set(issuers.flatMap((issuer) => issuer.scopeClaims))].join(',');
  // The one place outside of this service that the page may speak to.
  const connect = login === undefined ? "'self'" : `'self' ${new URL(login.issuer).origin}`;
  return new Hono<AppEnv>().get('/console', async () => {
    const nonce = btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(NONCE_BYTES))));
    const page = await html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Image caches</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/console/console.css" nonce="${nonce}">
<script type="module" src="/console/console.js" nonce="${nonce}"></script>
</head>
<body>
<header>
<h1>Image caches</h1>
<button id="sign-out" type="button" hidden>Sign out</button>
</header>
<main data-refresh-scope="${refreshScope}" data-scope-claims="${scopeClaims}" data-issuer="${login?.issuer ?? ''}" data-client-id="${login?.clientId ?? ''}" data-audience="${login?.audience ?? ''}" data-scope="${login?.scope ?? ''}">
<p id="message" role="status" hidden></p>
<noscript><p>This page needs JavaScript.</p></noscript>
<form id="sign-in" class="sign-in">
<h2>Sign in</h2>
<label for="token">Token</label>
<input id="token" type="password" autocomplete="off" spellcheck="false" aria-describedby="token-hint">
<p id="token-hint" class="faint">A token of your identity provider, for this service. It stays in the memory of this page, and is gone when you leave it.</p>
<div class="row">
<button class="main" type="submit">Show the list</button>
${login === undefined ? '' : html`<button id="login" type="button">Sign in at ${new URL(login.issuer).host}</button>`}
</div>
</form>
<div id="lists" hidden>
<section aria-labelledby="overview-title">
<h2 id="overview-title">Overview</h2>
<p class="faint"><span id="freshness"></span></p>
<div id="overview">
<dl class="totals">
<div><dt>image caches</dt><dd id="total-count"></dd></div>
<div><dt>available</dt><dd id="total-available"></dd></div>
<div><dt>storage</dt><dd id="total-size"></dd></div>
</dl>
<h3 id="chart-title" class="faint">Storage by status</h3>
<ul class="chart" aria-labelledby="chart-title"></ul>
</div>
<div class="row">
<button id="reload" type="button">Reload</button>
<button id="refresh" type="button" hidden>Refresh from the cloud</button>
</div>
</section>
<section aria-labelledby="list-title">
<h2 id="list-title">List</h2>
<label for="search">Search by name</label>
<input id="search" type="search" autocomplete="off" spellcheck="false">
<p id="found" class="faint" role="status"></p>
<table aria-labelledby="list-title">
<thead><tr><th scope="col">Name</th><th scope="col">Status</th><th scope="col">Size</th><th scope="col">Images</th><th scope="col">Created</th><th scope="col">Expires</th></tr></thead>
<tbody></tbody>
</table>
</section>
</div>
</main>
</body>
</html>
`;
    return answer(200, String(page), {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'content-security-policy': `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; img-src data:; connect-src ${connect}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      'cross-origin-opener-policy': 'same-origin',
    });
  });
}
