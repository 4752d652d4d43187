import { waitUntil } from 'cloudflare:workers';
import type { Config } from '../../config/config.ts';
import { NO_METRICS } from '../../observability/metrics.ts';
import type { Platform } from '../../platform/platform.ts';
import { createEdgeEntries, type EdgeStores, isKvNamespace } from './edge-entries.ts';
import { createEdgeKeyProofs } from './edge-key-proofs.ts';
import { createElapsedTime } from './elapsed-time.ts';
import { createConsoleLogger } from './logger.ts';
import { createPolledFlight } from './polled-flight.ts';
import { schedule } from './schedule.ts';

/** The name under which a KV namespace is bound, where lists are to be shared across places. */
export const KV_BINDING = 'IMAGECACHES_KV';

/** A cache of our own: what is in the default one may be found by requests that reach no Worker. */
const CACHE_NAME = 'imagecaches-bff';

/**
 * What the core needs from a Worker. It holds values and never a promise that another request would wait for.
 *
 * @param ownHost the Worker's own host; undefined until the first request came, when only other Workers have called
 */
export function createWorkerPlatform(
  config: Config,
  bindings: Readonly<Record<string, unknown>>,
  ownHost: () => string | undefined,
): Platform {
  const kv = bindings[KV_BINDING];
  const stores: EdgeStores = {
    openCache: async () => (ownHost() === undefined ? undefined : caches.open(CACHE_NAME)),
    origin: () => `https://${ownHost()}`,
    kv: isKvNamespace(kv) ? kv : undefined,
  };
  const platform: Platform = {
    // Not unbound: the global fetch heeds its this.
    fetch: (url, init) => fetch(url, init),
    now: Date.now,
    elapsed: createElapsedTime(Date.now),
    schedule,
    random: Math.random,
    readTextFile: () => Promise.reject(new Error('there are no files')),
    waitUntil,
    createSingleFlight: () => createPolledFlight(platform),
    isStartedByRequests: true,
    clientAddress: (request) => request.headers.get('cf-connecting-ip') ?? undefined,
    logger: createConsoleLogger(config.logLevel, Date.now),
    metrics: NO_METRICS,
  };
  return {
    ...platform,
    fleet: {
      openEntries: (options) => createEdgeEntries({ ...stores, ...options }, platform),
      openKeyProofs: () => createEdgeKeyProofs(stores, platform),
    },
  };
}
