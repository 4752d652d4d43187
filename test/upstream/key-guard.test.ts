import { describe, expect, it } from 'vitest';
import type { KeyVerdict } from '../../src/fleet/key-proofs.ts';
import type { Credential } from '../../src/signing/credential.ts';
import { createKeyGuard, type KeyPassage } from '../../src/upstream/guards/key-guard.ts';

/** A refused key is left alone for 5 minutes, as long as the vendor locks it. */
const LOCK_OUT_MS = 300_000;
/** Two refusals in a row end the use of a key: the vendor locks it after more than 5. */
const MAX_REFUSALS = 2;
/** A success proves a key for 1 second. */
const PROOF_MS = 1000;
/** A call without an answer holds back the next one for half a second. */
const PROOF_WAIT_MS = 500;

const LEASE_MS = 9000;
const T = Date.UTC(2026, 0, 2);
const KEY: Credential = { accessKeyId: 'AK1', secretAccessKey: 'secret' };

/** A guard of a key that was accepted a minute ago, or never. */
function setUp(isKnown = true, random = 0) {
  const guard = createKeyGuard(LEASE_MS, () => random);
  const enter = (key: Credential, nowMs: number): KeyPassage => {
    const passage = guard.tryEnter(key, nowMs);
    if (typeof passage === 'string') throw new Error(passage);
    return passage;
  };
  const call = (outcome: KeyVerdict, nowMs: number, key = KEY) =>
    guard.leave(enter(key, nowMs), outcome, nowMs);
  if (isKnown) call('accepted', T - 60_000);
  return { call, enter, guard };
}

describe('the key guard', () => {
  it('locks a key out after two refusals in a row, until 5 minutes after the last', () => {
    const { call, guard } = setUp();
    expect(call('rejected', T)).toBe(0);
    expect(call('rejected', T + 60_000)).toBe(LOCK_OUT_MS);
    expect(guard.tryEnter(KEY, T + 60_000 + LOCK_OUT_MS - 1)).toBe('locked_out');
  });

  it('lets one call out after the lock-out: its refusal begins the next one, its success ends it', () => {
    const { call, enter, guard } = setUp();
    call('rejected', T);
    call('rejected', T);
    const again = T + LOCK_OUT_MS;
    enter(KEY, again);
    expect(guard.tryEnter(KEY, again + PROOF_WAIT_MS)).toBe('busy');
    expect(call('rejected', again + 2 * LOCK_OUT_MS)).toBe(LOCK_OUT_MS);
    expect(guard.tryEnter(KEY, again + 3 * LOCK_OUT_MS - 1)).toBe('locked_out');
    call('accepted', again + 3 * LOCK_OUT_MS);
    expect(call('rejected', again + 3 * LOCK_OUT_MS)).toBe(0);
  });

  it('starts again after a success, and only one that began after the last refusal', () => {
    const { call, enter, guard } = setUp();
    call('rejected', T);
    call('accepted', T);
    const slow = enter(KEY, T);
    call('rejected', T + 1);
    expect(guard.isOutdated(slow)).toBe(true);
    guard.leave(slow, 'accepted', T + 2);
    expect(call('rejected', T + 3)).toBe(LOCK_OUT_MS);
    expect(guard.tryEnter(KEY, T + 4)).toBe('locked_out');
  });

  it('is not led astray by calls that say nothing', () => {
    const { call, guard } = setUp();
    call('rejected', T);
    call('neutral', T);
    call('rejected', T);
    expect(guard.tryEnter(KEY, T)).toBe('locked_out');
  });

  it('lets one call prove a key, and another when the first gets no answer', () => {
    const { enter, guard } = setUp();
    const first = enter(KEY, T);
    expect(guard.tryEnter(KEY, T + PROOF_WAIT_MS - 1)).toBe('busy');
    enter(KEY, T + PROOF_WAIT_MS);
    expect(guard.tryEnter(KEY, T + 5 * PROOF_WAIT_MS)).toBe('busy');
    guard.leave(first, 'rejected', T + 5 * PROOF_WAIT_MS);
    // The one under way may use up the refusal that is left.
    expect(guard.tryEnter(KEY, T + 6 * PROOF_WAIT_MS)).toBe('busy');
  });

  it('lets no more calls out at once than may be refused together, with a key that was accepted a moment ago', () => {
    const { call, enter, guard } = setUp();
    call('accepted', T);
    for (let count = 0; count < MAX_REFUSALS; count += 1) enter(KEY, T + PROOF_MS - 1);
    expect(guard.tryEnter(KEY, T + PROOF_MS - 1)).toBe('busy');
    expect(guard.tryEnter(KEY, T + PROOF_MS)).toBe('busy');
    expect(guard.tryEnter(KEY, T - PROOF_MS)).toBe('busy');
  });

  it('takes a key for proved for less than a second after a success', () => {
    for (const [ageMs, outcome] of [
      [PROOF_MS - 1, 'object'],
      [PROOF_MS, 'string'],
    ] as const) {
      const { call, enter, guard } = setUp();
      call('accepted', T);
      enter(KEY, T + ageMs);
      expect(guard.tryEnter(KEY, T + ageMs), String(ageMs)).toBeTypeOf(outcome);
    }
  });

  it('lets one call out after a refusal, whatever was proved before', () => {
    const { call, enter, guard } = setUp();
    call('accepted', T);
    call('rejected', T);
    enter(KEY, T);
    expect(guard.tryEnter(KEY, T + PROOF_WAIT_MS)).toBe('busy');
  });

  it('takes a call that never ended for lost', () => {
    const { enter, guard } = setUp();
    enter(KEY, T);
    expect(typeof guard.tryEnter(KEY, T + LEASE_MS)).toBe('object');
  });

  it('keeps keys apart, and gives a replaced secret its own tries', () => {
    const { call, guard } = setUp();
    const other: Credential = { ...KEY, accessKeyId: 'AK2' };
    const sameId: Credential = { ...KEY, secretAccessKey: 'another' };
    call('rejected', T);
    call('rejected', T);
    expect(call('accepted', T, other)).toBe(0);
    expect(call('neutral', T, sameId)).toBe(0);
    expect(guard.tryEnter(KEY, T)).toBe('locked_out');
    // Proved with the new secret: the old refusals no longer stand in a row.
    call('accepted', T, sameId);
    expect(guard.tryEnter(KEY, T)).toBeTypeOf('object');
  });

  it('stops before secrets that are all wrong add up to what the vendor locks an id for', () => {
    const { call, guard } = setUp();
    const withSecret = (secretAccessKey: string): Credential => ({ ...KEY, secretAccessKey });
    // Each has one call, since none was accepted before.
    for (const secret of ['a', 'b', 'd', 'e']) call('rejected', T, withSecret(secret));
    expect(guard.tryEnter(withSecret('c'), T + LOCK_OUT_MS - 1)).toBe('locked_out');
    expect(guard.tryEnter(withSecret('c'), T + LOCK_OUT_MS)).toBeTypeOf('object');
  });

  it('does not forget a refused key because others were tried', () => {
    const { call, guard } = setUp();
    call('rejected', T);
    call('rejected', T);
    for (let count = 0; count < 50; count += 1) call('neutral', T, { ...KEY, accessKeyId: `AK${count + 2}` });
    expect(guard.tryEnter(KEY, T)).toBe('locked_out');
  });

  it('does not forget a key with a call under way because others were tried', () => {
    const { call, enter, guard } = setUp(false);
    enter(KEY, T);
    for (let count = 0; count < 50; count += 1) call('neutral', T, { ...KEY, accessKeyId: `AK${count + 2}` });
    expect(guard.tryEnter(KEY, T + PROOF_WAIT_MS)).toBe('busy');
  });

  it('forgets a good key after more than 7 others, and then has it proved by one call', () => {
    for (const [others, outcome] of [
      [7, 'object'],
      [8, 'string'],
    ] as const) {
      const { call, enter, guard } = setUp();
      call('accepted', T);
      for (let count = 0; count < others; count += 1)
        call('accepted', T, { ...KEY, accessKeyId: `AK${count + 2}` });
      enter(KEY, T);
      expect(guard.tryEnter(KEY, T), String(others)).toBeTypeOf(outcome);
    }
  });
});

