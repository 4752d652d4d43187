/** The numbers of the contract, stated here and not imported from the code. */

/** Fresh life of a list, and of an empty one. Both are shortened by up to this share at random. */
export const FRESH_MS = 30_000;
export const EMPTY_FRESH_MS = 5_000;
export const FRESH_JITTER = 0.1;
/** Then served at once while a refresh runs, then served only when a load fails. */
export const STALE_WHILE_REVALIDATE_MS = 300_000;
export const STALE_IF_ERROR_MS = 3_600_000;
/** Stale data after the first rejection of the credential. */
export const REJECTED_STALE_MS = 60_000;
/** Least time between the beginnings of two forced loads of a key. */
export const FORCED_INTERVAL_MS = 1000;
/** Names that are loaded one by one in a fresh life; the next one loads the list. */
export const NAME_LOADS = 16;

/** Pause of a key after its first failed load; it doubles, and is shortened by up to a share at random. */
export const FIRST_PAUSE_MS = 1000;
export const LONGEST_PAUSE_MS = 60_000;
export const PAUSE_JITTER = 0.2;

/** One attempt, and all attempts of a load. */
export const ATTEMPT_TIMEOUT_MS = 5000;
export const DEADLINE_MS = 8000;

/** Rejections in a row of a key, and of an access key id with any secret, within the lock-out. */
export const KEY_REJECTIONS = 2;
export const ID_REJECTIONS = 4;
export const LOCK_OUT_MS = 300_000;
/** A key that was never accepted has one call; the time until the next doubles up to this. */
export const LONGEST_LOCK_OUT_MS = 3_600_000;
/** A success proves a key for this long. */
export const PROOF_MS = 1000;
/** An unproven call has the key for itself for this long. */
export const UNPROVEN_MS = 500;

/** The breaker opens at this many calls in 10 seconds of which half have failed. */
export const BREAKER_CALLS = 10;
export const BREAKER_WINDOW_SECONDS = 10;
export const BREAKER_FAILURE_SHARE = 0.5;
export const FIRST_OPEN_MS = 5000;
export const LONGEST_OPEN_MS = 60_000;
export const OPEN_JITTER = 0.2;

/** Pause after failures in a row, or open time of the breaker, in milliseconds. */
export function doublingMs(
  { firstMs, longestMs, jitter }: { firstMs: number; longestMs: number; jitter: number },
  failures: number,
  random: number,
): number {
  return Math.min(longestMs, firstMs * 2 ** Math.min(failures - 1, 16)) * (1 - jitter * random);
}
