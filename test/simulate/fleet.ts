import { simulateReplica } from './simulate-replica.ts';

export interface FleetWorkload {
  /** Of all callers together. */
  readonly requestsPerSecond: number;
  readonly replicas: number;
  readonly names: number;
  readonly ttlSeconds: number;
  readonly seed: number;
}

export interface FleetOutcome {
  readonly upstreamCallsPerMinute: number;
  /** With Redis, where all replicas make the calls of one. */
  readonly sharedUpstreamCallsPerMinute: number;
  /** Of the requests so many were answered without waiting for upstream. */
  readonly atOnceShare: number;
  readonly cacheBytesPerReplica: number;
}

/** A request for the whole list among ten; the others name one. */
const LIST_SHARE = 0.1;
/** What a call to the vendor takes: a guess that matters little. */
const UPSTREAM_MS = 200;
/** So many fresh lives are simulated. */
const LIVES = 20;

/** The upstream calls of a fleet. Balancers deal requests out evenly, so one replica stands for each. */
export function createFleetSimulation(): (workload: FleetWorkload) => Promise<FleetOutcome> {
  const done = new Map<string, ReturnType<typeof simulateReplica>>();

  /** Rows have many replicas in common. */
  function replica(requestsPerSecond: number, { names, ttlSeconds, seed }: FleetWorkload) {
    const key = [requestsPerSecond, names, ttlSeconds, seed].join(' ');
    const known = done.get(key);
    if (known !== undefined) return known;
    const outcome = simulateReplica({
      requestsPerSecond,
      names,
      listShare: LIST_SHARE,
      ttlMs: ttlSeconds * 1000,
      upstreamMs: UPSTREAM_MS,
      durationMs: LIVES * ttlSeconds * 1000,
      seed,
    });
    done.set(key, outcome);
    return outcome;
  }

  return async (workload) => {
    const one = await replica(workload.requestsPerSecond / workload.replicas, workload);
    const shared = await replica(workload.requestsPerSecond, workload);
    return {
      upstreamCallsPerMinute: one.upstreamCallsPerMinute * workload.replicas,
      sharedUpstreamCallsPerMinute: shared.upstreamCallsPerMinute,
      atOnceShare: 1 - one.waited / Math.max(1, one.requests),
      cacheBytesPerReplica: one.cacheBytes,
    };
  };
}
