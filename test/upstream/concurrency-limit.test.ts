import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createConcurrencyLimit, type Lease } from '../../src/upstream/guards/concurrency-limit.ts';

const LEASE_MS = 1000;

describe('the limit of calls at once', () => {
  it('gives back what was left, once', () => {
    const limit = createConcurrencyLimit({ max: 2, leaseMs: LEASE_MS });
    const first = limit.tryEnter(0) as Lease;
    limit.tryEnter(0);
    expect(limit.tryEnter(0)).toBeUndefined();
    limit.leave(first);
    limit.leave(first);
    expect(limit.inFlight(0)).toBe(1);
    expect(limit.tryEnter(0)).toBeDefined();
    expect(limit.tryEnter(0)).toBeUndefined();
  });

  it('takes a call for lost when its lease is over', () => {
    const changes: number[] = [];
    const limit = createConcurrencyLimit({
      max: 1,
      leaseMs: LEASE_MS,
      onChange: (change) => changes.push(change),
    });
    const lost = limit.tryEnter(5000) as Lease;
    expect(limit.tryEnter(5000 + LEASE_MS - 1)).toBeUndefined();
    expect(limit.tryEnter(5000 + LEASE_MS)).toBeDefined();
    limit.leave(lost);
    expect(limit.inFlight(5000 + LEASE_MS)).toBe(1);
    expect(changes).toEqual([1, -1, 1]);
  });

  it('knows the age of the newest', () => {
    const limit = createConcurrencyLimit({ max: 9, leaseMs: LEASE_MS });
    expect(limit.newestAgeMs(0)).toBe(Number.POSITIVE_INFINITY);
    limit.tryEnter(10);
    const newest = limit.tryEnter(20) as Lease;
    expect(limit.newestAgeMs(50)).toBe(30);
    limit.leave(newest);
    expect(limit.newestAgeMs(50)).toBe(40);
  });

  it('agrees with a count, whatever comes and goes', () => {
    const step = fc.record({ enter: fc.boolean(), index: fc.nat(20), waitMs: fc.nat(400) });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 200 }), (max, steps) => {
        let reported = 0;
        const limit = createConcurrencyLimit({
          max,
          leaseMs: LEASE_MS,
          onChange: (change) => {
            reported += change;
          },
        });
        let held: Lease[] = [];
        let nowMs = 0;
        for (const { enter, index, waitMs } of steps) {
          nowMs += waitMs;
          held = held.filter(({ begunAtMs }) => nowMs - begunAtMs < LEASE_MS);
          if (enter) {
            const lease = limit.tryEnter(nowMs);
            expect(lease === undefined).toBe(held.length === max);
            if (lease !== undefined) held.push(lease);
          } else if (held.length > 0) {
            limit.leave(held.splice(index % held.length, 1)[0] as Lease);
          }
          expect(limit.inFlight(nowMs)).toBe(held.length);
          expect(reported).toBe(held.length);
        }
      }),
    );
  });
});
