import type { Schedule } from '../../../src/platform/schedule.ts';
import type { EdgeCache, KvNamespace } from '../../../src/runtime/worker/edge-entries.ts';

/** Cache API and KV together are waited for 200 ms at most (docs/workers.md). */
const EDGE_TIMEOUT_MS = 200;

/** Stores whose work under way is known, and the timers of those who use them. */
export interface QuietStores {
  cache(cache: EdgeCache): EdgeCache;
  kv(kv: KvNamespace): KvNamespace;
  /**
   * A timer goes off when no store has anything to do, as it would in time on a machine that is quick enough, however long
   * that takes; the one that bounds the stores' own time never does.
   */
  readonly schedule: Schedule;
}

export function createQuietStores(): QuietStores {
  let underWay = 0;

  async function during<Value>(work: () => Promise<Value>): Promise<Value> {
    underWay += 1;
    try {
      return await work();
    } finally {
      underWay -= 1;
    }
  }

  async function untilQuiet(): Promise<void> {
    // What follows from an answer of a store has begun one turn later.
    for (let quietTurns = 0; quietTurns < 2; quietTurns = underWay === 0 ? quietTurns + 1 : 0)
      await new Promise((resolve) => setTimeout(resolve, 0));
  }

  return {
    cache: (cache) => ({
      match: (url) =>
        during(async () => {
          const response = await cache.match(url);
          return response && new Response(await response.arrayBuffer(), response);
        }),
      put: (url, response) => during(() => cache.put(url, response)),
      delete: (url) => during(() => cache.delete(url)),
    }),
    kv: (kv) => ({
      getWithMetadata: (key, type) => during(() => kv.getWithMetadata(key, type)),
      put: (key, value, options) => during(() => kv.put(key, value, options)),
      delete: (key) => during(() => kv.delete(key)),
    }),
    schedule: (callback, delayMs) => {
      let isCancelled = delayMs === EDGE_TIMEOUT_MS;
      if (!isCancelled)
        void untilQuiet().then(() => {
          if (!isCancelled) callback();
        });
      return () => {
        isCancelled = true;
      };
    },
  };
}
