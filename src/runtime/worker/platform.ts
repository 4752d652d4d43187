import { waitUntil } from 'cloudflare:workers';
import type { Config } from '../../config/config.ts';
import { NO_METRICS } from '../../observability/metrics.ts';
import type { Platform } from '../../platform/platform.ts';
import { createSeparateFlight } from '../../platform/single-flight.ts';
import { createEdgeEntries, type EdgeCache, isKvNamespace } from './edge-entries.ts';
import { createElapsedTime } from './elapsed-time.ts';
import { createConsoleLogger } from './logger.ts';
import { schedule } from './schedule.ts';

/** The name under which a KV namespace is bound, where lists are to be shared across places. */
export const KV_BINDING = 'IMAGECACHES_KV';

/** What the core needs from a Worker. It holds values and never a promise that another request would wait for. */
export function createWorkerPlatform(config: Config, bindings: Readonly<Record<string, unknown>>): Platform {
  const kv = bindings[KV_BINDING];
  const cache = (caches as unknown as { readonly default?: EdgeCache }).default;
  const platform: Platform = {
    // Not unbound: the global fetch heeds its this.
    fetch: (url, init) => fetch(url, init),
    now: Date.now,
    elapsed: createElapsedTime(Date.now),
    schedule,
    random: Math.random,
    readTextFile: () => Promise.reject(new Error('there are no files')),
    waitUntil,
    createSingleFlight: createSeparateFlight,
    clientAddress: (request) => request.headers.get('cf-connecting-ip') ?? undefined,
    logger: createConsoleLogger(config.logLevel, Date.now),
    metrics: NO_METRICS,
  };
  return {
    ...platform,
    fleet: {
      openEntries: (options) =>
        createEdgeEntries({ cache, kv: isKvNamespace(kv) ? kv : undefined, ...options }, platform),
    },
  };
}
