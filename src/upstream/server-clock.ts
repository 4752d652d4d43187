/** A larger difference is not believed, and not corrected: 24 hours. */
export const MAX_SKEW_MS = 86_400_000;
/**
 * A difference from the correction in use that is worth a new one: 60 seconds. The gateway refuses from 15
 * minutes on (APIGW.0301, "signature expired"); less than this is the way of the answer and whole seconds.
 */
export const LEAST_SKEW_CHANGE_MS = 60_000;

export interface ServerClock {
  /** The vendor's clock minus ours, in milliseconds, as corrected for; 0 at first. */
  readonly skewMs: number;
  /**
   * Takes the vendor's time from a refusal of our date.
   *
   * @param serverDateMs the vendor's time in milliseconds since 1970
   * @param nowMs our time of the same moment, not corrected
   * @returns `corrected`, `unchanged` when the correction in use fits, or `too_far` when it is over 24 hours
   */
  correct(serverDateMs: number, nowMs: number): 'corrected' | 'unchanged' | 'too_far';
}

/**
 * The vendor's clock as far as refusals have told. A correction lasts until a later refusal shows another: also
 * when our own clock has been set right meanwhile.
 */
export function createServerClock(): ServerClock {
  let skewMs = 0;
  return {
    get skewMs() {
      return skewMs;
    },
    correct(serverDateMs, nowMs) {
      const measuredMs = serverDateMs - nowMs;
      if (!(Math.abs(measuredMs) <= MAX_SKEW_MS)) return 'too_far';
      if (Math.abs(measuredMs - skewMs) < LEAST_SKEW_CHANGE_MS) return 'unchanged';
      skewMs = measuredMs;
      return 'corrected';
    },
  };
}
