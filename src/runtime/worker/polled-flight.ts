import type { Platform } from '../../platform/platform.ts';
import type { SingleFlight } from '../../platform/single-flight.ts';

/** Those who wait look after 10 ms, then after longer times by an eighth of what they have waited, up to 50 ms. */
const FIRST_LOOK_MS = 10;
const LAST_LOOK_MS = 50;
/** Interval at which a request that works renews its lease: a quarter of a second. */
const RENEWAL_MS = 250;
/** Work whose lease was not renewed for this time is lost, and another request takes over: 3 seconds. */
export const LEASE_MS = 3000;

type Outcome = { readonly value: unknown } | { readonly error: unknown };

/** Work under way: values only, nothing that belongs to a request. */
interface Mark {
  /** Of the request that works. */
  leader: object;
  renewedAtMs: number;
  outcome?: Outcome;
}

/**
 * One piece of work per key at a time, where a promise of one request may never settle for another (Cloudflare Workers).
 * The first request marks the key and works; the others look for its value or failure by timers of their own. A request
 * that is cancelled with its work renews its lease no more: then one of those who wait takes over.
 */
export function createPolledFlight({
  elapsed,
  schedule,
  waitUntil,
}: Pick<Platform, 'elapsed' | 'schedule' | 'waitUntil'>): SingleFlight {
  const marks = new Map<string, Mark>();

  const isLost = ({ renewedAtMs }: Mark): boolean => elapsed() - renewedAtMs >= LEASE_MS;

  /** @param mark left by a request that was lost, whose followers stay with it */
  async function lead<Value>(
    key: string,
    work: () => Promise<Value>,
    mark: Mark = { leader: {}, renewedAtMs: 0 },
  ): Promise<Value> {
    const leader = {};
    let cancel = () => {};
    const renew = () => {
      if (mark.leader !== leader) return;
      mark.renewedAtMs = elapsed();
      cancel = schedule(renew, RENEWAL_MS);
    };
    const settle = (outcome: Outcome) => {
      cancel();
      // What comes of lost work after all is for its own request alone.
      if (mark.leader !== leader) return;
      mark.outcome = outcome;
      marks.delete(key);
    };
    mark.leader = leader;
    marks.set(key, mark);
    renew();
    try {
      const value = await work();
      settle({ value });
      return value;
    } catch (error) {
      settle({ error });
      throw error;
    }
  }

  async function follow<Value>(key: string, work: () => Promise<Value>, mark: Mark): Promise<Value> {
    const sinceMs = elapsed();
    let wasLost = false;
    while (mark.outcome === undefined) {
      // Twice in a row: after a moment without CPU the renewals are late as well.
      if (isLost(mark) && wasLost) return start(key, work, mark);
      wasLost = isLost(mark);
      const lookMs = Math.min(LAST_LOOK_MS, FIRST_LOOK_MS + (elapsed() - sinceMs) / 8);
      await new Promise<void>((resolve) => schedule(resolve, lookMs));
    }
    if ('error' in mark.outcome) throw mark.outcome.error;
    return mark.outcome.value as Value;
  }

  /** The work belongs to nobody: it goes on although its request has been answered or cancelled. */
  function start<Value>(key: string, work: () => Promise<Value>, lost: Mark | undefined): Promise<Value> {
    const promise = lead(key, work, lost);
    waitUntil(promise.catch(() => undefined));
    return promise;
  }

  return {
    run(key, work) {
      const mark = marks.get(key);
      if (mark === undefined || isLost(mark)) return { promise: start(key, work, mark), joined: false };
      const promise = follow(key, work, mark);
      // Not everyone who joins waits.
      promise.catch(() => undefined);
      return { promise, joined: true };
    },
  };
}
