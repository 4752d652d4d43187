/** So many calls earn one retry: retries are at most 10 % of the calls. */
export const CALLS_PER_RETRY = 10;
/** Retries that a new budget holds, so that the very first faults may be retried. */
export const RETRY_RESERVE = 3;
/** The most retries that are saved up. A long good time must not pay for a storm. */
export const MAX_SAVED_RETRIES = 10;

export interface RetryBudget {
  /** A call is made: adds a tenth of a retry. */
  earn(): void;
  /** Takes one retry. False when there is none. */
  tryTake(): boolean;
}

/**
 * Bounds all retries together, as a token bucket. When everything fails, one retry for each call would double
 * the load on a service that is down already; this way it grows by a tenth (Google, Site Reliability
 * Engineering, "Handling Overload": a retry budget of 10 % for each client; AWS Builders' Library, "Timeouts,
 * retries, and backoff with jitter": a token bucket in the SDKs).
 *
 * In any time: retries <= calls / CALLS_PER_RETRY + what was saved, which is MAX_SAVED_RETRIES at most.
 */
export function createRetryBudget(): RetryBudget {
  // Whole numbers: ten times 0.1 is not 1.
  let tenths = RETRY_RESERVE * CALLS_PER_RETRY;
  return {
    earn() {
      tenths = Math.min(tenths + 1, MAX_SAVED_RETRIES * CALLS_PER_RETRY);
    },
    tryTake() {
      if (tenths < CALLS_PER_RETRY) return false;
      tenths -= CALLS_PER_RETRY;
      return true;
    },
  };
}
