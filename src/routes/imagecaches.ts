import type { Authenticator } from '../auth/authenticate.ts';
import { authorise, type Principal } from '../auth/scopes.ts';
import { cacheKeyFor } from '../cache/cache-key.ts';
import type { CacheAnswer, CachedResponse, LoadedBody, ResponseCache } from '../cache/response-cache.ts';
import type { Dependencies } from '../deps.ts';
import { parseImageCachesQuery } from '../query/imagecaches-query.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { parseImageCaches } from '../upstream/parse.ts';
import { sanitiseImageCaches, serialiseImageCaches } from '../upstream/sanitise.ts';
import { matchesEtag } from './conditional.ts';
import type { RequestScope, ScopedHandler } from './request-scope.ts';

export interface ImageCachesServices {
  readonly authenticator: Authenticator;
  readonly cache: ResponseCache;
  readonly upstream: UpstreamClient;
}

/**
 * The pipeline of `GET /imagecaches`, in its only place: authenticate, authorise, validate the query, look
 * in the cache, on a miss sign, fetch, parse, sanitise and store, then respond.
 *
 * A hit for a token seen lately passes through without a promise, which is why the steps are chained with
 * `whenReady` and not with `await`.
 */
export function imageCachesHandler(
  { authenticator, cache, upstream }: ImageCachesServices,
  deps: Pick<Dependencies, 'now' | 'logger'>,
): ScopedHandler {
  return (c, scope) => {
    const { headers, url } = c.req.raw;

    const answerTo = (principal: Principal): Response | Promise<Response> => {
      scope.subject = principal.subject;
      scope.issuer = principal.issuer;
      authorise(principal);
      const { name } = parseImageCachesQuery(url);
      const answer = cache.read(cacheKeyFor({ name }), () => loadImageCaches(name, upstream, deps.logger));
      return whenReady(answer, (found) => respond(found, headers.get('if-none-match'), scope, deps.now()));
    };

    return whenReady(authenticator.authenticate(headers.get('authorization')), answerTo);
  };
}

/** The miss: one signed call upstream, and what may be shown of its answer. */
async function loadImageCaches(
  name: string | undefined,
  upstream: UpstreamClient,
  logger: Dependencies['logger'],
): Promise<LoadedBody> {
  const entries = await upstream.get(
    '/v5/imagecaches',
    name === undefined ? [] : [['name', name]],
    parseImageCaches,
  );
  const { imageCaches, dropped } = sanitiseImageCaches(entries);
  if (dropped.length > 0) {
    // Indices and members only: a value could be anything.
    logger.warn(
      { dropped: dropped.length, first: dropped.slice(0, 20) },
      'entries that break the model were dropped',
    );
  }
  return { body: serialiseImageCaches(imageCaches), isEmpty: imageCaches.length === 0 };
}

function respond(
  { response, verdict }: CacheAnswer,
  ifNoneMatch: string | null,
  scope: RequestScope,
  nowMs: number,
): Response {
  scope.cache = verdict.collapsed ? 'collapsed' : verdict.kind;
  const secondsLeft = Math.max(0, Math.floor((response.freshUntilMs - nowMs) / 1000));
  const headers: Record<string, string> = {
    etag: response.etag,
    age: String(Math.max(0, Math.floor((nowMs - response.storedAtMs) / 1000))),
    'cache-control': `private, max-age=${secondsLeft}`,
    'cache-status': cacheStatus(verdict, secondsLeft),
    vary: 'Authorization',
    'x-content-type-options': 'nosniff',
    'x-request-id': scope.requestId,
  };
  if (matchesEtag(ifNoneMatch, response.etag)) return new Response(null, { status: 304, headers });
  return fullResponse(response, headers);
}

function fullResponse(response: CachedResponse, headers: Record<string, string>): Response {
  headers['content-type'] = 'application/json';
  // Set here, so that HEAD, which has no body to count, says the same as GET.
  headers['content-length'] = String(response.body.byteLength);
  return new Response(response.body, { status: 200, headers });
}

/** RFC 9211: one member for this cache, with how it answered. */
function cacheStatus(verdict: CacheAnswer['verdict'], secondsLeft: number): string {
  if (verdict.kind === 'hit') return `imagecaches; hit; ttl=${secondsLeft}`;
  return `imagecaches; fwd=miss${verdict.stored ? '; stored' : ''}${verdict.collapsed ? '; collapsed' : ''}`;
}

/** Goes on at once with a value that is there, later with one that is promised. */
function whenReady<Value, Next>(
  value: Value | Promise<Value>,
  next: (value: Value) => Next | Promise<Next>,
): Next | Promise<Next> {
  return value instanceof Promise ? value.then(next) : next(value);
}
