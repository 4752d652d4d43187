import type { Credential } from '../../../src/signing/credential.ts';
import { DEADLINE_MS, REJECTED_STALE_MS } from './contract-numbers.ts';
import { type Ending, isListAnswer, type UpstreamCall } from './scripted-upstream.ts';

/**
 * Since when the vendor rejects the credential. From outside it is not always known which loads failed for that, so there
 * are two answers: since when it is sure, for what must not be served, and since when it is possible, for what must be.
 */
export interface RejectionMark {
  /** @param latest what a reload would bring */
  ended(call: UpstreamCall, ending: Ending, latest: Credential): void;
  /** The cache hears nothing of it; the key may be locked out for it. */
  endedLate(call: UpstreamCall, ending: Ending): void;
  /**
   * The current key may be locked out: a load fails for it without a call.
   *
   * @param isReplaced a reload brings another one
   */
  mayBeLocked(isReplaced: boolean): void;
  /**
   * Another replica had a success.
   *
   * @param isKnown this one has surely taken it in, and had no rejection since
   */
  otherSucceeded(isKnown: boolean): void;
  /** When the current key was last seen to be locked out, perhaps; minus infinity: never. */
  readonly lockedMs: number;
  /** Stale data must not be served any more. */
  readonly isOver: boolean;
  /** Stale data may have to be refused. */
  readonly mayBeOver: boolean;
}

export function createRejectionMark(now: () => number): RejectionMark {
  let surelySinceMs: number | undefined;
  let possiblySinceMs: number | undefined;
  /** The last rejection for which a load has surely failed. */
  let rejectedMs = Number.NEGATIVE_INFINITY;
  let lockedMs = Number.NEGATIVE_INFINITY;
  /** When a success last ended a time in which stale data was refused. */
  let overAtMs: number | undefined;
  const isOver = (sinceMs: number | undefined): boolean =>
    sinceMs !== undefined && now() - sinceMs >= REJECTED_STALE_MS;
  /**
   * A load whose second attempt is not sent ends with the rejection of the first, whatever was accepted since: a corner in
   * which stale data is refused for longer than it has to be.
   */
  let lateUntilMs = Number.NEGATIVE_INFINITY;
  const expectLate = (): void => {
    lateUntilMs = now() + DEADLINE_MS;
  };
  return {
    ended({ credential }, ending, latest) {
      if (isListAnswer(ending)) {
        if (isOver(possiblySinceMs)) overAtMs = now();
        surelySinceMs = undefined;
        if (now() >= lateUntilMs) possiblySinceMs = undefined;
      } else if (ending === '401') {
        possiblySinceMs ??= now();
        // Where it is replaced the load may try again, and end otherwise.
        if (credential !== latest) expectLate();
        else {
          surelySinceMs ??= now();
          rejectedMs = now();
        }
      }
    },
    endedLate({ sentAtMs }, ending) {
      if (ending === '401') possiblySinceMs ??= now();
      // What was sent before a rejection says nothing of the time after it; at the same moment it may have been sent after it.
      else if (isListAnswer(ending) && sentAtMs >= rejectedMs) surelySinceMs = undefined;
    },
    mayBeLocked(isReplaced) {
      possiblySinceMs ??= now();
      lockedMs = now();
      if (isReplaced) expectLate();
    },
    otherSucceeded(isKnown) {
      if (isKnown) possiblySinceMs = undefined;
      surelySinceMs = undefined;
    },
    get lockedMs() {
      return lockedMs;
    },
    get isOver() {
      return isOver(surelySinceMs);
    },
    get mayBeOver() {
      // At the moment of the success another load may have failed just before it.
      return isOver(possiblySinceMs) || overAtMs === now();
    },
  };
}
