import { LRUCache } from 'lru-cache';
import type { SharedUse } from '../fleet/use.ts';
import type { Platform } from '../platform/platform.ts';

const MINUTE_MS = 60_000;
/** So many keys are told apart; the one not seen for longest is forgotten first. */
export const MAX_LIMITED_KEYS = 10_000;
/** What was used is told to the other instances after this time: 250 ms. They may pass the limit by what comes in it. */
export const TELL_AFTER_MS = 250;

export interface RateLimiter {
  /** Counts one at an elapsed time. Undefined when it is within the limit, else the milliseconds until the next one is. */
  take(key: string, nowMs: number): number | undefined;
  /** The same without counting. */
  waitMs(key: string, nowMs: number): number | undefined;
}

/** When all that a key has used will have come back, by elapsed time. */
interface Use {
  untilMs: number;
  /** Counted here, and not told to the others yet. */
  untoldMs: number;
}

/** What a limiter is built from. */
export interface RateLimiterParts extends Pick<Platform, 'elapsed' | 'schedule' | 'waitUntil'> {
  /** The uses that instances add up; absent where each counts alone. */
  readonly sharedUse?: SharedUse | undefined;
}

/**
 * So many a minute for each key, all at once or spread: the generic cell rate algorithm (ITU-T I.371, annex A). It
 * keeps one number for each key, has no windows at whose edges twice the limit passes, and is synchronous, which the
 * libraries at hand are not and a cache hit has to be.
 *
 * Where instances share what was used, each still decides by itself and tells the others a moment later, so that no
 * request waits for the answer of another machine.
 *
 * @param perMinute at least 1; also the most that may come at once
 * @param name what is limited: keeps the shared uses of several limiters apart
 */
export function createRateLimiter(perMinute: number, name: string, deps: RateLimiterParts): RateLimiter {
  const intervalMs = MINUTE_MS / perMinute;
  const uses = new LRUCache<string, Use>({ max: MAX_LIMITED_KEYS });
  const { sharedUse } = deps;
  /** Of keys that were used since the others were told. */
  const untold = new Map<string, Use>();

  /** Undefined when there is room. */
  function wait(use: Use | undefined, nowMs: number): number | undefined {
    if (use === undefined) return undefined;
    const excessMs = use.untilMs - nowMs - (MINUTE_MS - intervalMs);
    return excessMs > EPSILON_MS ? excessMs : undefined;
  }

  function count(key: string, use: Use): void {
    if (sharedUse === undefined) return;
    use.untoldMs += intervalMs;
    if (untold.size === 0) deps.schedule(() => deps.waitUntil(tell(sharedUse)), TELL_AFTER_MS);
    untold.set(key, use);
  }

  async function tell(shared: NonNullable<typeof sharedUse>): Promise<void> {
    const told = [...untold].map(([key, use]) => ({ key, use, addedMs: use.untoldMs }));
    untold.clear();
    for (const { use } of told) use.untoldMs = 0;
    const aheadMs = await shared.add(
      told.map(({ key, addedMs }) => ({ key: `${name} ${key}`, addedMs })),
      MINUTE_MS,
    );
    const nowMs = deps.elapsed();
    for (const [index, { use }] of told.entries()) {
      const allMs = aheadMs[index];
      // What was counted here since then is not in it.
      if (allMs !== undefined) use.untilMs = nowMs + allMs + use.untoldMs;
    }
  }

  return {
    take(key, nowMs) {
      let use = uses.get(key);
      const waitMs = wait(use, nowMs);
      if (waitMs !== undefined) return waitMs;
      if (use === undefined) {
        use = { untilMs: nowMs + intervalMs, untoldMs: 0 };
        uses.set(key, use);
      } else use.untilMs = Math.max(use.untilMs, nowMs) + intervalMs;
      count(key, use);
      return undefined;
    },
    waitMs: (key, nowMs) => wait(uses.get(key), nowMs),
  };
}

/** Sums of intervals that are no whole milliseconds are a little off. */
const EPSILON_MS = 0.01;
