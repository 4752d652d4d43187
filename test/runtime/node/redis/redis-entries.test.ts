import { describe, expect, it } from 'vitest';
import type { RedisCommands } from '../../../../src/runtime/node/redis/open-redis.ts';
import { createRedisEntries } from '../../../../src/runtime/node/redis/redis-entries.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

/** A turn ends 2 seconds after its holder was last heard of (docs/replicas.md). */
const TURN_MS = 2000;
/** The holder is heard of every 700 ms. */
const RENEW_MS = 700;
/** And no longer than 330 seconds: the longest deadline is 300. */
const LONGEST_TURN_MS = 330_000;
/** Who waits for another looks again after half a second. */
const LOOK_AGAIN_MS = 500;

/** Clocks of replicas may differ by a minute. */
const CLOCK_TOLERANCE_MS = 60_000;
/** No list is larger than what is taken of upstream: 8 MiB. */
const MAX_BODY_BYTES = 8_388_608;

/** Redis whose turns are free or taken, and that holds these fields under every key. */
function setUp(turn: 'free' | 'taken', given: Record<string, string> = {}) {
  let fields = given;
  let whileTaken = () => {};
  let holder = 'first';
  const clock = createFakeClock();
  const taken: { readonly type: string; readonly value: number }[] = [];
  const scripts: { readonly keys: string[]; readonly arguments: string[] }[] = [];
  const unused = () => Promise.reject(new Error('not in use'));
  const redis: RedisCommands = {
    isReady: true,
    hGetAll: async () => fields,
    hGet: unused,
    hSet: unused,
    hDel: unused,
    pExpire: unused,
    publish: unused,
    time: unused,
    get: async () => holder,
    set: async (_key, _value, { expiration }) => {
      taken.push(expiration);
      whileTaken();
      return turn === 'free' ? 'OK' : null;
    },
    del: async () => 0,
    eval: async (_script, options) => scripts.push(options),
  };
  const entries = createRedisEntries(
    { namespace: async () => 'imagecaches-bff:2:test', keepStaleMs: 60_000 },
    {
      reached: Promise.resolve(),
      lacks: { has: () => false, note: () => undefined },
      run: (_operation, work) => work(redis),
      join: () => undefined,
      subscribe: () => undefined,
      stop: () => undefined,
    },
    clock,
  );
  /** Another instance shares these fields between the first look and the turn. */
  const shareFirst = (shared: Record<string, string>) => {
    whileTaken = () => {
      fields = shared;
    };
  };
  const passTurnTo = (next: string) => {
    holder = next;
  };
  return { clock, entries, scripts, taken, shareFirst, passTurnTo };
}

describe('a turn in Redis', () => {
  it('lasts 2 seconds, is renewed while its holder loads, and not for ever', async () => {
    const { clock, entries, scripts, taken } = setUp('free');
    expect((await entries.lookUp('web', () => false)).state).toBe('ours');
    expect(taken).toEqual([{ type: 'PX', value: TURN_MS }]);
    await clock.advance(RENEW_MS - 1);
    expect(scripts).toHaveLength(0);
    await clock.advance(1);
    expect(scripts).toMatchObject([{ arguments: [expect.any(String), String(TURN_MS)] }]);

    // The holder never comes to an end.
    await clock.advance(LONGEST_TURN_MS - RENEW_MS);
    expect(clock.pending).toBe(1);
    await clock.advance(RENEW_MS);
    expect(clock.pending).toBe(0);
    expect(scripts).toHaveLength(Math.ceil(LONGEST_TURN_MS / RENEW_MS));
  });

  it('is no longer renewed when its holder is done', async () => {
    const { clock, entries } = setUp('free');
    const found = await entries.lookUp('web', () => false);
    if (found.state !== 'ours') throw new Error(found.state);
    await found.settle();
    expect(clock.pending).toBe(0);
  });

  it('of another is looked at again after half a second, should no message come', async () => {
    const { clock, entries } = setUp('taken');
    const found = await entries.lookUp('web', () => false);
    if (found.state !== 'taken') throw new Error(found.state);
    let isTime = false;
    void found.changed.then(() => {
      isTime = true;
    });
    await clock.advance(LOOK_AGAIN_MS - 1);
    expect(isTime).toBe(false);
    await clock.advance(1);
    expect(isTime).toBe(true);
    expect(clock.pending).toBe(0);
  });
});

describe('a queue of turns that nobody gives up', () => {
  async function waitingFor(ms: number) {
    const set = setUp('taken');
    const look = async () => (await set.entries.lookUp('web', () => false)).state;
    for (let waitedMs = 0; waitedMs < ms; waitedMs += LOOK_AGAIN_MS) {
      expect(await look()).toBe('taken');
      await set.clock.advance(LOOK_AGAIN_MS);
    }
    return { ...set, look };
  }

  it('is left by who has waited through one of them: 2 seconds', async () => {
    const { look, passTurnTo, clock } = await waitingFor(TURN_MS);
    passTurnTo('second');
    expect(await look()).toBe('ours');
    // The next wait begins with the turn that it finds.
    for (let waitedMs = 0; waitedMs <= TURN_MS; waitedMs += LOOK_AGAIN_MS) {
      expect(await look()).toBe('taken');
      await clock.advance(LOOK_AGAIN_MS);
    }
  });

  it('is not one while one holder goes on loading, or gives up early', async () => {
    const { look } = await waitingFor(5 * TURN_MS);
    expect(await look()).toBe('taken');
    const early = await waitingFor(TURN_MS - LOOK_AGAIN_MS);
    early.passTurnTo('second');
    expect(await early.look()).toBe('taken');
  });

  it('is no matter to a later wait', async () => {
    const { look, passTurnTo, clock } = await waitingFor(LOOK_AGAIN_MS);
    await clock.advance(TURN_MS);
    passTurnTo('second');
    expect(await look()).toBe('taken');
  });
});

describe('an entry in Redis', () => {
  const nowMs = createFakeClock().now();
  const fieldsOf = (storedAtMs: number, bytes: number) => ({
    format: '1',
    begun: '1000',
    stored: String(storedAtMs),
    fresh: '3000',
    body: 'x'.repeat(bytes),
  });

  it('that is shared between the look and the turn serves, and the turn is given up', async () => {
    const { entries, scripts, taken, shareFirst } = setUp('free', fieldsOf(nowMs - 5, 2));
    shareFirst(fieldsOf(nowMs, 3));
    const found = await entries.lookUp('web', ({ body }) => body.byteLength === 3);
    expect(found).toEqual({ state: 'served' });
    expect(taken).toHaveLength(1);
    expect(scripts).toHaveLength(1);
    expect(scripts[0]?.keys).toEqual(['imagecaches-bff:2:test:turn:{web}']);
  });

  it.each([
    ['stored a minute ahead of this clock is believed', CLOCK_TOLERANCE_MS, 2, true],
    ['stored later is not', CLOCK_TOLERANCE_MS + 1, 2, false],
    ['of 8 MiB is taken', 0, MAX_BODY_BYTES, true],
    ['that is larger is not', 0, MAX_BODY_BYTES + 1, false],
  ])('%s', async (_what, aheadMs, bytes, isTaken) => {
    const { entries } = setUp('free', fieldsOf(nowMs + aheadMs, bytes));
    expect((await entries.get('web')) !== undefined).toBe(isTaken);
  });
});
