import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import type { KeyProofs } from '../../../../src/fleet/key-proofs.ts';
import type { RedisCommands } from '../../../../src/runtime/node/redis/open-redis.ts';
import { createRedisKeyProofs } from '../../../../src/runtime/node/redis/redis-key-proofs.ts';

/** The vendor locks a key after more than 5 rejections; all replicas together stay at 4 in any 5 minutes. */
const MOST_REJECTIONS = 4;
const WINDOW_MS = 300_000;
const LEASE_MS = 39_000;
const REPLICAS = 10;
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

/** One hash of a server whose commands are carried out in the order that the scheduler makes of all connections. */
function createServer(scheduler: fc.Scheduler, now: () => number) {
  const fields = new Map<string, string>();
  const work: Record<string, (...args: never[]) => unknown> = {
    hSet: (_key: string, values: Record<string, string>) => {
      for (const [field, value] of Object.entries(values)) fields.set(field, value);
    },
    hDel: (_key: string, names: string[]) => names.map((name) => fields.delete(name)),
    hGetAll: () => Object.fromEntries(fields),
    pExpire: () => 1,
    time: () => [String(Math.floor(now() / 1000)), String((now() % 1000) * 1000)],
  };
  /** The commands of one connection keep their order. */
  return function connect(): RedisCommands {
    let last: Promise<unknown> = Promise.resolve();
    const commands = Object.entries(work).map(([name, command]) => [
      name,
      (...args: never[]) => {
        last = last.then(() => scheduler.schedule(Promise.resolve())).then(() => command(...args));
        return last;
      },
    ]);
    return Object.fromEntries(commands) as RedisCommands;
  };
}

function createProofs(commands: RedisCommands): KeyProofs {
  const connection = {
    reached: Promise.resolve(),
    lacks: { has: () => false, note: () => undefined },
    run: <Value>(_operation: string, work: (redis: RedisCommands) => Promise<Value>) => work(commands),
    join: () => undefined,
    subscribe: () => undefined,
    stop: () => undefined,
  };
  return createRedisKeyProofs(async () => 'imagecaches-bff:2:test', connection, { random: () => 0 });
}

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
      const now = () => nowMs;
      const connect = createServer(scheduler, now);
      const vendor = createVendor(now);
      const replicas = vendor.acceptedBy.map(() => createProofs(connect()));
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
