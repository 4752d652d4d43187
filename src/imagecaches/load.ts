import type { LoadedBody } from '../cache/cached-response.ts';
import { hasEqualBytes } from '../cache/has-equal-bytes.ts';
import type { Cause } from '../observability/trace-ids.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import type { ImageCache } from './model.ts';
import { decodeUtf8, parseImageCaches, parseText } from './parse.ts';
import { type ReceivedList, ReceivedLists } from './received-lists.ts';
import { type DroppedEntry, sanitiseImageCaches } from './sanitise.ts';
import { serialiseImageCaches } from './serialise.ts';

/** Entries named in one log line when a list has broken ones: 20 at most. */
const MAX_LOGGED_DROPS = 20;

/**
 * The cache miss: one signed call upstream, parsed and sanitised, as the bytes to be stored. A list that comes as it came
 * the last time is made only once.
 *
 * @returns loads the list of one name, or the whole list for undefined; `onLate` is called with a list that comes after
 *   the load was given up
 */
export function imageCachesLoader(
  upstream: UpstreamClient,
  platform: Pick<TargetPlatform, 'logger' | 'metrics'>,
): (name: string | undefined, onLate?: (loaded: LoadedBody) => void, cause?: Cause) => Promise<LoadedBody> {
  const received = new ReceivedLists();
  return (name, onLate, cause) => {
    const decode = (body: Uint8Array): LoadedBody => {
      const text = decodeUtf8(body);
      const list = received.get(name, text) ?? makeList(name, text);
      const { loaded, dropped } = list;
      if (dropped.length > 0) reportDropped(dropped, platform);
      // A model that nobody knows, rather than a list of nothing: it must not replace a good one.
      if (loaded.isEmpty && dropped.length > 0)
        throw new UpstreamError('upstream_failed', { reason: 'not_the_model' });
      received.set(name, list);
      return loaded;
    };
    const query = name === undefined ? [] : ([['name', name]] as const);
    return upstream.get('/v5/imagecaches', query, decode, onLate, cause);
  };
}

function makeList(name: string | undefined, text: string): ReceivedList {
  const { imageCaches, dropped } = sanitiseImageCaches(parseText(text));
  return { text, loaded: toLoadedBody(name, imageCaches), dropped };
}

function reportDropped(
  dropped: readonly DroppedEntry[],
  { logger, metrics }: Pick<TargetPlatform, 'logger' | 'metrics'>,
): void {
  const counts = new Map<DroppedEntry['member'], number>();
  for (const { member } of dropped) counts.set(member, (counts.get(member) ?? 0) + 1);
  for (const [member, count] of counts) metrics.entriesDropped(member, count);
  // Indices and members only: a value could be anything.
  const fields = {
    dropped: dropped.length,
    members: Object.fromEntries(counts),
    first: dropped.slice(0, MAX_LOGGED_DROPS),
  };
  logger.warn(fields, 'entries that break the model were dropped');
}

/**
 * Turns bytes of the shared store back into what a load gave. Others can write to that store, so the bytes go through
 * the same steps as upstream's and must come out unchanged.
 *
 * @param name the filter that the list was loaded with; undefined for the whole list
 * @returns undefined when no load with this filter gives these bytes
 */
export function reviveImageCaches(
  name: string | undefined,
  body: Uint8Array<ArrayBuffer>,
): LoadedBody | undefined {
  let entries: unknown[];
  try {
    entries = parseImageCaches(body);
  } catch {
    return undefined;
  }
  const { imageCaches } = sanitiseImageCaches(entries);
  if (name !== undefined && imageCaches.some((imageCache) => imageCache.name !== name)) return undefined;
  const revived = toLoadedBody(name, imageCaches);
  return hasEqualBytes(revived.body, body) ? revived : undefined;
}

function toLoadedBody(name: string | undefined, imageCaches: readonly ImageCache[]): LoadedBody {
  const { body, select, empty } = serialiseImageCaches(imageCaches);
  const isEmpty = imageCaches.length === 0;
  return name === undefined ? { body, isEmpty, filter: { select, empty } } : { body, isEmpty };
}
