import type { BreakerState } from '../../observability/metrics.ts';
import { createConcurrencyLimit, type Lease } from './concurrency-limit.ts';
import { createPause } from './pause.ts';

/** Length of the rolling window of counted calls: 10 seconds, in buckets of 1 second. */
export const WINDOW_SECONDS = 10;
/** Minimum number of calls in the window for the breaker to open: 10. */
export const LEAST_CALLS = 10;
/** Share of failed calls in the window from which on it opens: half. */
export const FAILURE_SHARE = 0.5;
/** Length of the first open period: 5 seconds. It doubles with each failed probe. */
export const FIRST_OPEN_MS = 5000;
/** Maximum length of an open period: 60 seconds, so that a recovery is seen within that time. */
export const LONGEST_OPEN_MS = 60_000;
/** Maximum share by which an open period is shortened at random, so that replicas do not probe in step: a fifth. */
export const OPEN_JITTER = 0.2;
/** Time to wait that is reported while a probe is under way: 1 second. */
export const PROBE_WAIT_MS = 1000;

/**
 * How a call ended, for the breaker. `neutral` says nothing about upstream's health, for example a call that was
 * throttled or never made.
 */
export type CallOutcome = 'success' | 'failure' | 'neutral';

/** Permission to make one call; returned with the call's outcome. */
export interface Passage {
  /** Of a probe only. */
  readonly lease: Lease | undefined;
  readonly period: number;
}

export interface CircuitBreakerOptions {
  /** Time after which a probe that has not ended is considered lost and another may be made, in milliseconds. */
  readonly probeLeaseMs: number;
  /** A number from 0 (inclusive) to 1 (exclusive), for jitter. */
  readonly random: () => number;
  /** Called on each change of state; `openMs` is the length of the open period. */
  readonly onChange: (state: BreakerState, openMs?: number) => void;
}

export interface CircuitBreaker {
  readonly state: BreakerState;
  /** Milliseconds until a call may be made; 0: now. */
  waitMs(nowMs: number): number;
  /** Permission for one call; undefined while no call may be made. */
  tryEnter(nowMs: number): Passage | undefined;
  /** Ends the call. A call that began before the last change of state is not counted. */
  leave(passage: Passage, outcome: CallOutcome, nowMs: number): void;
}

/**
 * Stops calls to an upstream that mostly fails, and probes with one call at a time until it is back (Michael Nygard,
 * Release It!, "Circuit Breaker"). It judges the error rate over a rolling window and not failures in a row, which a
 * single success among many failures would reset.
 *
 * - closed: calls are made and counted. It opens when at least 10 calls were made in the last 10 seconds and half of
 *   them failed; ten failures in quick succession are enough.
 * - open: no calls for 5 seconds, doubling with each failed probe up to 60.
 * - half open: one call at a time, the probe. A success closes it, a failure opens it again.
 */
export function createCircuitBreaker({
  probeLeaseMs,
  random,
  onChange,
}: CircuitBreakerOptions): CircuitBreaker {
  let state: BreakerState = 'closed';
  /** Number of changes of state. */
  let period = 0;
  /** Times that it has opened since it was last closed. */
  let timesOpened = 0;
  let window = createRateWindow();
  const openPause = createPause();
  const probes = createConcurrencyLimit({ max: 1, leaseMs: probeLeaseMs });

  function change(next: BreakerState, openMs?: number): void {
    state = next;
    period += 1;
    onChange(next, openMs);
  }

  function open(nowMs: number): void {
    const openMs =
      Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** Math.min(timesOpened, 16)) *
      (1 - OPEN_JITTER * random());
    timesOpened += 1;
    openPause.begin(nowMs, openMs);
    change('open', openMs);
  }

  function close(): void {
    timesOpened = 0;
    window = createRateWindow();
    change('closed');
  }

  return {
    get state() {
      return state;
    },
    waitMs(nowMs) {
      if (state === 'closed') return 0;
      if (state === 'open') return openPause.remainingMs(nowMs);
      return probes.inFlight(nowMs) === 0 ? 0 : PROBE_WAIT_MS;
    },
    tryEnter(nowMs) {
      if (state === 'closed') return { lease: undefined, period };
      if (state === 'open') {
        if (openPause.remainingMs(nowMs) > 0) return undefined;
        change('half_open');
      }
      const lease = probes.tryEnter(nowMs);
      return lease && { lease, period };
    },
    leave(passage, outcome, nowMs) {
      if (passage.lease !== undefined) probes.leave(passage.lease);
      if (passage.period !== period || outcome === 'neutral') return;
      if (state === 'half_open') {
        if (outcome === 'success') close();
        else open(nowMs);
        return;
      }
      window.count(nowMs, outcome === 'failure');
      const { calls, failures } = window.totals(nowMs);
      if (calls >= LEAST_CALLS && failures >= calls * FAILURE_SHARE) open(nowMs);
    },
  };
}

interface RateWindow {
  count(nowMs: number, isFailure: boolean): void;
  totals(nowMs: number): { readonly calls: number; readonly failures: number };
}

/** Counts of the last seconds; each second reuses the bucket of the one that left the window. */
function createRateWindow(): RateWindow {
  const buckets = Array.from({ length: WINDOW_SECONDS }, () => ({ second: -1, calls: 0, failures: 0 }));
  return {
    count(nowMs, isFailure) {
      const second = Math.floor(nowMs / 1000);
      const bucket = buckets[second % WINDOW_SECONDS] as (typeof buckets)[number];
      if (bucket.second !== second) Object.assign(bucket, { second, calls: 0, failures: 0 });
      bucket.calls += 1;
      if (isFailure) bucket.failures += 1;
    },
    totals(nowMs) {
      const second = Math.floor(nowMs / 1000);
      let calls = 0;
      let failures = 0;
      for (const bucket of buckets) {
        if (bucket.second > second || bucket.second <= second - WINDOW_SECONDS) continue;
        calls += bucket.calls;
        failures += bucket.failures;
      }
      return { calls, failures };
    },
  };
}
