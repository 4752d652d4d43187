import type { BreakerState } from '../../observability/metrics.ts';
import { createConcurrencyLimit, type Lease } from './concurrency-limit.ts';
import { createPause } from './pause.ts';

/** What is counted lies no further back: 10 seconds, in buckets of 1 second. */
export const WINDOW_SECONDS = 10;
/** Fewer calls than this in the window say nothing. */
export const LEAST_CALLS = 10;
/** It opens when at least this share of the calls in the window has failed. */
export const FAILURE_SHARE = 0.5;
/** It is open for 5 seconds at first, then twice as long each time that a probe fails. */
export const FIRST_OPEN_MS = 5000;
/** And never longer: 60 seconds, so that a recovery is seen within that time. */
export const LONGEST_OPEN_MS = 60_000;
/** Open times are shortened by up to this share at random, so that replicas do not probe in step. */
export const OPEN_JITTER = 0.2;
/** While a probe is under way, its outcome is expected soon: the others are told 1 second. */
export const PROBE_WAIT_MS = 1000;

/**
 * How a call ended, for the breaker: `neutral` says nothing about upstream's health, such as a call that was
 * throttled or was never made.
 */
export type CallOutcome = 'success' | 'failure' | 'neutral';

/** A call's leave to be made; to be given back with its outcome. */
export interface Passage {
  readonly lease: Lease | undefined;
  readonly period: number;
}

export interface CircuitBreakerOptions {
  /** A probe that has not ended by then is taken for dead, and another may be made, in milliseconds. */
  readonly probeLeaseMs: number;
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number;
  /** Told of each change; `openMs` is how long it stays open. */
  readonly onChange: (state: BreakerState, openMs?: number) => void;
}

export interface CircuitBreaker {
  readonly state: BreakerState;
  /** Milliseconds until a call may be made, 0 when one may be made now. */
  waitMs(nowMs: number): number;
  /** Leave for one call, undefined while there is none. */
  tryEnter(nowMs: number): Passage | undefined;
  /** The call has ended. One that began before the last change of state is not counted. */
  leave(passage: Passage, outcome: CallOutcome, nowMs: number): void;
}

/**
 * Stops calls to an upstream that mostly fails, and finds out with one call at a time when it is back (Michael
 * Nygard, Release It!, "Circuit Breaker"; by error rate over a rolling window rather than by failures in a row,
 * which a single success among many failures would reset).
 *
 * - closed: calls are made and counted. With 10 calls or more in the last 10 seconds, half of them failed, it
 *   opens. Ten failures in quick succession are enough.
 * - open: no calls, for 5 seconds, doubling with each failed probe up to 60.
 * - half open: one call at a time, the probe. A success closes it, a failure opens it again.
 */
export function createCircuitBreaker({
  probeLeaseMs,
  random,
  onChange,
}: CircuitBreakerOptions): CircuitBreaker {
  let state: BreakerState = 'closed';
  /** Goes up with each change of state. */
  let period = 0;
  /** Since it was last closed. */
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

/** Counts of the last seconds, each second in the place of the one that left the window. */
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
