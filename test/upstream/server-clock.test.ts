import { describe, expect, it } from 'vitest';
import { createServerClock } from '../../src/upstream/server-clock.ts';

/** A difference is corrected from 60 seconds on; the gateway refuses from 15 minutes on. */
const LEAST_SKEW_CHANGE_MS = 60_000;
/** A difference of more than 24 hours is not believed. */
const MAX_SKEW_MS = 86_400_000;

const NOW_MS = Date.UTC(2026, 0, 2);

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
    expect(clock.correct(NOW_MS + aheadMs, NOW_MS)).toBe(outcome);
    expect(clock.skewMs).toBe(skewMs);
  });

  it('is corrected again, also when our own clock has been set right', () => {
    const clock = createServerClock();
    clock.correct(NOW_MS + 3_600_000, NOW_MS);
    expect(clock.correct(NOW_MS + 3_600_500, NOW_MS)).toBe('unchanged');
    expect(clock.correct(NOW_MS, NOW_MS)).toBe('corrected');
    expect(clock.skewMs).toBe(0);
    expect(clock.correct(NOW_MS - 3_600_000, NOW_MS)).toBe('corrected');
    expect(clock.correct(NOW_MS + MAX_SKEW_MS + 1, NOW_MS)).toBe('too_far');
    expect(clock.skewMs).toBe(-3_600_000);
  });
});
