/**
 * Prints what cached lists cost in memory: 1,000 of 50 entries, or as many as the arguments say,
 * `cache-memory.ts [entries] [lists]`. Run with --expose-gc.
 */
import { createListCache, type ListCache } from '../../src/cache/list-cache.ts';
import { sanitiseImageCaches } from '../../src/imagecaches/sanitise.ts';
import { serialiseImageCaches } from '../../src/imagecaches/serialise.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';

const [entriesArgument = '50', listsArgument = '1000'] = process.argv.slice(2);
const LISTS = Number(listsArgument);

/** Buffers of collected arrays are given back a little later, so there are several collections with pauses. */
async function usedBytes(): Promise<number> {
  for (let count = 0; count < 3; count += 1) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const entries = makeImageCaches(Number(entriesArgument));
let nowMs = 0;

/** A cache that has been read once. */
async function createCache(): Promise<ListCache> {
  const cache = createListCache(
    {
      ttlMs: 3_600_000,
      emptyTtlMs: 5000,
      staleWhileRevalidateMs: 0,
      staleIfErrorMs: 0,
      maxEntries: 10 * LISTS,
      maxBytes: 17_179_869_184,
      resource: 'imagecaches',
      revive: () => undefined,
      load: async () => ({
        body: serialiseImageCaches(sanitiseImageCaches(entries).imageCaches).body,
        isEmpty: false,
      }),
      isRejection: () => false,
      wasSent: () => true,
      reportFailure: () => undefined,
    },
    {
      now: () => nowMs,
      elapsed: () => nowMs,
      random: Math.random,
      waitUntil: () => undefined,
      createSingleFlight: createSharedFlight,
    },
  );
  await cache.read('warm-up');
  return cache;
}

/** Each list is loaded in a fresh life of its own, so that no flood of names is seen. */
async function fill(cache: ListCache): Promise<void> {
  for (let list = 0; list < LISTS; list += 1) {
    nowMs += 3_600_000;
    await cache.read(`list-${list}`);
  }
}

// Once for nothing: meanwhile the engine drops some MiB of code that ran only while modules were loaded.
await fill(await createCache());
const cache = await createCache();
const before = await usedBytes();
await fill(cache);
const bytes = (await usedBytes()) - before;
const { response } = await cache.read('warm-up');
process.stdout.write(
  `${JSON.stringify({ lists: LISTS, entries: entries.length, bytes, bodyBytes: response.body.byteLength, held: cache.entries - 1 })}\n`,
);
