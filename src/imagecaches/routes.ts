import { Hono, type MiddlewareHandler } from 'hono';
import type { CallerEnv } from '../auth/authenticate-caller.ts';
import { matchesEtag } from '../http/etag.ts';
import { listHeaders } from './answer-headers.ts';
import { IMAGE_CACHES_PATH, type ImageCacheLists } from './lists.ts';
import { asksForRefresh, parseImageCachesQuery } from './query.ts';

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
  const { cache, target, vary } = lists;
  const { metrics, elapsed } = target.platform;
  return new Hono<CallerEnv>().get(IMAGE_CACHES_PATH, authenticate, async (c) => {
    const { headers, url } = c.req.raw;
    const record = c.get('record');
    const { name } = parseImageCachesQuery(url);
    record.name = name;
    const isForced =
      asksForRefresh(headers.get('cache-control')) && c.get('caller').scopes.includes(refreshScope);
    const cause = { requestId: c.get('requestId'), traceId: record.trace?.traceId };
    const found = await cache.read(name, { forceRefresh: isForced, cause });
    const nowMs = elapsed();
    metrics.cacheAnswered(found.outcome, nowMs - found.response.storedAtMs);
    record.cache = found.outcome;
    const representation = await lists.represent(found.response, headers.get('accept-encoding'));
    const { always, full } = listHeaders(representation, found, { isForced, vary, nowMs });
    return matchesEtag(headers.get('if-none-match'), representation.etag)
      ? c.body(null, 304, always)
      : c.body(representation.body, 200, full);
  });
}
