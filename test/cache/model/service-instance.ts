import { vi } from 'vitest';
import { CREDENTIAL_SOURCES } from '../../../src/credentials/sources.ts';
import { NO_METRICS, type TargetMetrics } from '../../../src/observability/metrics.ts';
import { createTestService, type TestService } from '../../support/test-service.ts';
import { type Callers, createCallers } from './callers.ts';
import { type Surroundings, type Watch, watchService } from './watch-service.ts';

/** One start of the service, who calls it, and all that is known of it. */
export interface ServiceInstance extends Watch, Callers {
  /** Entries of the cache. */
  entries(): number;
  readonly background: readonly Promise<unknown>[];
  /** It makes no calls any more. */
  stop(): void;
  readonly isStopped: boolean;
}

export async function startInstance(around: Surroundings): Promise<ServiceInstance> {
  const { settings, clock, upstream, credentials, replica } = around;
  const watch = watchService(around);
  let entries = () => 0;
  let isStopped = false;
  const sharedEntries = replica?.connect();
  const targetMetrics: TargetMetrics = {
    ...NO_METRICS,
    observeCache: (read) => {
      entries = () => read().entries;
    },
  };
  const metrics = { ...NO_METRICS, forTarget: () => targetMetrics };
  // The model says when a key is replaced, and when that is seen.
  const created = vi.spyOn(CREDENTIAL_SOURCES.static, 'create').mockReturnValue(credentials.provider);
  const service: TestService = await createTestService(
    { CACHE_MAX_ENTRIES: String(settings.maxEntries), RATE_LIMIT_PER_MINUTE: '0' },
    {
      fetch: async (url, init) => {
        if (!new URL(url).pathname.startsWith('/v5/')) return service.issuer(url);
        return isStopped ? new Promise(() => undefined) : upstream.fetch(url, init);
      },
      now: clock.wall,
      elapsed: clock.elapsed,
      schedule: clock.schedule,
      random: () => settings.random,
      digests: credentials.digests,
      metrics,
      tracer: upstream.tracer,
      ...(sharedEntries && { fleet: { openEntries: () => sharedEntries } }),
    },
  );
  created.mockRestore();
  return {
    ...watch,
    ...(await createCallers(service, clock.now)),
    entries: () => entries(),
    background: service.background,
    stop() {
      isStopped = true;
    },
    get isStopped() {
      return isStopped;
    },
  };
}
