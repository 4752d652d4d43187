import { isSameCredential } from '../../credentials/provider.ts';
import type { KeyKnowledge, KeyVerdict } from '../../fleet/key-proofs.ts';
import { LOCK_OUT_MS, lockOutMs } from '../../fleet/lock-out.ts';
import { type Credential, keyIdOf } from '../../signing/credential.ts';
import { type ConcurrencyLimit, createConcurrencyLimit, type Lease } from './concurrency-limit.ts';
import { createPause, type Pause } from './pause.ts';

/**
 * Rejections in a row that lock out a key which was accepted before: 2. The vendor locks it after more than 5. A key that
 * was never accepted has 1, since every replica that starts with it makes that call.
 */
export const MAX_REJECTIONS = 2;
/**
 * Rejections in a row that lock an access key id out, whatever its secret: 4. The vendor locks the id, so mistakes
 * with several secrets must not add up to its limit.
 */
export const MAX_REJECTIONS_OF_ID = 4;
/** Time for which an accepted call proves its key: 1 second. Without proof calls go one at a time. */
export const PROOF_MS = 1000;
/** Time after which a call without an answer no longer holds back the next one: half a second. */
export const PROOF_WAIT_MS = 500;
/** A call that was given up is read for this long, as its answer may be a rejection: 30 seconds. */
export const LATE_ANSWER_MS = 30_000;
/** Time until replicas are asked again for a key that they leave alone: 5 seconds. */
const ASK_REPLICAS_MS = 5000;
/** Keys that are remembered: the last 8, all that were rejected in the last 5 minutes, and all that have calls under way. */
const MAX_KEYS = 8;

/** Permission to make one call with a key; returned with the call's outcome. */
export interface KeyPassage {
  readonly key: KeyRecord;
  readonly lease: Lease;
  readonly rejectionsBefore: number;
}

interface KeyRecord extends KeyKnowledge {
  readonly credential: Credential;
  readonly calls: ConcurrencyLimit;
  /** In a row. */
  rejections: number;
  /** In total: distinguishes calls that began before a rejection from those that began after it. */
  totalRejections: number;
  /** The last rejection was for the date. */
  wasForClock: boolean;
  /** The clock was corrected after a rejection, so that another call may be accepted. */
  isClockCorrected: boolean;
  isAccepted: boolean;
  readonly lockOut: Pause;
  /** Runs while replicas leave the key alone. */
  readonly elsewhere: Pause;
  /** Runs for LOCK_OUT_MS after each rejection. */
  readonly sinceRejection: Pause;
  lastSuccessAtMs: number;
}

export interface KeyGuard {
  /** Some key was accepted since the start. */
  readonly hasAccepted: boolean;
  /** `locked_out`: the key must not be used now. `busy`: ask again when another call with the key has ended. */
  tryEnter(credential: Credential, nowMs: number): KeyPassage | 'locked_out' | 'busy';
  /** True when the key was rejected since: a call that is not sent yet must enter again. */
  isOutdated(passage: KeyPassage): boolean;
  /**
   * Ends the call.
   *
   * @returns the length of the lock-out that this outcome begins, in milliseconds; 0: none
   */
  leave(passage: KeyPassage, outcome: KeyVerdict, nowMs: number): number;
  /** Replicas say that no call may be made with the key now: it is asked for again after 5 seconds. */
  noteRejectedElsewhere(passage: KeyPassage, nowMs: number): void;
  /** A rejection of this key for the date has corrected the clock. */
  noteClockCorrected(credential: Credential): void;
}

/**
 * Keeps the vendor from locking a key, which it does for 5 minutes after more than 5 failed authentications in a row.
 *
 * - After two rejections in a row no call is made with the key for 5 minutes, at any request rate, and then one.
 * - A key that was never accepted has one call, and one more when a rejection has corrected the clock; the next is made
 *   after 5 minutes, doubling to 1 hour.
 * - At no time are more calls under way with a key than it has rejections left. A call that was given up is under way
 *   until its answer comes, or for 30 seconds.
 * - A key that was not accepted within the last second is tried by one call at a time, or by two when the first gets
 *   no answer and the key was accepted before.
 * - Calls that are rejected for a date which was corrected after they were signed count as one.
 * - A new secret starts without rejections, within the limit of its access key id.
 *
 * @param leaseMs time after which a call that has not ended is considered lost
 * @param random from 0 (inclusive) to 1 (exclusive), for jitter
 */
