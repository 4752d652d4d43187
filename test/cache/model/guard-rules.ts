import type { Credential } from '../../../src/signing/credentials.ts';
import { createBreakerRule } from './breaker-rule.ts';
import {
  ID_REJECTIONS,
  KEY_REJECTIONS,
  LOCK_OUT_MS,
  LONGEST_PAUSE_MS,
  PROOF_MS,
  UNPROVEN_MS,
} from './contract-numbers.ts';
import { MISSED_RULES } from './rules-to-come.ts';
import { type Ending, isListAnswer, type UpstreamCall } from './scripted-upstream.ts';
import type { Demand } from './violations.ts';

/** What has to hold at each call, whatever key of the cache it is for. */
export interface GuardRules {
  sent(call: UpstreamCall, others: readonly UpstreamCall[]): void;
  ended(call: UpstreamCall, ending: Ending): void;
  /** True when nothing keeps a call with this credential from being sent now. */
  isOpen(credential: Credential, underWay: readonly UpstreamCall[]): boolean;
  /** True when no call with this credential may be made, or perhaps none. */
  mayBeLocked(credential: Credential): boolean;
  /** True when in this instance no call failed but for a rejected key. */
  hasOnlyRejections(): boolean;
  /** True when a call failed, or was held back, so lately that a key may be paused for it. */
  wasTroubled(): boolean;
  /** When a call last ended like this; minus infinity: never. */
  lastMs(ending: Ending): number;
  /** When any call last ended. */
  readonly lastEndedMs: number;
  /** When a call may be made after a 429. */
  readonly heldUntilMs: number;
  readonly breaker: ReturnType<typeof createBreakerRule>;
}

interface Rejection {
  readonly credential: Credential;
  readonly atMs: number;
}

/** Longer than the longest pause and the load that was waiting then. */
const TROUBLE_MS = LONGEST_PAUSE_MS + 20_000;

export interface GuardRulesOptions {
  readonly now: () => number;
  /** What jitter is made of, the same at each time. */
  readonly random: number;
  /** The guards are asked this long before a call is sent. */
  readonly signingMs: number;
  readonly demand: Demand;
}

