import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { hasChromium, launchChromium, openPage, type WatchedPage } from '../../support/chromium.ts';
import { startCold } from '../../support/start-cold.ts';
import { type OidcProvider, startOidcProvider } from './oidc-provider.ts';
import { endAll, type RunningProcess, startProcess } from './running-process.ts';

const AXE = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
/** `SCREENSHOTS=docs/images` writes the pictures of the documentation again. */
const { SCREENSHOTS } = process.env;
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: 'dark' as const };

const running: RunningProcess[] = [];
let simulator: Simulator;
let issuer: TokenIssuer;

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

async function startService(more: Record<string, string> = {}): Promise<string> {
  const service = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    CONSOLE: 'on',
    ...more,
  });
  running.push(service);
  const [, port] = await service.printed(/"port":(\d+).*"msg":"listening"/);
  return `http://127.0.0.1:${port}`;
}

it('there is no console unless it is turned on', async () => {
  const url = await startService({ CONSOLE: 'off' });
  for (const path of ['/console', '/console/console.js', '/console/oauth4webapi.js'])
    expect((await fetch(url + path)).status).toBe(404);
});

it('the page has a policy with a nonce of its own, and no data', async () => {
  const url = await startService();
  const [one, two] = await Promise.all([fetch(`${url}/console`), fetch(`${url}/console`)]);
  const policy = one.headers.get('content-security-policy') ?? '';
  const [, nonce = ''] = /script-src 'nonce-([\w+/]{24})'/.exec(policy) ?? [];
  expect(policy).toBe(
    `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  );
  expect(two.headers.get('content-security-policy')).not.toBe(policy);
  expect(one.headers.get('cache-control')).toBe('no-store');
  const text = await one.text();
  expect(text.match(/nonce="[^"]*"/g)).toEqual([`nonce="${nonce}"`, `nonce="${nonce}"`]);
  expect(text).not.toContain('media-web-06');
  expect(text).not.toContain('id="login"');
});

describe.skipIf(!hasChromium())('in a browser', () => {
  let browser: Browser;
  let watched: WatchedPage;
  beforeAll(async () => {
    browser = await launchChromium();
  });
  afterEach(() => watched?.page.close());
  afterAll(() => browser.close());

  async function open(url: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<Page> {
    watched = await openPage(browser, { locale: 'en-GB', ...options });
    await watched.page.goto(`${url}/console`);
    return watched.page;
  }

  async function signIn(page: Page, token: string): Promise<void> {
    await page.getByLabel('Token').fill(token);
    await page.getByRole('button', { name: 'Show the list' }).click();
  }

  const readToken = () => issuer.sign();
  const refreshToken = () => issuer.sign({ scope: 'imagecaches:read imagecaches:refresh' });
  const rowCount = (page: Page) => page.locator('tbody tr').count();

  /** What axe finds, by rule and place. */
  async function breaches(page: Page): Promise<string[]> {
    await page.evaluate(await readFile(AXE, 'utf8'));
    return page.evaluate(async () => {
      const { violations } = await (
        globalThis as unknown as {
          axe: { run: () => Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> };
        }
      ).axe.run();
      return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 120)}`));
    });
  }

  async function photograph(page: Page, name: string): Promise<void> {
    if (SCREENSHOTS !== undefined) await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  }

  it('shows the list, its totals and how fresh it is, and finds names', async () => {
    const page = await open(await startService(), { viewport: { width: 1200, height: 800 } });
    await signIn(page, await readToken());
    await page.getByText('50 of 50').waitFor();
    expect(await rowCount(page)).toBe(50);
    expect(await page.locator('#total-count').textContent()).toBe('50');
    expect(await page.locator('#total-size').textContent()).toMatch(/^[\d,]+ GiB$/);
    expect(await page.locator('#freshness').textContent()).toMatch(/^Loaded .* \(fresh\)\.$/);
    expect(await page.locator('.chart li').count()).toBe(5);
    const time = page.locator('tbody time').first();
    expect(await time.getAttribute('datetime')).toMatch(/^\d{4}-.*Z$/);
    expect(await time.getAttribute('title')).toMatch(/\d{4}/);
    await photograph(page, 'console');

    await page.getByLabel('Search by name').fill('WORKER');
    const shown = await rowCount(page);
    expect(shown).toBeGreaterThan(0);
    expect(shown).toBeLessThan(50);
    await page.getByLabel('Search by name').fill('nobody has this');
    await page.getByText('No name contains “nobody has this”.').waitFor();
    expect(await page.locator('table').isVisible()).toBe(false);

    expect(await breaches(page)).toEqual([]);
    expect(watched.complaints).toEqual([]);
    expect([...watched.hosts]).toEqual([new URL(page.url()).host]);
  });

  it('offers a refresh to those who may, and shows what came', async () => {
    const page = await open(await startService());
    await signIn(page, await readToken());
    await page.getByText('50 of 50').waitFor();
    expect(await page.getByRole('button', { name: 'Refresh from the cloud' }).isVisible()).toBe(false);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('this page has forgotten the token').waitFor();
    expect(await rowCount(page)).toBe(0);

    await signIn(page, await refreshToken());
    await page.getByText('50 of 50').waitFor();
    simulator.setImageCaches([]);
    // The service heeds it once a second: asked until it does.
    const empty = page.getByText('There are no image caches in this project yet.');
    while (!(await empty.isVisible())) {
      await page.getByRole('button', { name: 'Refresh from the cloud' }).click();
      await page.locator('main:not([aria-busy])').waitFor();
    }
    expect(await page.locator('#overview').isVisible()).toBe(false);
    expect(await breaches(page)).toEqual([]);
    expect(watched.complaints).toEqual([]);
  });

  it('says what is wrong, and keeps asking for a token where that is it', async () => {
    const url = await startCold(simulator, async () => {
      const started = await startService();
      while ((await fetch(`${started}/readyz`)).status !== 200);
      return started;
    });
    const page = await open(url);
    const says = async (text: string | RegExp) => {
      await page.locator('#message.bad', { hasText: text }).waitFor();
      expect(await breaches(page)).toEqual([]);
    };
    await signIn(page, '');
    await says('Paste a token first.');
    await signIn(page, 'x.y.z');
    await says(/The token is not accepted.*\(request [\w-]+\)/);
    expect(await page.evaluate('document.activeElement?.id')).toBe('token');
    await signIn(page, await issuer.sign({ scope: 'other' }));
    await says('This token may not read the list.');
    simulator.script({ answer: { kind: 'respond', status: 500 }, times: 'always' });
    await signIn(page, await readToken());
    await says('The cloud gives no usable answer');
    await endAll(running);
    await signIn(page, await readToken());
    await says('The service cannot be reached.');
  });

  it('works on a phone, in the dark, and by keyboard alone', async () => {
    const page = await open(await startService(), PHONE);
    expect(await breaches(page)).toEqual([]);
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement?.id')).toBe('token');
    await page.keyboard.insertText(await readToken());
    await page.keyboard.press('Enter');
    await page.getByText('50 of 50').waitFor();
    const width = await page.evaluate('document.documentElement.scrollWidth');
    expect(width).toBeLessThanOrEqual(PHONE.viewport.width);
    expect(await breaches(page)).toEqual([]);
    await photograph(page, 'console-phone');
    // From the top to the search by keyboard.
    const visited: string[] = [];
    for (let presses = 0; presses < 8 && visited.at(-1) !== 'search'; presses += 1) {
      await page.keyboard.press('Tab');
      visited.push(String(await page.evaluate('document.activeElement?.id')));
    }
    expect(visited.at(-1)).toBe('search');
    expect(watched.complaints).toEqual([]);
  });

  it('keeps the token nowhere: a reload forgets it', async () => {
    const page = await open(await startService());
    const token = await readToken();
    await signIn(page, token);
    await page.getByText('50 of 50').waitFor();
    const stored = await page.evaluate(
      'JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, document.documentElement.outerHTML])',
    );
    expect(stored).not.toContain(token.split('.')[2]);
    await page.reload();
    expect(await page.getByLabel('Token').isVisible()).toBe(true);
    expect(await page.locator('#lists').isVisible()).toBe(false);
  });

  describe('with OpenID Connect', () => {
    let provider: OidcProvider;
    beforeAll(async () => {
      provider = await startOidcProvider();
    });
    afterAll(() => provider.stop());

    it('signs in with a code and PKCE, and leaves nothing behind', async () => {
      const url = await startService({ AUTH_ISSUER: provider.issuer, CONSOLE_OIDC_CLIENT_ID: 'console' });
      const page = await open(url);
      await page.getByRole('button', { name: /^Sign in at 127/ }).click();
      await page.getByText('50 of 50').waitFor();
      const [asked] = provider.asked as [URLSearchParams];
      expect(Object.fromEntries(asked)).toMatchObject({
        client_id: 'console',
        redirect_uri: `${url}/console`,
        response_type: 'code',
        code_challenge_method: 'S256',
        audience: 'imagecaches',
        scope: 'openid imagecaches:read imagecaches:refresh',
      });
      expect(page.url()).toBe(`${url}/console`);
      expect(await page.evaluate('sessionStorage.length + localStorage.length')).toBe(0);
      expect(await page.getByRole('button', { name: 'Refresh from the cloud' }).isVisible()).toBe(true);
      expect(watched.complaints).toEqual([]);
    });

    it('takes no code that it did not ask for', async () => {
      const url = await startService({ AUTH_ISSUER: provider.issuer, CONSOLE_OIDC_CLIENT_ID: 'console' });
      const page = await open(url);
      await page.goto(`${url}/console?code=forged&state=forged`);
      await page.waitForURL(`${url}/console`);
      expect(await page.getByLabel('Token').isVisible()).toBe(true);
      await page.evaluate(() =>
        sessionStorage.setItem(
          'imagecaches-bff login',
          JSON.stringify({ verifier: 'v'.repeat(43), state: 'mine' }),
        ),
      );
      await page.goto(`${url}/console?code=forged&state=forged`);
      await page.getByText('Signing in failed.').waitFor();
    });
  });
});
