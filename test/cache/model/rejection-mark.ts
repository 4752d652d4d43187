import type { Credential } from '../../../src/signing/credentials.ts';
import { REJECTED_STALE_MS } from './contract-numbers.ts';
import { type Ending, isListAnswer, type UpstreamCall } from './scripted-upstream.ts';

/**
 * Since when the vendor rejects the credential. From outside it is not always known which loads failed for that, so there
 * are two answers: since when it is sure, for what must not be served, and since when it is possible, for what must be.
 */
export interface RejectionMark {
  ended(call: UpstreamCall, ending: Ending, current: Credential): void;
  /** The current key may be locked out: a load fails for it without a call. */
  mayBeLocked(): void;
  /** Another replica had a success. */
  otherSucceeded(): void;
  /** Stale data must not be served any more. */
  readonly isOver: boolean;
  /** Stale data may have to be refused. */
  readonly mayBeOver: boolean;
}

export function createRejectionMark(now: () => number): RejectionMark {
  let surelySinceMs: number | undefined;
  let possiblySinceMs: number | undefined;
  const isOver = (sinceMs: number | undefined): boolean =>
    sinceMs !== undefined && now() - sinceMs >= REJECTED_STALE_MS;
  return {
    ended({ credential }, ending, current) {
      if (isListAnswer(ending)) {
        surelySinceMs = undefined;
        possiblySinceMs = undefined;
      } else if (ending === '401') {
        possiblySinceMs ??= now();
        // With a replaced one the load may try again, and end otherwise.
        if (credential === current) surelySinceMs ??= now();
      }
    },
    mayBeLocked() {
      possiblySinceMs ??= now();
    },
    otherSucceeded() {
      surelySinceMs = undefined;
    },
    get isOver() {
      return isOver(surelySinceMs);
    },
    get mayBeOver() {
      return isOver(possiblySinceMs);
    },
  };
}
