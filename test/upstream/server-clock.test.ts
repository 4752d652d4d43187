import { describe, expect, it } from 'vitest';
import { createServerClock } from '../../src/upstream/server-clock.ts';

/** A difference is corrected from 60 seconds on; the gateway refuses from 15 minutes on. */
const LEAST_SKEW_CHANGE_MS = 60_000;
/** A difference of more than 24 hours is not believed. */
const MAX_SKEW_MS = 86_400_000;

describe('the vendor clock', () => {
  it.each([
    [LEAST_SKEW_CHANGE_MS - 1, 'unchanged', 0],
    [LEAST_SKEW_CHANGE_MS, 'corrected', LEAST_SKEW_CHANGE_MS],
    [-LEAST_SKEW_CHANGE_MS, 'corrected', -LEAST_SKEW_CHANGE_MS],
    [MAX_SKEW_MS, 'corrected', MAX_SKEW_MS],
    [-MAX_SKEW_MS, 'corrected', -MAX_SKEW_MS],
    [MAX_SKEW_MS + 1, 'too_far', 0],
    [-MAX_SKEW_MS - 1, 'too_far', 0],
    [Number.NaN, 'too_far', 0],
  ] as const)('that is %d ms ahead of ours: %s', (aheadMs, outcome, skewMs) => {
    const clock = createServerClock();
    expect(clock.correct(aheadMs)).toBe(outcome);
    expect(clock.skewMs).toBe(skewMs);
  });

  it('is corrected again, also when our own clock has been set right', () => {
    const clock = createServerClock();
    clock.correct(3_600_000);
    expect(clock.correct(3_600_500)).toBe('unchanged');
    expect(clock.correct(0)).toBe('corrected');
    expect(clock.skewMs).toBe(0);
    expect(clock.correct(-3_600_000)).toBe('corrected');
    expect(clock.correct(MAX_SKEW_MS + 1)).toBe('too_far');
    expect(clock.skewMs).toBe(-3_600_000);
  });
});
