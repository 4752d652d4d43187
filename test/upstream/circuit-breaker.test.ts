import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CallOutcome,
  createCircuitBreaker,
  type Passage,
} from '../../src/upstream/guards/circuit-breaker.ts';

/** The breaker is open for 5 seconds at first, and twice as long after each failed probe. */
const FIRST_OPEN_MS = 5000;
/** Fewer calls than 10 in the window do not open the breaker. */
const LEAST_CALLS = 10;
/** The breaker is never open for longer than 60 seconds. */
const LONGEST_OPEN_MS = 60_000;
/** Open times are shortened by up to a fifth at random. */
const OPEN_JITTER = 0.2;
/** While a probe is under way the others are told 1 second. */
const PROBE_WAIT_MS = 1000;
/** The breaker counts the calls of the last 10 seconds. */
const WINDOW_SECONDS = 10;

const PROBE_LEASE_MS = 9000;

function setUp(random = () => 0) {
  const changes: [string, number | undefined][] = [];
  const breaker = createCircuitBreaker({
    probeLeaseMs: PROBE_LEASE_MS,
    random,
    onChange: (state, openMs) => changes.push([state, openMs]),
  });
  const call = (outcome: CallOutcome, nowMs: number) =>
    breaker.leave(breaker.tryEnter(nowMs) as Passage, outcome, nowMs);
  const open = (nowMs: number) => {
    for (let count = 0; count < LEAST_CALLS; count += 1) call('failure', nowMs);
  };
  return { breaker, call, changes, open };
}

