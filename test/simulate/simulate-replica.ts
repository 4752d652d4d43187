import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { EARLY_WINDOW_LOADS } from '../../src/cache/early-refresh.ts';
import { createListCache } from '../../src/cache/list-cache.ts';
import { sanitiseImageCaches } from '../../src/imagecaches/sanitise.ts';
import { serialiseImageCaches } from '../../src/imagecaches/serialise.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { MAX_IMAGE_CACHES, makeImageCaches } from '../simulator/image-cache-data.ts';
import { randomNumbers } from '../simulator/random-numbers.ts';

export interface ReplicaWorkload {
  readonly requestsPerSecond: number;
  /** Callers ask for so many different names; those past the 50 that a tenant may have find nothing. */
  readonly names: number;
  /** Of the requests so many ask for the whole list, from 0 to 1. The others ask for a name. */
  readonly listShare: number;
  readonly ttlMs: number;
  /** How long a call upstream takes. */
  readonly upstreamMs: number;
  /** Simulated, after a warm-up of one fresh life. */
  readonly durationMs: number;
  readonly seed: number;
}

export interface ReplicaOutcome {
  readonly requests: number;
  readonly upstreamCalls: number;
  readonly upstreamCallsPerMinute: number;
  /** Of the requests so many waited for upstream. */
  readonly waited: number;
  /** The cache at the end, as it counts itself. */
  readonly cacheBytes: number;
}

/** The service's defaults. */
const POLICY = {
  emptyTtlMs: 5000,
  staleWhileRevalidateMs: 300_000,
  staleIfErrorMs: 3_600_000,
  maxEntries: 1000,
  maxBytes: 67_108_864,
};

/** Faster than this more requests change nothing: what is no longer fresh is asked for within a millisecond or so. */
const MAX_REQUESTS_PER_MS = 2;
/** Answers that wait for upstream. */
const WAITS: ReadonlySet<string> = new Set(['miss', 'collapsed', 'refreshed', 'stale_error']);

interface PendingLoad {
  readonly name: string | undefined;
  readonly dueMs: number;
  readonly finish: () => void;
}

/**
 * Runs the cache of one replica, the very code of the service, on a clock of its own: requests come as a Poisson process,
 * names by Zipf's law, and every load takes the same time.
 *
 * @param workload above 2000 requests a second only as many are made, each standing for several
 */
export async function simulateReplica(workload: ReplicaWorkload): Promise<ReplicaOutcome> {
  const random = randomNumbers(workload.seed);
  const { imageCaches } = sanitiseImageCaches(makeImageCaches());
  const list = serialiseImageCaches(imageCaches);
  const pending: PendingLoad[] = [];
  const background: Promise<unknown>[] = [];
  let nowMs = 0;
  let upstreamCalls = 0;
  let listFreshUntilMs = 0;

  const load = (name: string | undefined): Promise<LoadedBody> => {
    upstreamCalls += 1;
    const loaded: LoadedBody =
      name === undefined
        ? { body: list.body, isEmpty: false, filter: list }
        : { body: list.select(name) ?? list.empty, isEmpty: list.select(name) === undefined };
    return new Promise((resolve) => {
      pending.push({ name, dueMs: nowMs + workload.upstreamMs, finish: () => resolve(loaded) });
    });
  };
  const cache = createListCache(
    {
      ...POLICY,
      ttlMs: workload.ttlMs,
      resource: 'imagecaches',
      load,
      revive: () => undefined,
      isRejection: () => false,
      wasSent: () => true,
      reportFailure: (error) => {
        throw error;
      },
    },
    {
      now: () => nowMs,
      elapsed: () => nowMs,
      random,
      waitUntil: (promise) => background.push(promise),
      createSingleFlight: createSharedFlight,
    },
  );

  /** Finishes the loads that are due by then, each at its time, and lets the cache store them. */
  async function finishLoads(untilMs: number): Promise<void> {
    while (pending[0] !== undefined && pending[0].dueMs <= untilMs) {
      const { name, dueMs, finish } = pending.shift() as PendingLoad;
      nowMs = dueMs;
      finish();
      // One load is one background promise, in the same order.
      await background.shift();
      // A hit, which changes nothing.
      if (name === undefined) listFreshUntilMs = (await cache.read(name)).response.freshUntilMs;
    }
  }

  const pickName = createNamePicker(
    workload.names,
    imageCaches.map(({ name }) => name),
    random,
  );
  const waiting: Promise<unknown>[] = [];
  const requestsPerMs = workload.requestsPerSecond / 1000;
  const meanGapMs = 1 / Math.min(requestsPerMs, MAX_REQUESTS_PER_MS);
  let requests = 0;
  let waited = 0;
  let callsBefore = 0;
  const endMs = workload.ttlMs + workload.durationMs;
  let isWarm = false;
  for (;;) {
    // While the list is fresh every request is answered at once and changes nothing: they are counted, not made.
    const earlyFromMs = Math.min(endMs, listFreshUntilMs - EARLY_WINDOW_LOADS * workload.upstreamMs);
    if (pending.length === 0 && nowMs < earlyFromMs) {
      requests += requestsPerMs * Math.max(0, earlyFromMs - Math.max(nowMs, workload.ttlMs));
      nowMs = earlyFromMs;
    }
    const nextMs = nowMs - Math.log(1 - random()) * meanGapMs;
    if (pending.length > 0) await finishLoads(Math.min(nextMs, endMs));
    if (nextMs >= endMs) break;
    nowMs = nextMs;
    if (!isWarm && nowMs >= workload.ttlMs) {
      isWarm = true;
      callsBefore = upstreamCalls;
    }
    const name = random() < workload.listShare ? undefined : pickName();
    // One stands for more where they come faster than is simulated.
    const weight = meanGapMs * requestsPerMs;
    if (isWarm) requests += weight;
    if (cache.peek(name) !== undefined) continue;
    const isCounted = isWarm;
    const answered = cache.read(name).then(({ outcome }) => {
      if (isCounted && WAITS.has(outcome)) waited += weight;
    });
    waiting.push(answered);
    // A load is begun in the next microtask. Without one this is an answer that is cut from the list, at once.
    await Promise.resolve();
    if (pending.length === 0) await answered;
  }
  let hasEnded = false;
  const ended = Promise.all([...background, ...waiting]).then(() => (hasEnded = true));
  // A load may lead to another one.
  while (!hasEnded) {
    for (const { finish } of pending.splice(0)) finish();
    await Promise.race([ended, new Promise(setImmediate)]);
  }
  const calls = upstreamCalls - callsBefore;
  return {
    requests,
    upstreamCalls: calls,
    upstreamCallsPerMinute: (calls * 60_000) / workload.durationMs,
    waited,
    cacheBytes: cache.bytes,
  };
}

/** Names by Zipf's law with exponent 1: the second is asked for half as often as the first. */
function createNamePicker(count: number, known: readonly string[], random: () => number): () => string {
  const cumulative: number[] = [];
  let sum = 0;
  for (let rank = 1; rank <= count; rank += 1) {
    sum += 1 / rank;
    cumulative.push(sum);
  }
  return () => {
    const target = random() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((cumulative[middle] as number) < target) low = middle + 1;
      else high = middle;
    }
    return known[low] ?? `no-such-cache-${low}`;
  };
}

/** The most that there can be of names that exist. */
export const EXISTING_NAMES = MAX_IMAGE_CACHES;
