/** Maximum difference that is believed and corrected: 24 hours. */
export const MAX_SKEW_MS = 86_400_000;
/**
 * Minimum difference from the correction in use for a new one: 60 seconds. The gateway rejects dates that are more
 * than 15 minutes off (APIGW.0301, "signature expired"); less than a minute may be latency and rounding to seconds.
 */
export const LEAST_SKEW_CHANGE_MS = 60_000;

export interface ServerClock {
  /** The correction in use: the vendor's clock minus ours, in milliseconds; 0 at first. */
  readonly skewMs: number;
  /**
   * Takes over the vendor's time from a rejection of our date.
   *
   * @param measuredMs the vendor's clock minus ours, which is not corrected
   * @returns `corrected`; `unchanged` when the correction in use fits; `too_far` for more than 24 hours
   */
  correct(measuredMs: number): 'corrected' | 'unchanged' | 'too_far';
}

/**
 * The vendor's clock, as known from rejected dates. A correction holds until a later rejection shows another, even
 * when our own clock has been set right in the meantime.
 */
export function createServerClock(): ServerClock {
  let skewMs = 0;
  return {
    get skewMs() {
      return skewMs;
    },
    correct(measuredMs) {
      if (!(Math.abs(measuredMs) <= MAX_SKEW_MS)) return 'too_far';
      if (Math.abs(measuredMs - skewMs) < LEAST_SKEW_CHANGE_MS) return 'unchanged';
      skewMs = measuredMs;
      return 'corrected';
    },
  };
}
