import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SharedUse, Use } from '../../src/fleet/use.ts';
import { createRateLimiter, type RateLimiter } from '../../src/limits/rate-limiter.ts';
import { createFakeClock, settle } from '../support/fake-clock.ts';

/** So many callers and addresses are told apart, for each of the limits. */
const MAX_LIMITED_KEYS = 10_000;
/** Other replicas are told after 250 ms (docs/replicas.md). */
const TELL_AFTER_MS = 250;

const T = 1_800_000_000_000;

/** A limiter that counts alone. */
function createLoneLimiter(perMinute: number): RateLimiter {
  return createRateLimiter(perMinute, 'principal', {
    ...createFakeClock(),
    waitUntil: () => {
      throw new Error('there is nothing to tell');
    },
  });
}

describe('the rate limiter', () => {
  it.each([1, 7, 60, 600, 1_000_000])(
    'lets %i a minute through at once, and then one at a time',
    (perMinute) => {
      const limiter = createLoneLimiter(perMinute);
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
        const limiter = createLoneLimiter(perMinute);
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
        let mostAboveLimit = 0;
        for (const [index, begunAtMs] of passed.entries()) {
          for (let later = index; later < passed.length; later += 1) {
            const spanMs = (passed[later] as number) - begunAtMs;
            const limit = perMinute + (spanMs * perMinute) / 60_000;
            mostAboveLimit = Math.max(mostAboveLimit, later - index + 1 - limit);
          }
        }
        expect(mostAboveLimit).toBeLessThanOrEqual(1e-6);
      }),
      { numRuns: 100 },
    );
  });

  it('tells 10,000 keys apart: the one not seen for longest is forgotten', () => {
    const limiter = createLoneLimiter(1);
    for (let key = 1; key <= MAX_LIMITED_KEYS; key += 1) limiter.take(`key-${key}`, T);
    // The first is known still, and by that the second becomes the one not seen for longest.
    expect(limiter.take('key-1', T)).toBeDefined();
    expect(limiter.take('key-0', T)).toBeUndefined();
    expect(limiter.take('key-3', T)).toBeDefined();
    expect(limiter.take('key-2', T)).toBeUndefined();
  });
});

describe('limiters that share', () => {
  /** What all have used, with the clock of the limiters. */
  function setUp(perMinute = 60) {
    const clock = createFakeClock();
    const untilMs = new Map<string, number>();
    const told: Use[][] = [];
    const store = { isUp: true };
    const sharedUse: SharedUse = {
      add: async (uses, limitMs) => {
        told.push([...uses]);
        if (!store.isUp) return uses.map(() => undefined);
        return uses.map(({ key, addedMs }) => {
          const nowMs = clock.elapsed();
          const nextMs = Math.min(nowMs + limitMs, Math.max(nowMs, untilMs.get(key) ?? 0) + addedMs);
          untilMs.set(key, nextMs);
          return nextMs - nowMs;
        });
      },
    };
    const create = (name = 'principal') => {
      const limiter = createRateLimiter(perMinute, name, { ...clock, sharedUse, waitUntil: () => undefined });
      return {
        /** How many of so many pass. */
        take: (count: number, key = 'a') =>
          Array.from({ length: count }, () => limiter.take(key, clock.elapsed())).filter(
            (waitMs) => waitMs === undefined,
          ).length,
      };
    };
    return { clock, store, told, create };
  }

  it('count what the others let through, a moment later', async () => {
    const { clock, create } = setUp();
    const [one, two] = [create(), create()];
    expect(one.take(40)).toBe(40);
    await clock.advance(TELL_AFTER_MS);
    // Not known here before the first request of the key is told.
    expect(two.take(1)).toBe(1);
    await clock.advance(TELL_AFTER_MS);
    expect(two.take(40)).toBe(19);
    await clock.advance(TELL_AFTER_MS);
    expect(one.take(1)).toBe(1);
    await clock.advance(TELL_AFTER_MS);
    expect(one.take(5)).toBe(0);
    await clock.advance(60_000);
    expect(one.take(100)).toBe(60);
  });

  it('keep what was counted while the others were told', async () => {
    const clock = createFakeClock();
    const answer = Promise.withResolvers<(number | undefined)[]>();
    const sharedUse: SharedUse = { add: () => answer.promise };
    const limiter = createRateLimiter(60, 'principal', { ...clock, sharedUse, waitUntil: () => undefined });
    const take = () => limiter.take('a', clock.elapsed());
    for (let count = 0; count < 10; count += 1) take();
    await clock.advance(TELL_AFTER_MS);
    // The answer is under way: these ten are not in it.
    for (let count = 0; count < 10; count += 1) take();
    answer.resolve([45_000]);
    await settle();
    // 45 of all instances, and ten.
    for (let count = 0; count < 5; count += 1) expect(take()).toBeUndefined();
    expect(take()).toBeDefined();
  });

  it('tell once for all keys and all requests of a while, and nothing when there were none', async () => {
    const { clock, told, create } = setUp(600);
    const one = create();
    one.take(10, 'a');
    one.take(5, 'b');
    await clock.advance(TELL_AFTER_MS - 1);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual([
      [
        { key: 'principal a', addedMs: 1000 },
        { key: 'principal b', addedMs: 500 },
      ],
    ]);
    await clock.advance(10_000);
    expect(told).toHaveLength(1);
    expect(clock.pending).toBe(0);
    one.take(1, 'a');
    await clock.advance(TELL_AFTER_MS);
    expect(told[1]).toEqual([{ key: 'principal a', addedMs: 100 }]);
  });

  it('count alone while nothing is known of the others', async () => {
    const { clock, store, create } = setUp();
    store.isUp = false;
    const [one, two] = [create(), create()];
    expect(one.take(100)).toBe(60);
    await clock.advance(TELL_AFTER_MS);
    expect(two.take(100)).toBe(60);
    expect(one.take(1)).toBe(0);
  });

  it('keep limits of other kinds apart', async () => {
    const { clock, create } = setUp();
    const [one, two] = [create('principal'), create('address')];
    expect(one.take(60)).toBe(60);
    await clock.advance(TELL_AFTER_MS);
    expect(two.take(1)).toBe(1);
    await clock.advance(TELL_AFTER_MS);
    expect(two.take(100)).toBe(59);
  });
});
