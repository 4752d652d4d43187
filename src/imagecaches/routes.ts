import { type Context, Hono, type MiddlewareHandler } from 'hono';
import type { CallerEnv } from '../auth/authenticate-caller.ts';
import type { CacheAnswer } from '../cache/list-cache.ts';
import { matchesEtag } from '../http/etag.ts';
import { ProblemError } from '../http/problem.ts';
import { NO_SUCH_RESOURCE } from '../http/vendor-error.ts';
import { listHeaders } from './answer-headers.ts';
import { findById } from './find-by-id.ts';
import { IMAGE_CACHES_PATH, type ImageCacheLists } from './lists.ts';
import { asksForRefresh, denyQuery, parseImageCachesQuery } from './query.ts';

/**
 * `GET /imagecaches`, in the order of its steps: authenticate, authorise and limit (the middleware), validate the query,
 * look in the cache, which on a miss loads (load.ts), then respond. Hits of callers that were verified lately are answered
 * by hits.ts, to the byte alike.
 *
 * @param refreshScope the scope of callers that may force a refresh
 */
export function imageCaches(
  lists: ImageCacheLists,
  authenticate: MiddlewareHandler<CallerEnv>,
  refreshScope: string,
): Hono<CallerEnv> {
  return new Hono<CallerEnv>().get(IMAGE_CACHES_PATH, authenticate, async (c) => {
    const { name } = parseImageCachesQuery(c.req.raw.url);
    c.get('record').name = name;
    const isForced = isRefreshForced(c, refreshScope);
    const found = await lists.cache.read(name, { forceRefresh: isForced, cause: causeOf(c) });
    report(c, lists, found);
    return respond(c, lists, found, isForced);
  });
}

/**
 * `GET /imagecaches/{id}`, in the same steps: answered from the whole list, by the same rules. The id goes no further than
 * here: it is looked for in what is held.
 */
export function imageCacheById(
  lists: ImageCacheLists,
  authenticate: MiddlewareHandler<CallerEnv>,
  refreshScope: string,
): Hono<CallerEnv> {
  const { cache, target } = lists;
  return new Hono<CallerEnv>().get(`${IMAGE_CACHES_PATH}/:id`, authenticate, async (c) => {
    denyQuery(c.req.raw.url);
    const isForced = isRefreshForced(c, refreshScope);
    const found = await cache.read(undefined, { forceRefresh: isForced, cause: causeOf(c) });
    const list = found.response;
    const sha256 = target.platform.digests?.sha256;
    const response = await findById(c.req.param('id'), list, cache.newerThan(list), sha256);
    // What a newer load has said of a name may be fresh where the list is not.
    const isNewer =
      found.outcome === 'stale' && response && response.freshUntilMs > target.platform.elapsed();
    const outcome = isNewer || found.outcome === 'hit' ? 'derived' : found.outcome;
    const answer = { ...found, outcome, response: response ?? list } as const;
    report(c, lists, answer);
    if (response === undefined)
      throw new ProblemError('not_found', {
        detail: 'no image cache has this id',
        vendorCode: NO_SUCH_RESOURCE,
      });
    return respond(c, lists, answer, isForced);
  });
}

function isRefreshForced(c: Context<CallerEnv>, refreshScope: string): boolean {
  return (
    asksForRefresh(c.req.raw.headers.get('cache-control')) && c.get('caller').scopes.includes(refreshScope)
  );
}

/** What a load that this request begins is for, in its log lines and spans. */
function causeOf(c: Context<CallerEnv>) {
  return { requestId: c.get('requestId'), traceId: c.get('record').trace?.traceId };
}

/** Counts and logs how the cache answered. */
function report(
  c: Context<CallerEnv>,
  { target }: ImageCacheLists,
  { outcome, response }: CacheAnswer,
): void {
  const { metrics, elapsed } = target.platform;
  metrics.cacheAnswered(outcome, elapsed() - response.storedAtMs);
  c.get('record').cache = outcome;
}

async function respond(
  c: Context<CallerEnv>,
  lists: ImageCacheLists,
  found: CacheAnswer,
  isForced: boolean,
): Promise<Response> {
  const { headers } = c.req.raw;
  const nowMs = lists.target.platform.elapsed();
  const representation = await lists.represent(found.response, headers.get('accept-encoding'));
  const { always, full } = listHeaders(representation, found, { isForced, vary: lists.vary, nowMs });
  return matchesEtag(headers.get('if-none-match'), representation.etag)
    ? c.body(null, 304, always)
    : c.body(representation.body, 200, full);
}
