import type { Credential } from '../../../src/signing/credential.ts';
import { createBreakerRule } from './breaker-rule.ts';
import { LONGEST_PAUSE_MS } from './contract-numbers.ts';
import { createKeyRule, type KeyRuleOptions } from './key-rule.ts';
import { type Ending, isListAnswer, type UpstreamCall } from './scripted-upstream.ts';

/** What has to hold at each call, whatever key of the cache it is for. */
export interface GuardRules {
  sent(call: UpstreamCall, others: readonly UpstreamCall[], late: readonly UpstreamCall[]): void;
  ended(call: UpstreamCall, ending: Ending): void;
  endedLate(call: UpstreamCall, ending: Ending): void;
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

/** Longer than the longest pause and the load that was waiting then. */
const TROUBLE_MS = LONGEST_PAUSE_MS + 20_000;

export interface GuardRulesOptions extends KeyRuleOptions {
  /** What jitter is made of, the same at each time. */
  readonly random: number;
}

export function createGuardRules(options: GuardRulesOptions): GuardRules {
  const { now, random, demand } = options;
  const key = createKeyRule(options);
  const breaker = createBreakerRule(now, random, demand);
  const endings = new Map<Ending, number>();
  let heldUntilMs = Number.NEGATIVE_INFINITY;
  let heldSinceMs = Number.NEGATIVE_INFINITY;
  let troubleUntilMs = Number.NEGATIVE_INFINITY;

  function noteTrouble({ credential }: UpstreamCall, ending: Ending, wasClosed: boolean): void {
    const lockedMs = ending === '401' ? now() + key.longestLockOutMs(credential) : now();
    // While a probe was under way others were held back.
    if (!isListAnswer(ending) || !wasClosed)
      troubleUntilMs = Math.max(troubleUntilMs, lockedMs, heldUntilMs, breaker.openUntilMs);
  }

  function noteEnding(call: UpstreamCall, ending: Ending): void {
    endings.set(ending, now());
    const seconds = /^429 in (\d+)$/.exec(ending)?.[1];
    if (seconds !== undefined && now() + Number(seconds) * 1000 > heldUntilMs) {
      heldUntilMs = now() + Number(seconds) * 1000;
      heldSinceMs = now();
    }
    key.ended(call, ending);
  }

  return {
    sent(call, others, late) {
      // What was told at this very moment may be on its way still.
      const isHeld = heldSinceMs < now() && now() < heldUntilMs;
      demand(!isHeld, 'no call is made before the Retry-After of a 429 is over', { heldUntilMs });
      key.sent(call, [...others, ...late]);
      breaker.sent(call);
    },
    ended(call, ending) {
      const wasClosed = breaker.isClosed;
      noteEnding(call, ending);
      breaker.ended(call, ending);
      noteTrouble(call, ending, wasClosed);
    },
    endedLate(call, ending) {
      // For the breaker it has failed before.
      noteEnding(call, ending);
      noteTrouble(call, ending, breaker.isClosed);
    },
    isOpen(credential, underWay) {
      const isFree = underWay.every((call) => call.credential !== credential);
      return isFree && breaker.isClosed && now() >= heldUntilMs && !key.mayBeLocked(credential);
    },
    mayBeLocked: key.mayBeLocked,
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
