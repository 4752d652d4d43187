import { LRUCache } from 'lru-cache';

const MINUTE_MS = 60_000;
/** So many keys are told apart; the one not seen for longest is forgotten first. */
export const MAX_LIMITED_KEYS = 10_000;

export interface RateLimiter {
  /** Counts one. Undefined when it is within the limit, else the milliseconds until the next one is. */
  take(key: string, nowMs: number): number | undefined;
  /** The same without counting. */
  waitMs(key: string, nowMs: number): number | undefined;
}

/** When all that a key has used will have come back, in milliseconds since the epoch. */
interface Use {
  untilMs: number;
}

/**
 * So many a minute for each key, all at once or spread: the generic cell rate algorithm (ITU-T I.371, annex A). It
 * keeps one number for each key, has no windows at whose edges twice the limit passes, and is synchronous, which the
 * libraries at hand are not and a cache hit has to be.
 *
 * @param perMinute at least 1; also the most that may come at once
 */
export function createRateLimiter(perMinute: number): RateLimiter {
  const intervalMs = MINUTE_MS / perMinute;
  const uses = new LRUCache<string, Use>({ max: MAX_LIMITED_KEYS });

  /** Undefined when there is room. */
  function wait(use: Use | undefined, nowMs: number): number | undefined {
    if (use === undefined) return undefined;
    // A clock that was set back must not shut anybody out.
    if (use.untilMs - nowMs > MINUTE_MS + intervalMs) use.untilMs = nowMs;
    const excessMs = use.untilMs - nowMs - (MINUTE_MS - intervalMs);
    return excessMs > EPSILON_MS ? excessMs : undefined;
  }

  return {
    take(key, nowMs) {
      const use = uses.get(key);
      const waitMs = wait(use, nowMs);
      if (waitMs !== undefined) return waitMs;
      if (use === undefined) uses.set(key, { untilMs: nowMs + intervalMs });
      else use.untilMs = Math.max(use.untilMs, nowMs) + intervalMs;
      return undefined;
    },
    waitMs: (key, nowMs) => wait(uses.get(key), nowMs),
  };
}

/** Sums of intervals that are no whole milliseconds are a little off. */
const EPSILON_MS = 0.01;
