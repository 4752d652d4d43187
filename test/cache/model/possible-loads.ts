import {
  DEADLINE_MS,
  doublingMs,
  FIRST_PAUSE_MS,
  FORCED_INTERVAL_MS,
  LONGEST_PAUSE_MS,
  PAUSE_JITTER,
} from './contract-numbers.ts';
import { type Ending, isListAnswer } from './scripted-upstream.ts';

/**
 * What the newest call for a key may be: the first attempt of a load, or the second. Upstream is not told, so both are
 * followed as far as the rules allow them.
 */
export interface PossibleLoad {
  readonly attempts: 1 | 2;
  /** Loads so far. */
  readonly loads: number;
  /** Failed ones in a row that the held entry has seen, and when the last one failed. */
  readonly failures: number;
  readonly lastFailureMs: number;
  /** Undefined: not known exactly. */
  readonly begunAtMs: number | undefined;
  /** It did not begin before that. */
  readonly begunAfterMs: number;
  /** The first attempt was sent. */
  readonly sentAtMs: number;
  /** It was begun while an entry was held for sure, which counts failures and pauses. */
  readonly hasEntry: boolean;
  readonly ending: Ending | undefined;
}

/** Before the first call for a key. */
export const NO_LOAD: PossibleLoad = {
  attempts: 2,
  loads: 0,
  failures: 0,
  lastFailureMs: Number.NEGATIVE_INFINITY,
  begunAtMs: undefined,
  begunAfterMs: Number.NEGATIVE_INFINITY,
  sentAtMs: Number.NEGATIVE_INFINITY,
  hasEntry: false,
  ending: undefined,
};

const PAUSES = { firstMs: FIRST_PAUSE_MS, longestMs: LONGEST_PAUSE_MS, jitter: PAUSE_JITTER };

/** May another attempt of it be sent? After a 401 perhaps, with another key; after a 429 that says nothing, never. */
export function mayRetry({ attempts, ending, sentAtMs }: PossibleLoad, nowMs: number): boolean {
  if (attempts > 1 || ending === undefined || isListAnswer(ending) || ending === '429') return false;
  return nowMs < sentAtMs + DEADLINE_MS;
}

/** When the next load may begin. */
export function pausedUntilMs({ failures, lastFailureMs }: PossibleLoad, random: number): number {
  return failures === 0 ? Number.NEGATIVE_INFINITY : lastFailureMs + doublingMs(PAUSES, failures, random);
}

/** True when it surely ended well and began so lately that the next load may not begin. */
export function isJustLoaded({ ending, begunAtMs }: PossibleLoad, nowMs: number): boolean {
  if (ending === undefined || !isListAnswer(ending) || begunAtMs === undefined) return false;
  return nowMs - begunAtMs < FORCED_INTERVAL_MS;
}

/** The call for it has ended. */
export function endLoad(load: PossibleLoad, ending: Ending, nowMs: number): PossibleLoad {
  if (isListAnswer(ending)) return { ...load, ending, failures: 0 };
  if (!load.hasEntry) return { ...load, ending };
  return { ...load, ending, failures: load.failures + (load.attempts === 1 ? 1 : 0), lastFailureMs: nowMs };
}

/** The most permissive of those that are alike: with fewer loads come fewer failures. */
export function withoutStricter(possible: readonly PossibleLoad[]): PossibleLoad[] {
  const least = (attempts: 1 | 2): PossibleLoad[] =>
    possible
      .filter((load) => load.attempts === attempts)
      .sort((one, other) => one.loads - other.loads || one.failures - other.failures)
      .slice(0, 1);
  return [...least(1), ...least(2)];
}
