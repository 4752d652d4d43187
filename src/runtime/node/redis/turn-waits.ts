import { TURN_MS } from './redis-turn.ts';

/** How long this instance has waited for the turns of others, by key. */
export interface TurnWaits {
  /**
   * Notes that the turn of a key is another's.
   *
   * @returns true when it has passed from one to the next after the time in which a turn ends by itself: the first one did
   *   not give it up. Who waited on could wait through the turns of all replicas, one after the other.
   */
  isLeft(key: string, holder: string | null): boolean;
  /** The wait is over. */
  forget(key: string): void;
}

interface Wait {
  readonly holder: string | null;
  readonly sinceMs: number;
  seenMs: number;
}

/** Waits that were ended otherwise are dropped when there are more than this. */
const MANY = 1000;

export function createTurnWaits(elapsed: () => number): TurnWaits {
  const waits = new Map<string, Wait>();
  return {
    isLeft(key, holder) {
      const nowMs = elapsed();
      const wait = waits.get(key);
      // Who waits looks again more often than that: this is another wait.
      if (wait === undefined || nowMs - wait.seenMs >= TURN_MS) {
        if (waits.size >= MANY) waits.clear();
        waits.set(key, { holder, sinceMs: nowMs, seenMs: nowMs });
        return false;
      }
      wait.seenMs = nowMs;
      return holder !== wait.holder && nowMs - wait.sinceMs >= TURN_MS;
    },
    forget: (key) => void waits.delete(key),
  };
}
