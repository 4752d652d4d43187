import type { AuthenticateCaller } from '../auth/authenticate-caller.ts';
import type { Principal } from '../auth/principal.ts';
import { cacheKeyFor, nameOfKey, UNFILTERED_KEY } from '../cache/cache-key.ts';
import type { CachedResponse, LoadedBody } from '../cache/cached-response.ts';
import type { EncodedBodies, Representation } from '../cache/encoded-bodies.ts';
import type { CacheAnswer, ResponseCache } from '../cache/response-cache.ts';
import type { Config } from '../config/config.ts';
import { preferredCoding } from '../http/accept-encoding.ts';
import { matchesEtag } from '../http/etag.ts';
import type { ScopedHandler } from '../http/request-scope.ts';
import type { Answer, RouteRequest } from '../http/route.ts';
import { SECURITY_HEADERS } from '../http/security-headers.ts';
import type { CacheOutcome } from '../observability/metrics.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { whenReady } from '../platform/when-ready.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import type { ImageCache } from './model.ts';
import { parseImageCaches } from './parse.ts';
import { parseImageCachesQuery } from './query.ts';
import { sanitiseImageCaches } from './sanitise.ts';
import { serialiseImageCaches } from './serialise.ts';

/** Of a list full of broken entries so many are named in the log. */
const MAX_LOGGED_DROPS = 20;

/**
 * The pipeline of `GET /imagecaches`, in its only place: authenticate, authorise, limit (see
 * createAuthenticateCaller), validate the query, look in the cache, which on a miss loads (see
 * imageCachesLoader), then respond.
 *
 * A hit for a token seen lately passes through without a promise, which is why the steps are chained with
 * `whenReady` and not with `await`.
 */
export function imageCachesHandler(
  authenticate: AuthenticateCaller,
  cache: ResponseCache,
  encodedBodies: EncodedBodies | undefined,
  config: Pick<Config, 'refreshScope'>,
  deps: Pick<TargetPlatform, 'now' | 'metrics'>,
): ScopedHandler {
  const vary = encodedBodies === undefined ? 'Authorization' : 'Authorization, Accept-Encoding';

  function represent(
    { headers }: RouteRequest,
    response: CachedResponse,
  ): Representation | Promise<Representation> {
    const coding = encodedBodies && preferredCoding(headers.get('accept-encoding'));
    return coding === undefined ? response : (encodedBodies as EncodedBodies).get(response, coding);
  }

  return (request, scope) => {
    const answerTo = (principal: Principal): Answer | Promise<Answer> => {
      const { name } = parseImageCachesQuery(request.target);
      scope.name = name;
      const isForced = asksForRefresh(request.headers) && principal.scopes.includes(config.refreshScope);
      const read = cache.read(cacheKeyFor({ name }), { forceRefresh: isForced });
      return whenReady(read, (answer) => {
        const nowMs = deps.now();
        deps.metrics.cacheAnswered(answer.outcome, nowMs - answer.response.storedAtMs);
        scope.cache = answer.outcome;
        return whenReady(represent(request, answer.response), (representation) => {
          const headers = headersOf(representation, answer, { isForced, vary, nowMs });
          return respond(request, representation, headers, scope.requestId);
        });
      });
    };

    return whenReady(authenticate(request, scope), answerTo);
  };
}

/** The miss, in its only place: one signed call upstream, parsed, sanitised, as the bytes to be stored. */
export function imageCachesLoader(
  upstream: UpstreamClient,
  deps: Pick<TargetPlatform, 'logger' | 'metrics'>,
): (key: string) => Promise<LoadedBody> {
  return async (key) => {
    const name = nameOfKey(key);
    const query = name === undefined ? [] : ([['name', name]] as const);
    const entries = await upstream.get('/v5/imagecaches', query, parseImageCaches);
    const { imageCaches, dropped } = sanitiseImageCaches(entries);
    if (dropped.length > 0) {
      deps.metrics.entriesDropped(dropped.length);
      // Indices and members only: a value could be anything.
      const fields = { dropped: dropped.length, first: dropped.slice(0, MAX_LOGGED_DROPS) };
      deps.logger.warn(fields, 'entries that break the model were dropped');
    }
    return toLoadedBody(key, imageCaches);
  };
}

/**
 * The bytes of a list that an instance has shared, as its load gave them. They come from a store that others can write
 * to, so they are taken through the same steps as upstream's, and have to come out unchanged.
 *
 * @returns undefined when no load of this key gives these bytes
 */
export function reviveImageCaches(key: string, body: Uint8Array<ArrayBuffer>): LoadedBody | undefined {
  let entries: unknown[];
  try {
    entries = parseImageCaches(body);
  } catch {
    return undefined;
  }
  const { imageCaches } = sanitiseImageCaches(entries);
  const name = nameOfKey(key);
  if (name !== undefined && imageCaches.some((imageCache) => imageCache.name !== name)) return undefined;
  const revived = toLoadedBody(key, imageCaches);
  return hasEqualBytes(revived.body, body) ? revived : undefined;
}

