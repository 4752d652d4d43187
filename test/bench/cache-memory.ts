/**
 * Prints what cached lists cost in memory: 1,000 of 50 entries, or as many as the arguments say,
 * `cache-memory.ts [entries] [lists]`. Run with --expose-gc.
 */
import { createResponseCache } from '../../src/cache/response-cache.ts';
import { createSharedFlight } from '../../src/single-flight.ts';
import { sanitiseImageCaches } from '../../src/upstream/sanitise.ts';
import { serialiseImageCaches } from '../../src/upstream/serialise.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';

const [entriesArgument = '50', listsArgument = '1000'] = process.argv.slice(2);
const LISTS = Number(listsArgument);

function usedBytes(): number {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

const entries = makeImageCaches(Number(entriesArgument));
/** Each list is loaded in a fresh life of its own, so that no flood of names is seen. */
let nowMs = 0;
const clock = () => nowMs;
async function readNext(list: number): Promise<void> {
  nowMs += 3_600_000;
  await cache.read(`list-${list}`);
}
const cache = createResponseCache(
  {
    ttlMs: 3_600_000,
    emptyTtlMs: 5000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    maxEntries: 10 * LISTS,
    maxBytes: 1_073_741_824,
    load: async () => ({
      body: serialiseImageCaches(sanitiseImageCaches(entries).imageCaches).body,
      isEmpty: false,
    }),
    isRefusal: () => false,
    reportFailure: () => undefined,
  },
  { now: clock, random: Math.random, waitUntil: () => undefined, createSingleFlight: createSharedFlight },
);
await cache.read('warm-up');
const before = usedBytes();
for (let list = 0; list < LISTS; list += 1) await readNext(list);
const bytes = usedBytes() - before;
const { response } = await cache.read('warm-up');
process.stdout.write(
  `${JSON.stringify({ lists: LISTS, entries: entries.length, bytes, bodyBytes: response.body.byteLength, held: cache.entries - 1 })}\n`,
);
