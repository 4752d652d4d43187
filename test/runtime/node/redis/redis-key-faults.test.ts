import { describe, expect, it } from 'vitest';
import type { KeyAnswer, KeyKnowledge, KeyProofs, KeyUse } from '../../../../src/fleet/key-proofs.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { createKeyServer } from './key-server.ts';

const LEASE_MS = 39_000;
const HOUR_MS = 3_600_000;
const KEY = { accessKeyId: 'PLANTEDAK000007', secretAccessKey: 'PlantedSecretKey0007' };
const UNKNOWN: KeyKnowledge = { isAccepted: false, isClockCorrected: false };
const ACCEPTED: KeyKnowledge = { isAccepted: true, isClockCorrected: false };

function setUp(options: Partial<Parameters<typeof createKeyServer>[0]> = {}) {
  const clock = createFakeClock();
  const server = createKeyServer({ ...clock, carryOut: async (command) => command(), ...options });
  const replicas = Array.from({ length: 10 }, () => server.connect());
  return { clock, server, replicas: replicas as [KeyProofs, KeyProofs, ...KeyProofs[]] };
}

const enter = (replica: KeyProofs, known: KeyKnowledge) => replica.enter(KEY, known, LEASE_MS);

function ours(answer: KeyAnswer | undefined): KeyUse {
  if (typeof answer !== 'object') throw new Error(`the call is not ours: ${answer}`);
  return answer;
}

/** A key that was accepted has as many calls as it may, all rejected, and every replica has asked since. */
async function rejectAll(replicas: readonly KeyProofs[]): Promise<void> {
  await ours(await enter(replicas[0] as KeyProofs, UNKNOWN)).leave('accepted');
  const calls = await Promise.all([0, 1, 2, 3].map((index) => enter(replicas[index] as KeyProofs, ACCEPTED)));
  for (const call of calls) await ours(call).leave('rejected');
  for (const replica of replicas) expect(await enter(replica, ACCEPTED)).toBe('locked_out');
}

describe('what replicas know of a rejected key', () => {
  it.each([
    ['is set back by 2 seconds', -2000],
    ['is set back by 10 minutes', -600_000],
    ['is set back by 8 hours', -8 * HOUR_MS],
    ['is set forward by 10 minutes', 600_000],
    ['is set forward by 8 hours', 8 * HOUR_MS],
  ])('holds for 5 minutes when the clock of the server %s', async (_what, byMs) => {
    const { clock, server, replicas } = setUp();
    await rejectAll(replicas);
    await clock.advance(10_000);
    server.aheadMs += byMs;
    for (const replica of replicas) expect(await enter(replica, ACCEPTED)).toBe('locked_out');
    await clock.advance(287_000);
    for (const replica of replicas) expect(await enter(replica, ACCEPTED)).toBe('locked_out');
    await clock.advance(5000);
    ours(await enter(replicas[5] as KeyProofs, ACCEPTED));
  });

  it('holds when the server has lost it, for a replica that starts then too', async () => {
    const { clock, server, replicas } = setUp();
    await rejectAll(replicas);
    server.fields.clear();
    expect(await enter(replicas[9] as KeyProofs, ACCEPTED)).toBe('locked_out');
    expect(await enter(server.connect(), UNKNOWN)).toBe('locked_out');
    await clock.advance(300_000);
    ours(await enter(replicas[9] as KeyProofs, ACCEPTED));
  });

  it('holds when the server has lost it of a key that was never accepted', async () => {
    const { clock, server, replicas } = setUp();
    await ours(await enter(replicas[0], UNKNOWN)).leave('rejected');
    expect(await enter(replicas[1], UNKNOWN)).toBe('locked_out');
    server.fields.clear();
    await clock.advance(299_000);
    expect(await enter(replicas[1], UNKNOWN)).toBe('locked_out');
    await clock.advance(1000);
    ours(await enter(replicas[1], UNKNOWN));
  });

  it('ends with a call that is accepted, also for those who have not heard of it', async () => {
    const { clock, server, replicas } = setUp();
    await ours(await enter(replicas[0], UNKNOWN)).leave('rejected');
    expect(await enter(replicas[1], UNKNOWN)).toBe('locked_out');
    await clock.advance(1000);
    const corrected = { isAccepted: false, isClockCorrected: true };
    await ours(await enter(replicas[0], corrected)).leave('accepted');
    ours(await enter(replicas[1], UNKNOWN));
    expect([...server.fields.keys()].filter((field) => /^(?:rejection|lock):/.test(field))).toEqual([]);
  });

  it('counts what was written after a replica had asked for the time', async () => {
    const { clock, server, replicas } = setUp();
    await ours(await enter(replicas[0], UNKNOWN)).leave('accepted');
    const calls = await Promise.all(
      [1, 2, 3, 4].map((index) => enter(replicas[index] as KeyProofs, ACCEPTED)),
    );
    await clock.advance(3);
    for (const call of calls) await ours(call).leave('rejected');
    server.aheadMs -= 2;
    expect(await enter(replicas[5] as KeyProofs, ACCEPTED)).toBe('locked_out');
    server.aheadMs += 2;
    expect(await enter(replicas[6] as KeyProofs, ACCEPTED)).toBe('locked_out');
  });

  it('is 4 calls in 5 minutes while replicas that prove it stop before they have said what came of it', async () => {
    const { clock, server } = setUp();
    let calls = 0;
    for (let second = 0; second < 300; second += 1) {
      if (typeof (await enter(server.connect(), UNKNOWN)) === 'object') calls += 1;
      await clock.advance(1000);
    }
    expect(calls).toBe(4);
  });
});