function toLoadedBody(key: string, imageCaches: readonly ImageCache[]): LoadedBody {
  const { body, select, empty } = serialiseImageCaches(imageCaches);
  const isEmpty = imageCaches.length === 0;
  return key === UNFILTERED_KEY ? { body, isEmpty, filter: { select, empty } } : { body, isEmpty };
}

function hasEqualBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}

/** `no-cache` of a request (RFC 9111, section 5.2.1.4). Looked for only where the header is, for speed. */
function asksForRefresh(headers: RouteRequest['headers']): boolean {
  const cacheControl = headers.get('cache-control');
  return cacheControl !== null && /(?:^|,)\s*no-cache\s*(?:,|$)/i.test(cacheControl);
}

function respond(
  request: RouteRequest,
  { body, etag }: Representation,
  { always, full }: ListHeaders,
  requestId: string,
): Answer {
  if (matchesEtag(request.headers.get('if-none-match'), etag))
    return { status: 304, headers: always, requestId, body: null };
  return { status: 200, headers: full, requestId, body };
}

interface ListHeaders {
  /** Those of every answer. */
  readonly always: Readonly<Record<string, string>>;
  /** The same, and those of an answer with a body. */
  readonly full: Readonly<Record<string, string>>;
}

interface HeaderMemo {
  readonly outcome: CacheOutcome;
  readonly ttlSeconds: number;
  readonly ageSeconds: number;
  readonly headers: ListHeaders;
}

/** The headers of the last hit of each representation: they change once a second, or twice. */
const hitHeaders = new WeakMap<Representation, HeaderMemo>();

interface HeaderOptions {
  readonly isForced: boolean;
  readonly vary: string;
  readonly nowMs: number;
}

/** All headers that do not depend on the request. */
function headersOf(
  representation: Representation,
  answer: CacheAnswer,
  { isForced, vary, nowMs }: HeaderOptions,
): ListHeaders {
  const { response, outcome } = answer;
  // Negative once it is stale, as RFC 9211 has it.
  const ttlSeconds = Math.floor((response.freshUntilMs - nowMs) / 1000);
  const ageSeconds = Math.max(0, Math.floor((nowMs - response.storedAtMs) / 1000));
  const make = () =>
    makeHeaders(representation, vary, ageSeconds, ttlSeconds, cacheStatus(answer, ttlSeconds, isForced));
  // All that is served at once, stale lists too: in an outage every answer is one.
  if (answer.forwarded !== undefined || answer.stored) return make();
  const memo = hitHeaders.get(representation);
  if (memo?.outcome === outcome && memo.ttlSeconds === ttlSeconds && memo.ageSeconds === ageSeconds)
    return memo.headers;
  const headers = make();
  hitHeaders.set(representation, { outcome, ttlSeconds, ageSeconds, headers });
  return headers;
}

function makeHeaders(
  { body, etag, coding }: Representation,
  vary: string,
  ageSeconds: number,
  ttlSeconds: number,
  status: string,
): ListHeaders {
  const always = {
    etag,
    age: String(ageSeconds),
    'cache-control': `private, max-age=${Math.max(0, ttlSeconds)}`,
    'cache-status': status,
    vary,
    ...SECURITY_HEADERS,
  };
  const full = {
    ...always,
    'content-type': 'application/json',
    // Servers count the body of a GET by themselves; that of HEAD is gone when they look.
    'content-length': String(body.byteLength),
    ...(coding && { 'content-encoding': coding }),
  };
  return { always, full };
}

/** What the outcomes that RFC 9211 has no word for are called in its parameter `detail`. */
const OUTCOME_DETAILS: Readonly<Partial<Record<CacheOutcome, string>>> = {
  derived: 'derived',
  shared: 'shared',
  stale: 'stale-while-revalidate',
  stale_error: 'stale-if-error',
};

/** RFC 9211: one member for this cache, with how it answered. */
function cacheStatus(answer: CacheAnswer, ttlSeconds: number, forced: boolean): string {
  const { outcome, forwarded, stored } = answer;
  if (outcome === 'hit') return `imagecaches; hit; ttl=${ttlSeconds}`;
  const detail = OUTCOME_DETAILS[outcome];
  const parameters = [
    forwarded === undefined ? 'hit' : `fwd=${forced ? 'request' : forwarded}`,
    ...(detail === undefined ? [] : [`ttl=${ttlSeconds}`, `detail=${detail}`]),
    ...(stored ? ['stored'] : []),
    ...(outcome === 'collapsed' ? ['collapsed'] : []),
  ];
  return `imagecaches; ${parameters.join('; ')}`;
}
