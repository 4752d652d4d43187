import type { Credential } from '../../../src/signing/credential.ts';
import {
  ID_REJECTIONS,
  KEY_REJECTIONS,
  LOCK_OUT_MS,
  LONGEST_LOCK_OUT_MS,
  PROOF_MS,
  UNPROVEN_MS,
} from './contract-numbers.ts';
import type { Ending, UpstreamCall } from './scripted-upstream.ts';
import type { Demand } from './violations.ts';

/** What has to hold of the calls with one access key, so that the vendor never locks it. */
export interface KeyRule {
  sent(call: UpstreamCall, others: readonly UpstreamCall[]): void;
  ended(call: UpstreamCall, ending: Ending): void;
  /** How long the key may be locked out after a rejection. */
  longestLockOutMs(credential: Credential): number;
  /** True when no call with this credential may be made, or perhaps none. */
  mayBeLocked(credential: Credential): boolean;
}

export interface KeyRuleOptions {
  readonly now: () => number;
  /** The key is asked for this long before a call is sent. */
  readonly signingMs: number;
  readonly demand: Demand;
}

interface Rejection {
  readonly credential: Credential;
  readonly atMs: number;
}

const isOf =
  ({ accessKeyId }: Credential) =>
  ({ credential }: Rejection): boolean =>
    credential.accessKeyId === accessKeyId;

const isOfKey =
  (wanted: Credential) =>
  ({ credential }: Rejection): boolean =>
    credential === wanted;

export function createKeyRule({ now, signingMs, demand }: KeyRuleOptions): KeyRule {
  /** Those that no success of the id followed; and those that none followed which was sent after them. */
  let unforgiven: readonly Rejection[] = [];
  let counted: readonly Rejection[] = [];
  const accepted = new Map<Credential, number>();
  const everAccepted = new Set<Credential>();
  const lastRejected = new Map<Credential, number>();
  const rejectionsOf = (credential: Credential): number =>
    everAccepted.has(credential) ? KEY_REJECTIONS : 1;
  const longestLockOutMs = (credential: Credential): number =>
    everAccepted.has(credential) ? LOCK_OUT_MS : LONGEST_LOCK_OUT_MS;
  const isRecent = ({ atMs }: Rejection): boolean => now() - atMs < LOCK_OUT_MS;
  function check({ credential }: UpstreamCall, others: readonly UpstreamCall[]): void {
    const ofKey = unforgiven.filter(isOfKey(credential));
    const ofId = unforgiven.filter(isOf(credential));
    const facts = { key: credential, rejections: ofKey.length };
    const limit = rejectionsOf(credential);
    const isLocked = ofKey.length >= limit && ofKey.slice(-limit).some(isRecent);
    demand(
      !isLocked,
      'a key that was rejected twice in a row, or never accepted, is left alone for 5 minutes',
      facts,
    );
    // The guard of the id is asked once, before the call is signed.
    const seen = ofId.filter(isRecent).filter(({ atMs }) => atMs < now() - signingMs);
    demand(seen.length < ID_REJECTIONS, 'an id that was rejected 4 times in 5 minutes is left alone', facts);

    const isOutdated = ofKey.some(({ atMs }) => atMs < now() && now() - atMs < signingMs);
    demand(!isOutdated, 'no call is sent that was signed before its key was rejected', facts);

    const withKey = others.filter((call) => call.credential === credential);
    const allowed = ofKey.length > 0 ? 0 : limit - 1;
    demand(
      withKey.length <= allowed,
      'no more calls are under way with a key than it has rejections left',
      facts,
    );
    const isProven = now() - (accepted.get(credential) ?? Number.NEGATIVE_INFINITY) < PROOF_MS + signingMs;
    const isAlone = withKey.every(({ sentAtMs }) => now() - sentAtMs >= UNPROVEN_MS);
    demand(isProven || isAlone, 'an unproven call has its key for itself for 500 ms', facts);
  }

  function checkRejections(credential: Credential): void {
    const ofId = unforgiven.filter(isRecent).filter(isOf(credential));
    const ofKey = ofId.filter(isOfKey(credential));
    const facts = { credential, ofKey: ofKey.length, ofId: ofId.length };
    demand(ofKey.length <= KEY_REJECTIONS, 'a key has 2 rejections in a row in 5 minutes at most', facts);
    demand(ofId.length <= ID_REJECTIONS, 'an id has 4 rejections in a row in 5 minutes at most', facts);
  }

  function note({ credential, sentAtMs }: UpstreamCall, ending: Ending): void {
    if (ending === '401') {
      const rejection = { credential, atMs: now() };
      counted = [...counted, rejection];
      unforgiven = [...unforgiven, rejection];
      accepted.delete(credential);
      lastRejected.set(credential, now());
      checkRejections(credential);
    } else if (ending === 'ok' || ending === 'garbage' || ending === 'broken') {
      // The status says that the key is good, whatever the body is.
      accepted.set(credential, now());
      everAccepted.add(credential);
      const isOfId = isOf(credential);
      unforgiven = unforgiven.filter((rejection) => !isOfId(rejection));
      // The vendor may have seen it before a rejection that came before it.
      const lastMs = lastRejected.get(credential) ?? Number.NEGATIVE_INFINITY;
      if (lastMs < sentAtMs - signingMs) counted = counted.filter((rejection) => !isOfId(rejection));
    }
  }

  function mayBeLocked(credential: Credential): boolean {
    const ofId = counted.filter(isOf(credential));
    const ofKey = ofId.filter(isOfKey(credential));
    const isPossible = ({ atMs }: Rejection): boolean => now() - atMs < longestLockOutMs(credential);
    const isRejected = ofKey.length >= rejectionsOf(credential) && ofKey.some(isPossible);
    return isRejected || ofId.length >= ID_REJECTIONS;
  }

  return { sent: check, ended: note, longestLockOutMs, mayBeLocked };
}