describe('the circuit breaker', () => {
  it('opens with the tenth failure in quick succession, not before', () => {
    const { breaker, call } = setUp();
    for (let count = 1; count < LEAST_CALLS; count += 1) call('failure', 0);
    expect(breaker.state).toBe('closed');
    call('failure', 0);
    expect(breaker.state).toBe('open');
    expect(breaker.waitMs(0)).toBe(FIRST_OPEN_MS);
    expect(breaker.tryEnter(FIRST_OPEN_MS - 1)).toBeUndefined();
  });

  it.each([
    [11, 10, 'closed'],
    [10, 10, 'open'],
    [100, 99, 'closed'],
  ] as const)('with %d successes and %d failures is %s', (successes, failures, state) => {
    const { breaker, call } = setUp();
    for (let count = 0; count < successes; count += 1) call('success', 0);
    for (let count = 0; count < failures; count += 1) call('failure', 0);
    expect(breaker.state).toBe(state);
  });

  it('forgets what has left the window', () => {
    for (const [laterMs, state] of [
      [WINDOW_SECONDS * 1000, 'closed'],
      [WINDOW_SECONDS * 1500, 'closed'],
      [WINDOW_SECONDS * 1000 - 1, 'open'],
    ] as const) {
      const { breaker, call } = setUp();
      for (let count = 1; count < LEAST_CALLS; count += 1) call('failure', 0);
      call('failure', laterMs);
      expect(breaker.state).toBe(state);
    }
  });

  it('does not count what is neutral', () => {
    const { breaker, call } = setUp();
    for (let count = 0; count < 100; count += 1) call('neutral', 0);
    expect(breaker.state).toBe('closed');
    for (let count = 1; count < LEAST_CALLS; count += 1) call('failure', 0);
    expect(breaker.state).toBe('closed');
  });

  it('lets one probe out at a time, and closes with its success', () => {
    const { breaker, call, changes, open } = setUp();
    open(0);
    const probe = breaker.tryEnter(FIRST_OPEN_MS) as Passage;
    expect(breaker.tryEnter(FIRST_OPEN_MS)).toBeUndefined();
    expect(breaker.waitMs(FIRST_OPEN_MS)).toBe(PROBE_WAIT_MS);
    breaker.leave(probe, 'success', FIRST_OPEN_MS);
    expect(changes.map(([state]) => state)).toEqual(['open', 'half_open', 'closed']);
    // What was counted before is forgotten.
    for (let count = 1; count < LEAST_CALLS; count += 1) call('failure', FIRST_OPEN_MS);
    expect(breaker.state).toBe('closed');
  });

  it('goes on probing after a neutral probe, and when one was lost', () => {
    const { breaker, open } = setUp();
    open(0);
    breaker.leave(breaker.tryEnter(FIRST_OPEN_MS) as Passage, 'neutral', FIRST_OPEN_MS);
    expect(breaker.state).toBe('half_open');
    expect(breaker.tryEnter(FIRST_OPEN_MS)).toBeDefined();
    expect(breaker.tryEnter(FIRST_OPEN_MS + PROBE_LEASE_MS - 1)).toBeUndefined();
    expect(breaker.waitMs(FIRST_OPEN_MS + PROBE_LEASE_MS)).toBe(0);
    expect(breaker.tryEnter(FIRST_OPEN_MS + PROBE_LEASE_MS)).toBeDefined();
  });

  it('doubles the time for each failed probe, up to a minute, and starts again once it was closed', () => {
    const { breaker, call, changes, open } = setUp();
    open(0);
    let nowMs = 0;
    for (let count = 0; count < 6; count += 1) {
      nowMs += breaker.waitMs(nowMs);
      call('failure', nowMs);
    }
    expect(changes.filter(([state]) => state === 'open').map(([, openMs]) => openMs)).toEqual([
      5000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000,
    ]);
    nowMs += LONGEST_OPEN_MS;
    call('success', nowMs);
    open(nowMs);
    expect(breaker.waitMs(nowMs)).toBe(FIRST_OPEN_MS);
  });

  it('shortens the time at random', () => {
    const { breaker, open } = setUp(() => 0.5);
    open(0);
    expect(breaker.waitMs(0)).toBe(FIRST_OPEN_MS * (1 - OPEN_JITTER / 2));
  });

  it('takes no word from calls that began before it changed', () => {
    const { breaker, open } = setUp();
    const late = [breaker.tryEnter(0), breaker.tryEnter(0), breaker.tryEnter(0)] as Passage[];
    open(0);
    breaker.leave(late[0] as Passage, 'success', 1);
    expect(breaker.state).toBe('open');
    breaker.tryEnter(FIRST_OPEN_MS);
    breaker.leave(late[1] as Passage, 'success', FIRST_OPEN_MS);
    breaker.leave(late[2] as Passage, 'failure', FIRST_OPEN_MS);
    expect(breaker.state).toBe('half_open');
  });

  it('lets nothing out while open, one while half open, and is never stuck', () => {
    const step = fc.record({
      waitMs: fc.constantFrom(0, 1, 500, 5000, 70_000),
      enter: fc.boolean(),
      outcome: fc.constantFrom<CallOutcome>('success', 'failure', 'failure', 'neutral'),
      isLost: fc.constantFrom(false, false, false, true),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.double({ min: 0, max: 0.999 }), (steps, jitter) => {
        const { breaker } = setUp(() => jitter);
        const held: { passage: Passage; state: string; atMs: number }[] = [];
        let nowMs = 1e12;
        for (const { waitMs, enter, outcome, isLost } of steps) {
          nowMs += waitMs;
          const wasOpen = breaker.state === 'open' && breaker.waitMs(nowMs) > 0;
          if (enter) {
            const mayEnter = breaker.waitMs(nowMs) === 0;
            const passage = breaker.tryEnter(nowMs);
            expect(passage !== undefined).toBe(mayEnter);
            expect(wasOpen && passage !== undefined).toBe(false);
            if (passage !== undefined) held.push({ passage, state: breaker.state, atMs: nowMs });
          } else {
            const last = held.pop();
            if (last !== undefined && !isLost) breaker.leave(last.passage, outcome, nowMs);
          }
          const probes = held.filter(
            ({ state, atMs, passage }) =>
              state === 'half_open' && passage.lease && nowMs - atMs < PROBE_LEASE_MS,
          );
          if (breaker.state === 'half_open') expect(probes.length).toBeLessThanOrEqual(1);
        }
        nowMs += LONGEST_OPEN_MS + PROBE_LEASE_MS;
        expect(breaker.tryEnter(nowMs)).toBeDefined();
      }),
    );
  });
});