export function createKeyGuard(leaseMs: number, random: () => number): KeyGuard {
  /** The most recently used first. */
  let keys: KeyRecord[] = [];
  let hasAccepted = false;

  function recordOf(credential: Credential, nowMs: number): KeyRecord {
    const known = keys.find((key) => isSameCredential(key.credential, credential));
    const key = known ?? createKeyRecord(credential, leaseMs);
    const others = keys.filter((other) => other !== key);
    // However many others were tried since, what was or may be a rejection counts.
    const kept = others.filter(
      (other, index) =>
        index < MAX_KEYS - 1 || other.lockOut.remainingMs(nowMs) > 0 || other.calls.inFlight(nowMs) > 0,
    );
    keys = [key, ...kept];
    return key;
  }

  const withSameId = ({ credential }: KeyRecord): KeyRecord[] =>
    keys.filter((key) => keyIdOf(key.credential) === keyIdOf(credential));

  return {
    get hasAccepted() {
      return hasAccepted;
    },
    tryEnter(credential, nowMs) {
      const key = recordOf(credential, nowMs);
      if (key.elsewhere.remainingMs(nowMs) > 0) return 'locked_out';
      const ofId = recentRejections(withSameId(key), nowMs);
      if (ofId >= MAX_REJECTIONS_OF_ID) return 'locked_out';
      if (key.rejections >= rejectionsAllowed(key)) {
        if (key.lockOut.remainingMs(nowMs) > 0) return 'locked_out';
        // One call shows whether the key works again.
        key.rejections = rejectionsAllowed(key) - 1;
      }
      const others = withSameId(key).filter((other) => other !== key);
      const underWay = others.reduce((calls, other) => calls + other.calls.inFlight(nowMs), 0);
      if (key.calls.inFlight(nowMs) >= callsAllowed(key, ofId + underWay, nowMs)) return 'busy';
      return { key, lease: key.calls.tryEnter(nowMs) as Lease, rejectionsBefore: key.totalRejections };
    },
    isOutdated: ({ key, rejectionsBefore }) => key.totalRejections !== rejectionsBefore,
    leave({ key, lease, rejectionsBefore }, outcome, nowMs) {
      key.calls.leave(lease);
      if (outcome === 'accepted') {
        hasAccepted = true;
        key.isAccepted = true;
        // The vendor may have seen a call that began before a rejection before it, so its success proves nothing.
        if (key.totalRejections !== rejectionsBefore) return 0;
        for (const each of withSameId(key)) each.rejections = 0;
        key.lastSuccessAtMs = nowMs;
        return 0;
      }
      if (outcome === 'neutral') return 0;
      // One correction of the clock answers all calls that were signed before it: together they count once.
      const isCounted =
        outcome === 'rejected' || !key.wasForClock || key.totalRejections === rejectionsBefore;
      if (isCounted) key.rejections += 1;
      key.totalRejections += 1;
      key.wasForClock = outcome === 'clock';
      key.sinceRejection.begin(nowMs, LOCK_OUT_MS);
      key.lastSuccessAtMs = Number.NEGATIVE_INFINITY;
      const lengthMs = key.isAccepted ? LOCK_OUT_MS : lockOutMs(key.totalRejections, random());
      key.lockOut.begin(nowMs, lengthMs);
      return isCounted && key.rejections >= rejectionsAllowed(key) ? lengthMs : 0;
    },
    noteRejectedElsewhere({ key }, nowMs) {
      key.elsewhere.begin(nowMs, ASK_REPLICAS_MS);
    },
    noteClockCorrected(credential) {
      const key = keys.find((known) => isSameCredential(known.credential, credential));
      if (key !== undefined) key.isClockCorrected = true;
    },
  };
}

function createKeyRecord(credential: Credential, leaseMs: number): KeyRecord {
  return {
    credential,
    calls: createConcurrencyLimit({ max: Number.POSITIVE_INFINITY, leaseMs }),
    rejections: 0,
    totalRejections: 0,
    wasForClock: false,
    isClockCorrected: false,
    isAccepted: false,
    lockOut: createPause(),
    elsewhere: createPause(),
    sinceRejection: createPause(),
    lastSuccessAtMs: Number.NEGATIVE_INFINITY,
  };
}

function rejectionsAllowed({ isAccepted, isClockCorrected }: KeyRecord): number {
  return isAccepted || isClockCorrected ? MAX_REJECTIONS : 1;
}

/** Rejections of these keys in the last 5 minutes that no success followed. */
function recentRejections(keys: readonly KeyRecord[], nowMs: number): number {
  let rejections = 0;
  for (const key of keys) {
    if (key.sinceRejection.remainingMs(nowMs) > 0) rejections += key.rejections;
  }
  return rejections;
}

/**
 * Calls that may be under way with a key: at most the rejections it has left, since all of them may be rejected
 * before the first result is known. That makes two, and one for a key that is not proved or was never accepted.
 *
 * @param takenOfId recent rejections of its access key id, and calls under way with other secrets of it
 */
function callsAllowed(key: KeyRecord, takenOfId: number, nowMs: number): number {
  const left = Math.min(rejectionsAllowed(key) - key.rejections, MAX_REJECTIONS_OF_ID - takenOfId);
  const isProven = key.rejections === 0 && nowMs - key.lastSuccessAtMs < PROOF_MS;
  if (isProven || key.rejections > 0 || key.calls.newestAgeMs(nowMs) >= PROOF_WAIT_MS) return left;
  return Math.min(1, left);
}
