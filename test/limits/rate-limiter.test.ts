import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRateLimiter } from '../../src/limits/rate-limiter.ts';

const T = 1_800_000_000_000;

describe('the rate limiter', () => {
  it.each([1, 7, 60, 600, 1_000_000])(
    'lets %i a minute through at once, and then one at a time',
    (perMinute) => {
      const limiter = createRateLimiter(perMinute);
      const burst = Math.min(perMinute, 2000);
      for (let count = 0; count < burst; count += 1) expect(limiter.take('a', T)).toBeUndefined();
      if (burst < perMinute) return;
      expect(limiter.waitMs('a', T)).toBeCloseTo(60_000 / perMinute, 1);
      expect(limiter.take('a', T)).toBeCloseTo(60_000 / perMinute, 1);
      expect(limiter.take('b', T)).toBeUndefined();
      expect(limiter.take('a', T + 60_000 / perMinute)).toBeUndefined();
      expect(limiter.take('a', T + 60_000 / perMinute)).toBeDefined();
      expect(limiter.waitMs('a', T + 120_000)).toBeUndefined();
    },
  );

  it('never lets more through in any span than the limit of its length and one burst', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 50 }), (pauses, perMinute) => {
        const limiter = createRateLimiter(perMinute);
        const passed: number[] = [];
        let nowMs = T;
        for (const pause of pauses) {
          nowMs += pause;
          const waitMs = limiter.take('a', nowMs);
          if (waitMs === undefined) passed.push(nowMs);
          // What it says is true: just before, no; then, yes.
          else {
            expect(limiter.waitMs('a', nowMs + waitMs - 0.1)).toBeDefined();
            expect(limiter.waitMs('a', nowMs + waitMs)).toBeUndefined();
          }
        }
        for (const [index, begunAtMs] of passed.entries()) {
          for (let later = index; later < passed.length; later += 1) {
            const spanMs = (passed[later] as number) - begunAtMs;
            expect(later - index + 1).toBeLessThanOrEqual(perMinute + (spanMs * perMinute) / 60_000 + 1e-6);
          }
        }
      }),
      { numRuns: 100 },
    );
  });

  it('shuts nobody out for more than a minute when the clock is set back', () => {
    const limiter = createRateLimiter(2);
    limiter.take('a', T);
    limiter.take('a', T);
    expect(limiter.take('a', T - 3_600_000)).toBeUndefined();
  });
});
