import { isSameCredential } from '../credentials/credential-provider.ts';
import type { Credential } from '../signing/credentials.ts';
import { type ConcurrencyLimit, createConcurrencyLimit, type Lease } from './concurrency-limit.ts';

/** After so many refusals in a row a key is left alone. The vendor locks it after more than 5. */
export const MAX_REFUSALS = 2;
/** For so long after the last refusal: 5 minutes, as long as the vendor locks a key. */
export const LOCK_OUT_MS = 300_000;
/** A success proves a key for so long: 1 second. Without such a proof calls go one by one. */
export const PROOF_MS = 1000;
/** A call without an answer for this long no longer holds back the next one: half a second. */
export const PROOF_WAIT_MS = 500;
/** Keys that are remembered: a refused one must not be forgotten because another was tried. */
const MAX_KEYS = 8;

/** A call's leave to be made with a key; to be given back with its outcome. */
export interface KeyPassage {
  readonly key: KeyRecord;
  readonly lease: Lease;
}

interface KeyRecord {
  readonly credential: Credential;
  readonly calls: ConcurrencyLimit;
  /** In a row. */
  refusals: number;
  lastRefusalAtMs: number;
  lastSuccessAtMs: number;
}

export type KeyOutcome = 'accepted' | 'refused' | 'neutral';

export interface RefusalGuard {
  /** `locked_out`: no call with this key now. `busy`: not before another call with it has ended. */
  tryEnter(credential: Credential, nowMs: number): KeyPassage | 'locked_out' | 'busy';
  /**
   * The call has ended: the vendor accepted the key, refused it, or did not say.
   *
   * @returns true when the key is locked out from now on
   */
  leave(passage: KeyPassage, outcome: KeyOutcome, nowMs: number): boolean;
}

/**
 * Keeps a key from being locked by the vendor (more than 5 failed authentications in a row, for 5 minutes). Two
 * refusals in a row are the most that it earns here within 5 minutes, however many calls there are at once:
 * a key that was not accepted within the last second is tried by one call at a time, or by two when the first
 * gets no answer, and never by more than it has refusals left. A replaced key starts afresh.
 *
 * @param leaseMs a call that has not ended by then is taken for lost
 */
export function createRefusalGuard(leaseMs: number): RefusalGuard {
  let keys: KeyRecord[] = [];

  function recordOf(credential: Credential): KeyRecord {
    const known = keys.find((key) => isSameCredential(key.credential, credential));
    const key = known ?? {
      credential,
      calls: createConcurrencyLimit({ max: Number.POSITIVE_INFINITY, leaseMs }),
      refusals: 0,
      lastRefusalAtMs: Number.NEGATIVE_INFINITY,
      lastSuccessAtMs: Number.NEGATIVE_INFINITY,
    };
    keys = [key, ...keys.filter((other) => other !== key)].slice(0, MAX_KEYS);
    return key;
  }

  return {
    tryEnter(credential, nowMs) {
      const key = recordOf(credential);
      if (key.refusals >= MAX_REFUSALS) {
        if (nowMs - key.lastRefusalAtMs < LOCK_OUT_MS) return 'locked_out';
        key.refusals = 0;
      }
      const isProven = key.refusals === 0 && nowMs - key.lastSuccessAtMs < PROOF_MS;
      if (!isProven && key.calls.inFlight(nowMs) >= callsAllowed(key, nowMs)) return 'busy';
      return { key, lease: key.calls.tryEnter(nowMs) as Lease };
    },
    leave({ key, lease }, outcome, nowMs) {
      key.calls.leave(lease);
      if (outcome === 'accepted') {
        key.refusals = 0;
        key.lastSuccessAtMs = nowMs;
      } else if (outcome === 'refused') {
        key.refusals += 1;
        key.lastRefusalAtMs = nowMs;
        key.lastSuccessAtMs = Number.NEGATIVE_INFINITY;
      }
      return outcome === 'refused' && key.refusals === MAX_REFUSALS;
    },
  };
}

/** How many calls may be under way with a key that is not proven. */
function callsAllowed({ calls, refusals }: KeyRecord, nowMs: number): number {
  if (refusals > 0) return MAX_REFUSALS - refusals;
  return calls.newestAgeMs(nowMs) >= PROOF_WAIT_MS ? MAX_REFUSALS : 1;
}
