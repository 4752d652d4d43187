import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countImageCaches } from '../../src/imagecaches/count.ts';

const NOW_MS = Date.parse('2026-01-02T03:04:05.000Z');
const HOUR_MS = 3_600_000;
/** ListImageCaches, field status. */
const VENDOR_STATUSES = ['Available', 'Unavailable', 'Creating', 'Deleting', 'Failed'];

const statuses = fc.oneof(
  fc.constantFrom(...VENDOR_STATUSES, 'Unknown', 'available', 'other', 'constructor', 'toString'),
  fc.stringMatching(/^[A-Za-z]{1,32}$/),
);
const expiries = fc.option(
  fc.integer({ min: -40 * 24 * HOUR_MS, max: 40 * 24 * HOUR_MS }).map((ms) => NOW_MS + ms),
);
const entries = fc.array(fc.record({ status: statuses, expiryMs: expiries }), { maxLength: 60 });

const toMembers = ({ status, expiryMs }: { status: string; expiryMs: number | null }) => ({
  status,
  expires_at: expiryMs === null ? null : new Date(expiryMs).toISOString().replace('Z', '000Z'),
});

describe('the counts of a list', () => {
  it('say what is in it, by six statuses and no more', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const counts = countImageCaches(list.map(toMembers), NOW_MS);
        expect(counts.used).toBe(list.length);
        expect(Object.keys(counts.byStatus)).toEqual([...VENDOR_STATUSES, 'other']);
        for (const status of VENDOR_STATUSES)
          expect(counts.byStatus[status as 'Failed']).toBe(
            list.filter((entry) => entry.status === status).length,
          );
        const sum = Object.values(counts.byStatus).reduce((total, count) => total + count, 0);
        expect(sum).toBe(list.length);
        const times = list.flatMap(({ expiryMs }) => (expiryMs === null ? [] : [expiryMs]));
        expect(counts.earliestExpiryMs).toBe(times.toSorted((a, b) => a - b)[0]);
        expect(counts.expiringSoon).toBe(times.filter((ms) => ms < NOW_MS + 24 * HOUR_MS).length);
      }),
    );
  });

  it('do not depend on the order', () => {
    fc.assert(
      fc.property(entries, (list) => {
        const members = list.map(toMembers);
        expect(countImageCaches(members.toReversed(), NOW_MS)).toEqual(countImageCaches(members, NOW_MS));
      }),
    );
  });

  it.each([
    ['2026-01-03T03:04:05.000000Z', 0],
    ['2026-01-03T03:04:04.999000Z', 1],
    ['2025-12-31T00:00:00.000000Z', 1],
    [null, 0],
  ])('of one that ends %s: %i ends soon', (expires_at, soon) => {
    expect(countImageCaches([{ status: 'Available', expires_at }], NOW_MS).expiringSoon).toBe(soon);
  });

  it('of an empty list are zeros, and no expiry', () => {
    expect(countImageCaches([], NOW_MS)).toEqual({
      used: 0,
      byStatus: { Available: 0, Unavailable: 0, Creating: 0, Deleting: 0, Failed: 0, other: 0 },
      earliestExpiryMs: undefined,
      expiringSoon: 0,
    });
  });
});