describe('a key that was never accepted', () => {
  it('has one call, however long its answer takes', () => {
    const { enter, guard } = setUp(false);
    const only = enter(KEY, T);
    expect(guard.tryEnter(KEY, T + 8 * PROOF_WAIT_MS)).toBe('busy');
    expect(guard.leave(only, 'rejected', T + 5000)).toBe(LOCK_OUT_MS);
    expect(guard.tryEnter(KEY, T + 5000)).toBe('locked_out');
  });

  it.each([
    [0, [5, 10, 20, 40, 60, 60]],
    [0.5, [5.5, 11, 22, 44, 54, 54]],
  ])('has the next after 5 minutes, doubling to 1 hour, with jitter %d', (random, minutes) => {
    const { call, guard } = setUp(false, random);
    let nowMs = T;
    for (const length of minutes) {
      expect(call('rejected', nowMs)).toBe(length * 60_000);
      nowMs += length * 60_000;
      expect(guard.tryEnter(KEY, nowMs - 1)).toBe('locked_out');
    }
    call('accepted', nowMs);
    // From now on it has two, and 5 minutes.
    expect(call('rejected', nowMs)).toBe(0);
    expect(call('rejected', nowMs)).toBe(LOCK_OUT_MS);
  });

  it('has one more when its rejection has corrected the clock, and no third', () => {
    const { call, guard } = setUp(false);
    call('clock', T);
    expect(guard.tryEnter(KEY, T)).toBe('locked_out');
    guard.noteClockCorrected(KEY);
    expect(call('clock', T)).toBeGreaterThan(0);
    guard.noteClockCorrected(KEY);
    expect(guard.tryEnter(KEY, T)).toBe('locked_out');
  });

  it('is another one with another secret, which has a call of its own', () => {
    const { call, guard } = setUp(false);
    call('rejected', T);
    expect(call('rejected', T, { ...KEY, secretAccessKey: 'another' })).toBeGreaterThan(0);
    expect(guard.tryEnter(KEY, T)).toBe('locked_out');
  });
});
