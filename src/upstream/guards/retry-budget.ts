/** Number of calls that earn one retry: 10, so that retries are at most 10 % of the calls. */
export const CALLS_PER_RETRY = 10;
/** Retries in a new budget: 3, so that the very first faults may be retried. */
export const RETRY_RESERVE = 3;
/** Maximum number of saved retries: 10. A long period without faults must not pay for a storm. */
export const MAX_SAVED_RETRIES = 10;

export interface RetryBudget {
  /** Adds a tenth of a retry, for one call. */
  earn(): void;
  /** Takes one retry; false when the budget is spent. */
  tryTake(): boolean;
}

/**
 * Limits all retries together, as a token bucket. When everything fails, one retry for each call would double the
 * load on a service that is already down; with the budget it grows by a tenth (Google, Site Reliability Engineering,
 * "Handling Overload": a retry budget of 10 % for each client; AWS Builders' Library, "Timeouts, retries, and backoff
 * with jitter": a token bucket in the SDKs).
 *
 * In any period: retries <= calls / CALLS_PER_RETRY + saved retries, which are MAX_SAVED_RETRIES at most.
 */
export function createRetryBudget(): RetryBudget {
  // In whole tenths of a retry, since adding 0.1 ten times is not 1.
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
