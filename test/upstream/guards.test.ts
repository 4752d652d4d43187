import { describe, expect, it } from 'vitest';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Credential } from '../../src/signing/credential.ts';
import { type Admission, createGuards } from '../../src/upstream/guards/guards.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';

const T = Date.UTC(2026, 0, 2);
const KEY: Credential = { accessKeyId: 'AK1', secretAccessKey: 'secret' };
/** The breaker opens with the tenth failure in 10 seconds. */
const LEAST_CALLS = 10;

function setUp(maxConcurrent = 32) {
  const logger = createRecordingLogger();
  const seen = { inFlight: 0, states: [] as string[] };
  const guards = createGuards({
    maxConcurrent,
    leaseMs: 9000,
    random: () => 0,
    logger,
    metrics: {
      ...NO_METRICS,
      upstreamInFlight: (change) => {
        seen.inFlight += change;
      },
      breakerChanged: (state) => seen.states.push(state),
    },
  });
  const enter = (nowMs = T): Admission => {
    const admission = guards.enter(nowMs);
    expect(guards.enterKey(admission, KEY, nowMs)).toBe(true);
    return admission;
  };
  const confirmed = (nowMs = T): Admission => {
    const admission = enter(nowMs);
    expect(guards.confirm(admission, nowMs)).toBe(true);
    return admission;
  };
  // A key that was accepted before, a minute ago.
  guards.leave(confirmed(T - 60_000), 'success', 'accepted', T - 60_000);
  return { confirmed, enter, guards, logger, seen };
}

/** What the guards say to a call that they hold back. */
function heldBack(ask: () => unknown): string {
  try {
    ask();
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error;
    return [error.kind, error.reason, error.retryAfterSeconds].filter((part) => part !== undefined).join(' ');
  }
  return 'let out';
}

describe('the guards', () => {
  it('let out as many calls as may be under way, and take each back once', () => {
    const { guards, seen } = setUp(2);
    const first = guards.enter(T);
    guards.enter(T);
    expect(heldBack(() => guards.enter(T))).toBe('overloaded too_many_in_flight 1');
    guards.leave(first, 'neutral', 'neutral', T);
    guards.leave(first, 'neutral', 'neutral', T);
    expect(seen.inFlight).toBe(1);
    guards.enter(T);
    expect(heldBack(() => guards.enter(T))).toBe('overloaded too_many_in_flight 1');
  });

  it('hold all calls back while the vendor asked for a pause, those that have entered too', () => {
    const { enter, guards } = setUp();
    const entered = enter();
    guards.throttle(1500, T);
    expect(heldBack(() => guards.enter(T))).toBe('upstream_throttled throttled 2');
    expect(heldBack(() => guards.assertOpen(T))).toBe('upstream_throttled throttled 2');
    expect(heldBack(() => guards.confirm(entered, T))).toBe('upstream_throttled throttled 2');
    expect(guards.confirm(entered, T + 1500)).toBe(true);
  });

  it('count a failure once, however often its call is left', () => {
    const { confirmed, guards, seen } = setUp();
    for (let call = 1; call < LEAST_CALLS; call += 1) {
      const admission = confirmed();
      guards.leave(admission, 'failure', 'accepted', T);
      guards.leave(admission, 'failure', 'accepted', T);
    }
    expect(heldBack(() => guards.assertOpen(T))).toBe('let out');
    guards.leave(confirmed(), 'failure', 'accepted', T);
    expect(heldBack(() => guards.assertOpen(T))).toBe('overloaded breaker_open 5');
    expect(heldBack(() => guards.enter(T))).toBe('overloaded breaker_open 5');
    expect(seen.states).toEqual(['open']);
  });

  it('count nothing of a call that was not sent', () => {
    const { enter, guards } = setUp();
    for (let call = 0; call < LEAST_CALLS; call += 1) guards.leave(enter(), 'failure', 'accepted', T);
    expect(heldBack(() => guards.assertOpen(T))).toBe('let out');
  });

  it('count a rejection once, and say when the key is locked out', () => {
    const { confirmed, guards, logger } = setUp();
    const first = confirmed();
    guards.leave(first, 'neutral', 'rejected', T);
    guards.leave(first, 'neutral', 'rejected', T);
    expect(logger.lines).toEqual([]);
    guards.leave(confirmed(), 'neutral', 'rejected', T);
    expect(logger.lines).toMatchObject([{ level: 'error', fields: { lockOutMs: 300_000 } }]);
    const next = guards.enter(T);
    expect(heldBack(() => guards.enterKey(next, KEY, T))).toBe('upstream_rejected locked_out');
  });

  it('make a call wait while another tries the key', () => {
    const { enter, guards } = setUp();
    const first = enter();
    const second = guards.enter(T);
    expect(guards.enterKey(second, KEY, T)).toBe(false);
    guards.leave(first, 'success', 'accepted', T);
    expect(guards.enterKey(second, KEY, T)).toBe(true);
  });

  it('send a call back to the key guard when its key was rejected meanwhile, without holding the key', () => {
    const { confirmed, enter, guards } = setUp();
    // Half a second without an answer lets a second call try the key.
    const first = confirmed();
    const second = enter(T + 500);
    guards.leave(first, 'neutral', 'rejected', T + 500);
    expect(guards.confirm(second, T + 500)).toBe(false);
    // The key has one rejection left, so one call may try it.
    expect(guards.enterKey(second, KEY, T + 500)).toBe(true);
    expect(guards.confirm(second, T + 500)).toBe(true);
  });
});
