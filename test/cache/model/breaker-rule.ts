import {
  BREAKER_CALLS,
  BREAKER_FAILURE_SHARE,
  BREAKER_WINDOW_SECONDS,
  doublingMs,
  FIRST_OPEN_MS,
  LONGEST_OPEN_MS,
  OPEN_JITTER,
} from './contract-numbers.ts';
import { type Ending, isListAnswer, type UpstreamCall } from './scripted-upstream.ts';
import type { Demand } from './violations.ts';

/**
 * The circuit breaker as it can be seen from outside: with 10 calls in 10 seconds of which half have failed there are none
 * for 5 seconds, then one at a time until one succeeds, with twice the time after each that fails, up to 60 seconds.
 */
export function createBreakerRule(now: () => number, random: number, demand: Demand) {
  let state: 'closed' | 'open' | 'half open' = 'closed';
  /** Goes up with each change: what was sent before one is not counted after it. */
  let period = 0;
  let timesOpened = 0;
  let openedAtMs = Number.NEGATIVE_INFINITY;
  let openUntilMs = Number.NEGATIVE_INFINITY;
  let closedAtMs = Number.NEGATIVE_INFINITY;
  let probe: UpstreamCall | undefined;
  let counted: { readonly second: number; readonly isFailure: boolean }[] = [];
  const periods = new Map<UpstreamCall, number>();

  function change(next: typeof state): void {
    state = next;
    period += 1;
  }

  function open(): void {
    timesOpened += 1;
    openedAtMs = now();
    const times = { firstMs: FIRST_OPEN_MS, longestMs: LONGEST_OPEN_MS, jitter: OPEN_JITTER };
    openUntilMs = openedAtMs + doublingMs(times, timesOpened, random);
    change('open');
  }

  function count(isFailure: boolean): void {
    const second = Math.floor(now() / 1000);
    counted = [...counted, { second, isFailure }].filter(
      (call) => call.second > second - BREAKER_WINDOW_SECONDS,
    );
    const failures = counted.filter((call) => call.isFailure).length;
    if (counted.length >= BREAKER_CALLS && failures >= counted.length * BREAKER_FAILURE_SHARE) open();
  }

  return {
    sent(call: UpstreamCall): void {
      // One that was let out while the last failure was on its way.
      const isBefore = state === 'open' && openedAtMs === now();
      periods.set(call, isBefore ? period - 1 : period);
      if (state === 'closed' || isBefore) return;
      demand(state !== 'open' || now() >= openUntilMs, 'no call is made while the breaker is open', {
        openUntilMs,
        timesOpened,
      });
      demand(probe === undefined, 'a breaker that is half open lets out one call at a time');
      if (state === 'open') change('half open');
      periods.set(call, period);
      probe = call;
    },
    ended(call: UpstreamCall, ending: Ending): void {
      const sentIn = periods.get(call);
      periods.delete(call);
      if (probe === call) probe = undefined;
      // Neither says anything about upstream's health.
      const isNeutral = ending === '401' || ending.startsWith('429 in');
      if (sentIn !== period || isNeutral) return;
      const isFailure = !isListAnswer(ending);
      if (state === 'closed') count(isFailure);
      else if (isFailure) open();
      else {
        change('closed');
        closedAtMs = now();
        timesOpened = 0;
        counted = [];
      }
    },
    get isClosed(): boolean {
      return state === 'closed';
    },
    /** When it was last closed again. */
    get closedAtMs(): number {
      return closedAtMs;
    },
    get openUntilMs(): number {
      return openUntilMs;
    },
  };
}
