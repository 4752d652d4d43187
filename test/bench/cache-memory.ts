/** Prints what 1,000 cached lists of 50 entries cost in memory. Run with --expose-gc. */
import { createResponseCache } from '../../src/cache/response-cache.ts';
import { createSharedFlight } from '../../src/single-flight.ts';
import { sanitiseImageCaches, serialiseImageCaches } from '../../src/upstream/sanitise.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';

const LISTS = 1000;

function usedBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const entries = makeImageCaches();
const load = async () => ({
  body: serialiseImageCaches(sanitiseImageCaches(entries).imageCaches),
  isEmpty: false,
});
const cache = createResponseCache(
  { ttlMs: 3_600_000, emptyTtlMs: 5000, maxEntries: 10 * LISTS, maxBytes: 1_073_741_824 },
  { now: Date.now, random: Math.random, waitUntil: () => undefined, createSingleFlight: createSharedFlight },
);
await cache.read('warm-up', load);
const before = usedBytes();
for (let list = 0; list < LISTS; list += 1) await cache.read(`list-${list}`, load);
const bytes = usedBytes() - before;
const { response } = await cache.read('warm-up', load);
process.stdout.write(
  `${JSON.stringify({ lists: LISTS, entries: entries.length, bytes, bodyBytes: response.body.byteLength, held: cache.entries - 1 })}\n`,
);
