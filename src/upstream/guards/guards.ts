import type { KeyUse, KeyVerdict } from '../../fleet/key-proofs.ts';
import type { TargetPlatform } from '../../platform/platform.ts';
import type { Credential } from '../../signing/credential.ts';
import { UpstreamError } from '../../vendor/upstream-error.ts';
import { type CallOutcome, createCircuitBreaker, type Passage } from './circuit-breaker.ts';
import { createConcurrencyLimit, type Lease } from './concurrency-limit.ts';
import { createKeyGuard, type KeyPassage, LATE_ANSWER_MS } from './key-guard.ts';
import { createPause } from './pause.ts';

export interface GuardsOptions extends Pick<TargetPlatform, 'random' | 'logger' | 'metrics'> {
  /** Maximum number of calls at once. */
  readonly maxConcurrent: number;
  /**
   * Time after which an attempt that has not ended is considered lost, in milliseconds; longer than any attempt can take.
   * With the key it is longer by the time for which late answers are read.
   */
  readonly leaseMs: number;
}

/** What one attempt holds of the guards. Only the guards read and write it. */
export interface Admission {
  readonly lease: Lease;
  /** Set by enterKey, removed when the key is left. */
  keyPassage: KeyPassage | undefined;
  /** What replicas allowed, where they are asked. Set by the attempt that has entered the key. */
  keyUse: KeyUse | undefined;
  /** Set by confirm, right before the call is sent. */
  breakerPassage: Passage | undefined;
}

/**
 * The guards of one target, asked in this order: `enter`, `enterKey` until it is the call's turn, `confirm` when the
 * call is signed, and `leave` when it has ended, whatever became of it. `nowMs` is
 * elapsed time, here and in every guard, so that no clock that is set shortens or lengthens anything.
 */
export interface Guards {
  /** Some key was accepted since the start. */
  readonly hasAccepted: boolean;
  /**
   * Takes a place for one attempt.
   *
   * @throws UpstreamError as `assertOpen` does, and `overloaded` while the maximum of calls is under way
   */
  enter(nowMs: number): Admission;
  /**
   * @throws UpstreamError while no call may be made, whatever its key: `upstream_throttled` during a pause that the
   *   vendor asked for, `overloaded` while the circuit breaker is open
   */
  assertOpen(nowMs: number): void;
  /**
   * Asks to use a key.
   *
   * @returns false while other calls use the key and this one has to wait: ask again
   * @throws UpstreamError `upstream_rejected` with reason `locked_out`
   */
  enterKey(admission: Admission, credential: Credential, nowMs: number): boolean;
  /**
   * Asks once more, since others may have learned something while the call waited or was signed. From here to the
   * fetch nothing may be awaited.
   *
   * @returns false when the key has to be entered again: it was rejected in the meantime and has been left
   * @throws UpstreamError as `assertOpen` does
   */
  confirm(admission: Admission, nowMs: number): boolean;
  /**
   * Ends the attempt. Each part of the admission is left once; leaving again changes nothing.
   *
   * @param keyOutcome `awaited`: the vendor may still say something of the key, so its place is kept until the attempt is
   *   left again
   */
  leave(admission: Admission, outcome: CallOutcome, keyOutcome: KeyVerdict | 'awaited', nowMs: number): void;
  /** Replicas say that no call may be made now with the key that was entered. */
  noteRejectedElsewhere(admission: Admission, nowMs: number): void;
  /** A rejection of this key for the date has corrected the clock: one more call may be made with it. */
  noteClockCorrected(credential: Credential): void;
  /** Begins a pause that the vendor asked for. */
  throttle(pauseMs: number, nowMs: number): void;
}

/**
 * Composes the guards of upstream calls, the cheapest first: the vendor's pause, the circuit breaker, the limit of
 * calls at once, and the key guard, which keeps a rejected key from being locked.
 */
export function createGuards({ maxConcurrent, leaseMs, random, logger, metrics }: GuardsOptions): Guards {
  const throttlePause = createPause();
  const breaker = createCircuitBreaker({
    probeLeaseMs: leaseMs,
    random,
    onChange: (state, openMs) => {
      metrics.breakerChanged(state);
      logger.warn({ state, openMs }, 'circuit breaker');
    },
  });
  const limit = createConcurrencyLimit({
    max: maxConcurrent,
    leaseMs,
    onChange: (change) => metrics.upstreamInFlight(change),
  });
  const keyGuard = createKeyGuard(leaseMs + LATE_ANSWER_MS, random);

  function assertOpen(nowMs: number): void {
    const throttledMs = throttlePause.remainingMs(nowMs);
    if (throttledMs > 0) {
      const retryAfterSeconds = Math.ceil(throttledMs / 1000);
      throw new UpstreamError('upstream_throttled', { reason: 'throttled', retryAfterSeconds });
    }
    const breakerMs = breaker.waitMs(nowMs);
    if (breakerMs > 0) {
      const retryAfterSeconds = Math.max(1, Math.ceil(breakerMs / 1000));
      throw new UpstreamError('overloaded', { reason: 'breaker_open', retryAfterSeconds });
    }
  }

  function leaveKey(admission: Admission, outcome: KeyVerdict, nowMs: number): void {
    const passage = admission.keyPassage;
    admission.keyPassage = undefined;
    void admission.keyUse?.leave(outcome);
    admission.keyUse = undefined;
    const lockOutMs = passage === undefined ? 0 : keyGuard.leave(passage, outcome, nowMs);
    if (lockOutMs > 0) logger.error({ lockOutMs }, 'the vendor rejects the access key: it is left alone');
  }

  return {
    get hasAccepted() {
      return keyGuard.hasAccepted;
    },
    assertOpen,
    enter(nowMs) {
      assertOpen(nowMs);
      const lease = limit.tryEnter(nowMs);
      if (lease !== undefined)
        return { lease, keyPassage: undefined, keyUse: undefined, breakerPassage: undefined };
      throw new UpstreamError('overloaded', { reason: 'too_many_in_flight', retryAfterSeconds: 1 });
    },
    enterKey(admission, credential, nowMs) {
      const passage = keyGuard.tryEnter(credential, nowMs);
      if (passage === 'locked_out') throw new UpstreamError('upstream_rejected', { reason: 'locked_out' });
      if (passage === 'busy') return false;
      admission.keyPassage = passage;
      return true;
    },
    confirm(admission, nowMs) {
      assertOpen(nowMs);
      const { keyPassage } = admission;
      if (keyPassage === undefined || keyGuard.isOutdated(keyPassage)) {
        leaveKey(admission, 'neutral', nowMs);
        return false;
      }
      admission.breakerPassage = breaker.tryEnter(nowMs);
      return true;
    },
    leave(admission, outcome, keyOutcome, nowMs) {
      if (keyOutcome !== 'awaited') leaveKey(admission, keyOutcome, nowMs);
      const passage = admission.breakerPassage;
      admission.breakerPassage = undefined;
      if (passage !== undefined) breaker.leave(passage, outcome, nowMs);
      limit.leave(admission.lease);
    },
    noteRejectedElsewhere({ keyPassage }, nowMs) {
      if (keyPassage !== undefined) keyGuard.noteRejectedElsewhere(keyPassage, nowMs);
    },
    noteClockCorrected: keyGuard.noteClockCorrected,
    throttle(pauseMs, nowMs) {
      throttlePause.begin(nowMs, pauseMs);
    },
  };
}
