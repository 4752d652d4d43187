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
import { type Ending, isListAnswer, type UpstreamCall } from './scripted-upstream.ts';
import type { Demand } from './violations.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** A fresh life of names, and the longest time between a read and the call that it leads to. */
const BUDGET_MS = 30_000 + 17_000;

/** What has to hold of the calls for each key of the cache. */
export interface LoadRules {
  /** Keys are about to be read that are not answered from fresh data. */
  begin(keys: readonly string[]): void;
  /** Those reads have done what they can do at once. */
  finish(): void;
  /** @returns the earliest time at which its load can have begun */
  sent(call: UpstreamCall, others: readonly UpstreamCall[]): number;
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
  /** The clock was set forward since the key was held. */
  readonly isTimeLost: (key: string) => boolean;
  readonly demand: Demand;
}

interface KeyLoads {
  /** Commands that may have begun a load. */
  reads: number;
  lastReadMs: number;
  /** The first of them since the last load. */
  firstReadMs: number | undefined;
  /** At one of them since the last load the clock had been set forward since the key was held. */
  wasTimeLost: boolean;
  lastSentMs: number;
  /** The load of the last call did not begin before that. */
  begunAfterMs: number;
  lastEnding: Ending | undefined;
  replacedMs: number;
  possible: readonly PossibleLoad[];
}

/** What has been seen of all keys. */
interface Seen extends LoadRulesOptions {
  readonly keys: Map<string, KeyLoads>;
  nameReads: { readonly key: string; readonly atMs: number }[];
  /** Keys that are read at this very moment. */
  reading: readonly string[];
}

function loadsOf({ keys }: Seen, key: string): KeyLoads {
  const known = keys.get(key) ?? {
    reads: 0,
    lastReadMs: Number.NEGATIVE_INFINITY,
    firstReadMs: undefined,
    wasTimeLost: false,
    lastSentMs: Number.NEGATIVE_INFINITY,
    begunAfterMs: Number.NEGATIVE_INFINITY,
    lastEnding: undefined,
    replacedMs: Number.NEGATIVE_INFINITY,
    possible: [NO_LOAD],
  };
  keys.set(key, known);
  return known;
}

function mayLoadListForNames(seen: Seen): boolean {
  seen.nameReads = seen.nameReads.filter(({ atMs }) => seen.now() - atMs < BUDGET_MS);
  // Two names may wait at one time: then the list answers both.
  const names = new Set(seen.nameReads.map(({ key }) => key)).size;
  return !seen.isRoomy || names > 1 || seen.nameReads.length >= NAME_LOADS;
}

/** Why the newest call cannot be the first of another load, if it cannot. */
function objection(seen: Seen, key: string, last: PossibleLoad): string | undefined {
  const { now, random, isServable } = seen;
  if (last.loads >= loadsOf(seen, key).reads)
    return 'a key is loaded at most once for all that ask at one time';
  if (!isServable(key)) return undefined;
  if (now() < pausedUntilMs(last, random)) return 'loads of a key that is held pause after failures';
  return isJustLoaded(last, now()) && !loadsOf(seen, key).wasTimeLost && !seen.isTimeLost(key)
    ? 'a key is loaded at most once a second'
    : undefined;
}

/** The newest call as the first of a load. */
function beginLoad(
  { now, reading, isServable, ...seen }: Seen,
  key: string,
  last: PossibleLoad,
): PossibleLoad {
  const isRead = reading.includes(key) || (key === UNFILTERED_KEY && reading.length > 0);
  // A load that an earlier read began may have waited for its turn until now.
  const isExact = isRead && (seen.keys.get(key)?.firstReadMs ?? now()) === now();
  return {
    ...last,
    attempts: 1,
    loads: last.loads + 1,
    begunAtMs: isExact ? now() : undefined,
    begunAfterMs: isExact ? now() : (seen.keys.get(key)?.firstReadMs ?? now()),
    sentAtMs: now(),
    hasEntry: isExact && isServable(key),
    ending: undefined,
  };
}