describe('replicas with a good key', () => {
  it('wait no longer than a call may take for those that have stopped in one', async () => {
    const { clock, server, replicas } = setUp();
    await ours(await enter(replicas[0], UNKNOWN)).leave('accepted');
    for (let index = 0; index < 4; index += 1) ours(await enter(server.connect(), UNKNOWN));
    expect(await enter(replicas[0], ACCEPTED)).toBe('busy');
    await clock.advance(LEASE_MS);
    ours(await enter(replicas[0], ACCEPTED));
  });

  it('have a call within 6 minutes after it was bad for half an hour, also where they start then', async () => {
    const { clock, server, replicas } = setUp();
    await ours(await enter(replicas[0], UNKNOWN)).leave('accepted');
    for (let minute = 0; minute < 30; minute += 1) {
      const answer = await enter(replicas[0], ACCEPTED);
      if (typeof answer === 'object') await answer.leave('rejected');
      await clock.advance(60_000);
    }
    await clock.advance(300_000);
    ours(await enter(server.connect(), UNKNOWN));
  });

  it('are not held back by calls without an answer once a later one was accepted', async () => {
    const { clock, replicas } = setUp();
    await ours(await enter(replicas[0], UNKNOWN)).leave('accepted');
    for (const index of [1, 1, 2]) ours(await enter(replicas[index] as KeyProofs, ACCEPTED));
    await clock.advance(1001);
    await ours(await enter(replicas[3] as KeyProofs, ACCEPTED)).leave('accepted');
    const later = await Promise.all(
      [4, 5, 6, 7].map((index) => enter(replicas[index] as KeyProofs, ACCEPTED)),
    );
    for (const call of later) ours(call);
    expect(await enter(replicas[8] as KeyProofs, ACCEPTED)).toBe('busy');
  });

  it('withdraw what the server has taken in too late', async () => {
    let held: (() => void)[] | undefined;
    const { server, replicas } = setUp({
      carryOut: async (command) => {
        if (held !== undefined) await new Promise<void>((resolve) => held?.push(resolve));
        return command();
      },
      within: async (work) => (held === undefined ? work : undefined),
    });
    await ours(await enter(replicas[0], UNKNOWN)).leave('accepted');
    held = [];
    for (const replica of replicas.slice(1, 4)) expect(await enter(replica, ACCEPTED)).toBeUndefined();
    const waiting = held;
    held = undefined;
    for (const resolve of waiting) resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect([...server.fields.keys()].filter((field) => field.startsWith('call:'))).toEqual([]);
    ours(await enter(replicas[6] as KeyProofs, ACCEPTED));
  });
});