export function createGuardRules({ now, random, signingMs, demand }: GuardRulesOptions): GuardRules {
  const breaker = createBreakerRule(now, random, demand);
  /** Those that no success of the id followed; and those that none followed which was sent after them. */
  let unforgiven: readonly Rejection[] = [];
  let counted: readonly Rejection[] = [];
  const accepted = new Map<Credential, number>();
  const endings = new Map<Ending, number>();
  let heldUntilMs = Number.NEGATIVE_INFINITY;
  let heldSinceMs = Number.NEGATIVE_INFINITY;
  let troubleUntilMs = Number.NEGATIVE_INFINITY;

  const isRecent = ({ atMs }: Rejection): boolean => now() - atMs < LOCK_OUT_MS;
  const isOf =
    ({ accessKeyId }: Credential) =>
    ({ credential }: Rejection): boolean =>
      credential.accessKeyId === accessKeyId;

  function checkKey({ credential }: UpstreamCall, others: readonly UpstreamCall[]): void {
    const ofKey = unforgiven.filter((rejection) => rejection.credential === credential);
    const ofId = unforgiven.filter(isOf(credential));
    const facts = { key: credential, rejections: ofKey.length };
    const isLocked = ofKey.length >= KEY_REJECTIONS && ofKey.slice(-KEY_REJECTIONS).some(isRecent);
    demand(!isLocked, 'a key that was rejected twice in a row is left alone for 5 minutes', facts);
    // The guard of the id is asked once, before the call is signed.
    const seen = ofId.filter(isRecent).filter(({ atMs }) => atMs <= now() - signingMs);
    demand(seen.length < ID_REJECTIONS, 'an id that was rejected 4 times in 5 minutes is left alone', facts);

    const isOutdated = ofKey.some(({ atMs }) => atMs < now() && now() - atMs < signingMs);
    demand(!isOutdated, 'no call is sent that was signed before its key was rejected', facts);

    const withKey = others.filter((call) => call.credential === credential);
    const allowed = ofKey.length > 0 ? 0 : 1;
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
    const ofKey = ofId.filter((rejection) => rejection.credential === credential);
    const facts = { credential, ofKey: ofKey.length, ofId: ofId.length };
    demand(ofKey.length <= KEY_REJECTIONS, 'a key has 2 rejections in a row in 5 minutes at most', facts);
    if (!MISSED_RULES.idRejectionsCountCallsUnderWay) return;
    demand(ofId.length <= ID_REJECTIONS, 'an id has 4 rejections in a row in 5 minutes at most', facts);
  }

  function noteKey({ credential, sentAtMs }: UpstreamCall, ending: Ending): void {
    if (ending === '401') {
      const rejection = { credential, atMs: now() };
      counted = [...counted, rejection];
      unforgiven = [...unforgiven, rejection];
      accepted.delete(credential);
      checkRejections(credential);
    } else if (ending === 'ok' || ending === 'garbage' || ending === 'broken') {
      // The status says that the key is good, whatever the body is.
      accepted.set(credential, now());
      const isOfId = isOf(credential);
      unforgiven = unforgiven.filter((rejection) => !isOfId(rejection));
      // The vendor may have seen it before a rejection that came before it.
      const isAfter = (rejection: Rejection): boolean =>
        rejection.credential === credential && rejection.atMs >= sentAtMs - signingMs;
      if (!counted.some(isAfter)) counted = counted.filter((rejection) => !isOfId(rejection));
    }
  }

  function mayBeLocked(credential: Credential): boolean {
    const ofId = counted.filter(isOf(credential));
    const ofKey = ofId.filter((rejection) => rejection.credential === credential);
    const isRejected = ofKey.length >= KEY_REJECTIONS && ofKey.some(isRecent);
    return isRejected || ofId.length >= ID_REJECTIONS;
  }

  function noteTrouble(ending: Ending): void {
    const lockedMs = ending === '401' ? now() + LOCK_OUT_MS : now();
    if (!isListAnswer(ending))
      troubleUntilMs = Math.max(troubleUntilMs, lockedMs, heldUntilMs, breaker.openUntilMs);
  }

  return {
    sent(call, others) {
      // What was told at this very moment may be on its way still.
      const isHeld = heldSinceMs < now() && now() < heldUntilMs;
      demand(!isHeld, 'no call is made before the Retry-After of a 429 is over', { heldUntilMs });
      checkKey(call, others);
      breaker.sent(call);
    },
    ended(call, ending) {
      endings.set(ending, now());
      const seconds = /^429 in (\d+)$/.exec(ending)?.[1];
      if (seconds !== undefined && now() + Number(seconds) * 1000 > heldUntilMs) {
        heldUntilMs = now() + Number(seconds) * 1000;
        heldSinceMs = now();
      }
      noteKey(call, ending);
      breaker.ended(call, ending);
      noteTrouble(ending);
    },
    isOpen(credential, underWay) {
      const isFree = underWay.every((call) => call.credential !== credential);
      return isFree && breaker.isClosed && now() >= heldUntilMs && !mayBeLocked(credential);
    },
    mayBeLocked,
    wasTroubled: () => now() < troubleUntilMs + TROUBLE_MS,
    hasOnlyRejections: () => [...endings.keys()].every((ending) => ending === '401' || isListAnswer(ending)),
    lastMs: (ending) => endings.get(ending) ?? Number.NEGATIVE_INFINITY,
    get lastEndedMs() {
      return Math.max(Number.NEGATIVE_INFINITY, ...endings.values());
    },
    get heldUntilMs() {
      return heldUntilMs;
    },
    breaker,
  };
}
