import { nameOfKey, UNFILTERED_KEY } from '../cache/cache-key.ts';
import type { LoadedBody } from '../cache/cached-response.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { UpstreamClient } from '../upstream/client.ts';
import { parseImageCaches } from './parse.ts';
import { type ImageCache, sanitiseImageCaches } from './sanitise.ts';
import { serialiseImageCaches } from './serialise.ts';

/** Dropped entries that are named in the log: the first 20 of a list. */
const MAX_LOGGED_DROPS = 20;

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
