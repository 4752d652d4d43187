import { isSameCredential } from '../../credentials/provider.ts';
import type { Credential } from '../../signing/credential.ts';
import { type ConcurrencyLimit, createConcurrencyLimit, type Lease } from './concurrency-limit.ts';
import { createPause, type Pause } from './pause.ts';

/** After so many refusals in a row a key is left alone. The vendor locks it after more than 5. */
export const MAX_REFUSALS = 2;
/**
 * The same for one access key id with whatever secret: 4. The vendor locks the id, and several slips while a
 * secret is replaced must not add up to its limit.
 */
export const MAX_REFUSALS_OF_ID = 4;
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
  readonly refusalsBefore: number;
}

interface KeyRecord {
  readonly credential: Credential;
  readonly calls: ConcurrencyLimit;
  /** In a row. */
  refusals: number;
  /** In all: tells what began before a refusal from what began after it. */
  allRefusals: number;
  /** Lasts for LOCK_OUT_MS after each refusal. */
  readonly sinceRefusal: Pause;
  lastSuccessAtMs: number;
}

export type KeyOutcome = 'accepted' | 'refused' | 'neutral';

export interface RefusalGuard {
  /** `locked_out`: no call with this key now. `busy`: not before another call with it has ended. */
  tryEnter(credential: Credential, nowMs: number): KeyPassage | 'locked_out' | 'busy';
  /** True when the key was refused since: a call that was not sent yet must enter anew. */
  isOutdated(passage: KeyPassage): boolean;
  /**
   * The call has ended: the vendor accepted the key, refused it, or did not say.
   *
   * @returns true when the key is locked out from now on
   */
  leave(passage: KeyPassage, outcome: KeyOutcome, nowMs: number): boolean;
}

/**
 * Keeps a key from being locked by the vendor (more than 5 failed authentications in a row, for 5 minutes). After
 * two refusals in a row no call is made with it for 5 minutes, however many requests there are, and then one. Never
 * are more calls under way with a key than it has refusals left, and a key that was not accepted within the last
 * second is tried by one call at a time, or by two when the first gets no answer. A replaced key starts afresh,
 * within the bound of its id.
 *
 * @param leaseMs a call that has not ended by then is taken for lost
 */
export function createRefusalGuard(leaseMs: number): RefusalGuard {
  let keys: KeyRecord[] = [];

  function recordOf(credential: Credential, nowMs: number): KeyRecord {
    const known = keys.find((key) => isSameCredential(key.credential, credential));
    const key = known ?? {
      credential,
      calls: createConcurrencyLimit({ max: Number.POSITIVE_INFINITY, leaseMs }),
      refusals: 0,
      allRefusals: 0,
      sinceRefusal: createPause(),
      lastSuccessAtMs: Number.NEGATIVE_INFINITY,
    };
    const others = keys.filter((other) => other !== key);
    // A key that was refused lately is never forgotten.
    const kept = others.filter(
      (other, index) => index < MAX_KEYS - 1 || other.sinceRefusal.remainingMs(nowMs) > 0,
    );
    keys = [key, ...kept];
    return key;
  }

  const withSameId = ({ credential }: KeyRecord): KeyRecord[] =>
    keys.filter((key) => key.credential.accessKeyId === credential.accessKeyId);

  /** Refusals in the last 5 minutes that no success followed, of the id with any secret. */
  function refusalsOfId(key: KeyRecord, nowMs: number): number {
    let refusals = 0;
    for (const each of withSameId(key)) {
      if (each.sinceRefusal.remainingMs(nowMs) > 0) refusals += each.refusals;
    }
    return refusals;
  }

  /**
   * How many calls may be under way with a key: no more than it has refusals left, since all of them may be refused
   * before the first is known to be. So two, and one where nothing says that the key is good.
   */
  function callsAllowed(key: KeyRecord, ofId: number, nowMs: number): number {
    const left = Math.min(MAX_REFUSALS - key.refusals, MAX_REFUSALS_OF_ID - ofId);
    const isProven = key.refusals === 0 && Math.abs(nowMs - key.lastSuccessAtMs) < PROOF_MS;
    if (isProven || key.refusals > 0 || key.calls.newestAgeMs(nowMs) >= PROOF_WAIT_MS) return left;
    return Math.min(1, left);
  }

  return {
    tryEnter(credential, nowMs) {
      const key = recordOf(credential, nowMs);
      const ofId = refusalsOfId(key, nowMs);
      if (ofId >= MAX_REFUSALS_OF_ID) return 'locked_out';
      if (key.refusals >= MAX_REFUSALS) {
        if (key.sinceRefusal.remainingMs(nowMs) > 0) return 'locked_out';
        // One call shows whether the key works again.
        key.refusals = MAX_REFUSALS - 1;
      }
      if (key.calls.inFlight(nowMs) >= callsAllowed(key, ofId, nowMs)) return 'busy';
      return { key, lease: key.calls.tryEnter(nowMs) as Lease, refusalsBefore: key.allRefusals };
    },
    isOutdated: ({ key, refusalsBefore }) => key.allRefusals !== refusalsBefore,
    leave({ key, lease, refusalsBefore }, outcome, nowMs) {
      key.calls.leave(lease);
      if (outcome === 'accepted') {
        // The vendor saw a call that began before a refusal before it, or may have.
        if (key.allRefusals !== refusalsBefore) return false;
        for (const each of withSameId(key)) each.refusals = 0;
        key.lastSuccessAtMs = nowMs;
      } else if (outcome === 'refused') {
        key.refusals += 1;
        key.allRefusals += 1;
        key.sinceRefusal.begin(nowMs, LOCK_OUT_MS);
        key.lastSuccessAtMs = Number.NEGATIVE_INFINITY;
      }
      return outcome === 'refused' && key.refusals === MAX_REFUSALS;
    },
  };
}
