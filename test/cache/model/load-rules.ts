import { UNFILTERED_KEY } from '../../../src/cache/cache-key.ts';
import { ATTEMPT_TIMEOUT_MS, DEADLINE_MS, FORCED_INTERVAL_MS, NAME_LOADS } from './contract-numbers.ts';
import {
  endLoad,
  isJustLoaded,
  mayRetry,
  NO_LOAD,
  type PossibleLoad,
  pausedUntilMs,
  withoutStricter,
} from './possible-loads.ts';
import { DECIDED_RULES } from './rules-to-come.ts';
import type { Ending, UpstreamCall } from './scripted-upstream.ts';
import type { Demand } from './violations.ts';

/** A fresh life of names, and the longest time between a read and the call that it leads to. */
const BUDGET_MS = 30_000 + 17_000;

/** What has to hold of the calls for each key of the cache. */
export interface LoadRules {
  /** Keys are about to be read that are not answered from fresh data. */
  begin(keys: readonly string[]): void;
  /** Those reads have done what they can do at once. */
  finish(): void;
  sent(call: UpstreamCall, others: readonly UpstreamCall[]): void;
  ended(call: UpstreamCall, ending: Ending): void;
  /** What is held of the key may have been replaced by what another replica loaded. */
  replaced(key: string): void;
  /** True when the list may be loaded for a name. */
  mayLoadListForNames(): boolean;
  /** True when the last load of a key surely ended well, and began so lately that no forced one may follow. */
  isForcedLimited(key: string): boolean;
  /** True when nothing keeps a forced read of a held key from loading it. */
  isForcedFree(key: string): boolean;
}

export interface LoadRulesOptions {
  readonly now: () => number;
  /** What jitter is made of, the same at each time. */
  readonly random: number;
  /** The attempt begins this long before its call is sent. */
  readonly signingMs: number;
  /** Nothing is ever evicted. */
  readonly isRoomy: boolean;
  /** True when the key is held for sure, and may be served while its loads fail. */
  readonly isServable: (key: string) => boolean;
  readonly demand: Demand;
}

interface KeyLoads {
  /** Commands that may have begun a load. */
  reads: number;
  lastReadMs: number;
  /** The first of them since the last load. */
  firstReadMs: number | undefined;
  lastSentMs: number;
  replacedMs: number;
  possible: readonly PossibleLoad[];
}

export function createLoadRules(options: LoadRulesOptions): LoadRules {
  const { now, random, signingMs, isRoomy, isServable, demand } = options;
  const all = new Map<string, KeyLoads>();
  let nameReadsMs: number[] = [];
  let reading: readonly string[] = [];

  function of(key: string): KeyLoads {
    const known = all.get(key) ?? {
      reads: 0,
      lastReadMs: Number.NEGATIVE_INFINITY,
      firstReadMs: undefined,
      lastSentMs: Number.NEGATIVE_INFINITY,
      replacedMs: Number.NEGATIVE_INFINITY,
      possible: [NO_LOAD],
    };
    all.set(key, known);
    return known;
  }

  function note(key: string): void {
    const loads = of(key);
    loads.reads += 1;
    loads.firstReadMs ??= now();
  }

  const mayLoadListForNames = (): boolean => {
    nameReadsMs = nameReadsMs.filter((atMs) => now() - atMs < BUDGET_MS);
    return !isRoomy || nameReadsMs.length >= NAME_LOADS;
  };

  /** Why the call cannot be the first of another load, if it cannot. */
  function objection(key: string, { reads }: KeyLoads, last: PossibleLoad): string | undefined {
    if (last.loads >= reads) return 'a key is loaded at most once for all that ask at one time';
    // Today a list that is loaded for a name does not heed what is known of the list itself.
    const isForNames = key === UNFILTERED_KEY && !DECIDED_RULES.pauseOfLoadedEntry && mayLoadListForNames();
    if (isForNames || !isServable(key)) return undefined;
    if (now() < pausedUntilMs(last, random)) return 'loads of a key that is held pause after failures';
    return isJustLoaded(last, now()) ? 'a key is loaded at most once a second' : undefined;
  }

  /** The newest call as the first of a load. */
  function beginLoad(key: string, { firstReadMs }: KeyLoads, last: PossibleLoad): PossibleLoad {
    const isExact = reading.includes(key) || (key === UNFILTERED_KEY && reading.length > 0);
    return {
      ...last,
      attempts: 1,
      loads: last.loads + 1,
      begunAtMs: isExact ? now() : undefined,
      begunAfterMs: isExact ? now() : (firstReadMs ?? now()),
      sentAtMs: now(),
      hasEntry: isExact && isServable(key),
      ending: undefined,
    };
  }

  function checkTimeout(key: string, possible: readonly PossibleLoad[]): void {
    const isWhole = possible.some(
      ({ attempts, sentAtMs, begunAfterMs }) =>
        attempts > 1 ||
        now() - sentAtMs >= ATTEMPT_TIMEOUT_MS - signingMs ||
        now() - begunAfterMs >= DEADLINE_MS,
    );
    demand(isWhole, 'a call has its whole timeout from the moment it is sent', { key, possible });
  }

  return {
    begin(keys) {
      reading = keys;
      for (const key of keys) {
        note(key);
        of(key).lastReadMs = now();
        if (key !== UNFILTERED_KEY) nameReadsMs.push(now());
      }
      if (!keys.includes(UNFILTERED_KEY) && keys.length > 0) note(UNFILTERED_KEY);
    },
    finish() {
      reading = [];
    },
    sent({ key }, others) {
      const isAlone = others.every((other) => other.key !== key);
      demand(isAlone, 'one call at a time is under way for a key', { key });
      const loads = of(key);
      const isAsked = now() - loads.lastReadMs < BUDGET_MS;
      const isListDue = key !== UNFILTERED_KEY || isAsked || mayLoadListForNames();
      demand(isListDue, 'the list is loaded for names after 16 of them only');

      const before = loads.possible;
      const retries = before
        .filter((last) => mayRetry(last, now()))
        .map((last) => ({ ...last, attempts: 2 as const }));
      const first = before.filter((last) => objection(key, loads, last) === undefined);
      const why = before.map((last) => objection(key, loads, last))[0];
      demand(retries.length + first.length > 0, why ?? '', { key, reads: loads.reads, before });
      const begun = (first.length > 0 ? first : before).map((last) => beginLoad(key, loads, last));
      loads.possible = withoutStricter([...retries, ...begun]);
      loads.firstReadMs = undefined;
      loads.lastSentMs = now();
    },
    ended({ key }, ending) {
      const loads = of(key);
      loads.possible = loads.possible.map((load) => endLoad(load, ending, now()));
      if (ending === 'given up' && DECIDED_RULES.attemptTimeoutStartsWhenSent)
        checkTimeout(key, loads.possible);
    },
    replaced(key) {
      const loads = of(key);
      loads.replacedMs = now();
      loads.possible = loads.possible.map((load) => ({
        ...load,
        failures: 0,
        hasEntry: false,
        begunAtMs: undefined,
      }));
    },
    mayLoadListForNames,
    isForcedLimited: (key) => of(key).possible.every((load) => isJustLoaded(load, now())),
    isForcedFree(key) {
      const { lastSentMs, replacedMs } = of(key);
      return now() - Math.max(lastSentMs, replacedMs) >= FORCED_INTERVAL_MS;
    },
  };
}