/** What the newest call may be, when one more was sent. */
function possibleAfterCall(seen: Seen, key: string): readonly PossibleLoad[] {
  const { reads, possible } = loadsOf(seen, key);
  const retries = possible
    .filter((last) => mayRetry(last, seen.now()))
    .map((last) => ({ ...last, attempts: 2 as const }));
  const first = possible.filter((last) => objection(seen, key, last) === undefined);
  const why = possible.map((last) => objection(seen, key, last))[0];
  seen.demand(retries.length + first.length > 0, why ?? '', { key, reads, possible });
  const begun = (first.length > 0 ? first : possible).map((last) => beginLoad(seen, key, last));
  return withoutStricter([...retries, ...begun]);
}

function checkTimeout(
  { now, signingMs, demand }: Seen,
  key: string,
  possible: readonly PossibleLoad[],
): void {
  const isWhole = possible.some(
    ({ attempts, sentAtMs, begunAfterMs }) =>
      attempts > 1 ||
      now() - sentAtMs >= ATTEMPT_TIMEOUT_MS - signingMs ||
      now() - begunAfterMs >= DEADLINE_MS,
  );
  demand(isWhole, 'a call has its whole timeout from the moment it is sent', { key, possible });
}

function noteRead(seen: Seen, key: string): KeyLoads {
  const loads = loadsOf(seen, key);
  loads.reads += 1;
  loads.firstReadMs ??= seen.now();
  loads.wasTimeLost ||= seen.isTimeLost(key);
  return loads;
}

/** The load of a call that is sent now begins with the first read since the last call, or is that of the last call still. */
function earliestBeginMs({ firstReadMs, begunAfterMs, lastEnding }: KeyLoads, nowMs: number): number {
  const mayBeRetry = lastEnding !== undefined && !isListAnswer(lastEnding);
  const sinceMs = Math.min(firstReadMs ?? nowMs, mayBeRetry ? begunAfterMs : nowMs);
  return Math.max(sinceMs, nowMs - DEADLINE_MS);
}

export function createLoadRules(options: LoadRulesOptions): LoadRules {
  const { now, demand } = options;
  const seen: Seen = { ...options, keys: new Map(), nameReads: [], reading: [] };
  return {
    begin(keys) {
      seen.reading = keys;
      for (const key of keys) {
        noteRead(seen, key).lastReadMs = now();
        if (key !== UNFILTERED_KEY) seen.nameReads.push({ key, atMs: now() });
      }
      if (!keys.includes(UNFILTERED_KEY) && keys.length > 0) noteRead(seen, UNFILTERED_KEY);
    },
    finish() {
      seen.reading = [];
    },
    sent({ key }, others) {
      const isAlone = others.every((other) => other.key !== key);
      demand(isAlone, 'one call at a time is under way for a key', { key });
      const loads = loadsOf(seen, key);
      const isAsked = now() - loads.lastReadMs < BUDGET_MS;
      const isListDue = key !== UNFILTERED_KEY || isAsked || mayLoadListForNames(seen);
      demand(isListDue, 'the list is loaded for several names only');
      loads.possible = possibleAfterCall(seen, key);
      loads.begunAfterMs = earliestBeginMs(loads, now());
      loads.firstReadMs = undefined;
      loads.wasTimeLost = false;
      loads.lastSentMs = now();
      return loads.begunAfterMs;
    },
    ended({ key }, ending) {
      const loads = loadsOf(seen, key);
      loads.lastEnding = ending;
      loads.possible = loads.possible.map((load) => endLoad(load, ending, now()));
      if (ending === 'given up') checkTimeout(seen, key, loads.possible);
    },
    replaced(key) {
      const loads = loadsOf(seen, key);
      loads.replacedMs = now();
      const forgotten = { failures: 0, hasEntry: false, begunAtMs: undefined };
      loads.possible = loads.possible.map((load) => ({ ...load, ...forgotten }));
    },
    mayLoadListForNames: () => mayLoadListForNames(seen),
    isForcedLimited: (key) => loadsOf(seen, key).possible.every((load) => isJustLoaded(load, now())),
    isForcedFree(key) {
      const { lastSentMs, replacedMs } = loadsOf(seen, key);
      return now() - Math.max(lastSentMs, replacedMs) >= FORCED_INTERVAL_MS;
    },
  };
}
