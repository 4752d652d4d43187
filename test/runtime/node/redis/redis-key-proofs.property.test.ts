import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { createKeyServer } from './key-server.ts';

/** The vendor locks a key after more than 5 rejections; all replicas together stay at 4 in any 5 minutes. */
const MOST_REJECTIONS = 4;
const WINDOW_MS = 300_000;
const LEASE_MS = 39_000;
const REPLICAS = 10;
/** Elapsed time is another than the server's. */
const ELAPSED_BEHIND_MS = 1_700_000_000_000;
const KEYS = [
  { accessKeyId: 'AK1', secretAccessKey: 'first' },
  { accessKeyId: 'AK1', secretAccessKey: 'second' },
] as const;

/** What replicas do at the same time: a call each with one of the keys, or nothing. */
const roundArbitrary = fc.record({
  calls: fc.array(fc.constantFrom(0, 0, 0, 1, undefined), { minLength: 1, maxLength: REPLICAS }),
  /** Which keys the vendor accepts. */
  accepts: fc.tuple(fc.boolean(), fc.boolean()),
  thenMs: fc.oneof(fc.constantFrom(0, 100, 5000, 299_999, 300_000), fc.nat(4_000_000)),
});

/** The vendor, which counts rejections in a row for the access key id, and what replicas saw of it. */
function createVendor(now: () => number) {
  let inRow: number[] = [];
  const acceptedBy = Array.from({ length: REPLICAS }, () => new Set<number>());
  const underWay = new Map<number, number>();
  const add = (key: number, change: number) => underWay.set(key, (underWay.get(key) ?? 0) + change);
  return {
    acceptedBy,
    begin(key: number) {
      add(key, 1);
      if (!acceptedBy.some((keys) => keys.has(key))) expect(underWay.get(key)).toBe(1);
    },
    end(key: number, replica: number, isAccepted: boolean) {
      add(key, -1);
      if (isAccepted) {
        inRow = [];
        acceptedBy[replica]?.add(key);
        return;
      }
      inRow = [...inRow.filter((atMs) => now() - atMs < WINDOW_MS), now()];
      expect(inRow.length).toBeLessThanOrEqual(MOST_REJECTIONS);
    },
  };
}

it('replicas make at most 4 rejected calls in any 5 minutes, and prove a key by one call, however their commands interleave', async () => {
  const property = fc.asyncProperty(
    fc.scheduler(),
    fc.array(roundArbitrary, { minLength: 1, maxLength: 12 }),
    async (scheduler, rounds) => {
      let nowMs = 1_800_000_000_000;
      // Time goes by with each command.
      const carryOut = async (command: () => unknown) => {
        await scheduler.schedule(Promise.resolve());
        nowMs += 1;
        return command();
      };
      const server = createKeyServer({
        now: () => nowMs,
        elapsed: () => nowMs - ELAPSED_BEHIND_MS,
        carryOut,
      });
      const vendor = createVendor(() => nowMs);
      const replicas = vendor.acceptedBy.map(() => server.connect());
      for (const { calls, accepts, thenMs } of rounds) {
        const done = calls.map(async (key, index) => {
          if (key === undefined) return;
          const known = { isAccepted: vendor.acceptedBy[index]?.has(key) === true, isClockCorrected: false };
          const use = await replicas[index]?.enter(KEYS[key], known, LEASE_MS);
          if (typeof use !== 'object') return;
          vendor.begin(key);
          await scheduler.schedule(Promise.resolve());
          vendor.end(key, index, accepts[key]);
          await use.leave(accepts[key] ? 'accepted' : 'rejected');
        });
        await scheduler.waitFor(Promise.all(done));
        nowMs += thenMs;
      }
    },
  );
  await fc.assert(property, { numRuns: 300 });
});
