import type { Platform } from '../../../src/platform/platform.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/**
 * The fake clock of test/support for thousands of short steps. Nothing in these runs uses another thread, so one turn of the
 * event loop after each step is enough, where the other one leaves time for WebCrypto.
 */
export interface ModelClock extends Pick<Platform, 'now' | 'elapsed' | 'schedule'> {
  /** Moves on, calling back what falls due on the way, each at its own time. */
  advance(ms: number): Promise<void>;
  /** The wall clock of the service: `now`, as far as it was not set. */
  readonly wall: () => number;
  /** Sets the wall clock forward, or back by a negative number of milliseconds. */
  set(byMs: number): void;
  /** How far the wall clock has been set forward since then, from where it stood or was set back to. */
  setForwardSince(atMs: number): number;
  /** Lets everything run that waits for nothing but its turn. */
  settle(): Promise<void>;
  /** Timers that wait. */
  readonly pending: number;
}

/** Where the time of `elapsed` begins: far from the wall clock, so that a mix-up of the two shows. */
const ELAPSED_ZERO_MS = Date.UTC(2026, 0, 1);

export function createModelClock(): ModelClock {
  // What createFakeClock starts with: tokens are signed for that time.
  let nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
  let aheadMs = 0;
  const sets: { readonly atMs: number; readonly beforeMs: number }[] = [];
  const timers = new Set<Timer>();
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  function nextDueMs(): number {
    let dueMs = Number.POSITIVE_INFINITY;
    for (const { atMs } of timers) dueMs = Math.min(dueMs, atMs);
    return dueMs;
  }

  return {
    now: () => nowMs,
    wall: () => nowMs + aheadMs,
    set(byMs) {
      sets.push({ atMs: nowMs, beforeMs: aheadMs });
      aheadMs += byMs;
    },
    setForwardSince(sinceMs) {
      const since = sets.filter(({ atMs }) => atMs >= sinceMs).map(({ beforeMs }) => beforeMs);
      return aheadMs - Math.min(aheadMs, ...since);
    },
    elapsed: () => nowMs - ELAPSED_ZERO_MS,
    schedule: (callback, delayMs) => {
      const timer: Timer = { atMs: nowMs + Math.max(0, delayMs), callback };
      timers.add(timer);
      if (delayMs <= 0) {
        queueMicrotask(() => {
          if (timers.delete(timer)) callback();
        });
      }
      return () => {
        timers.delete(timer);
      };
    },
    async advance(ms) {
      const untilMs = nowMs + ms;
      for (let dueMs = nextDueMs(); dueMs <= untilMs; dueMs = nextDueMs()) {
        nowMs = Math.max(nowMs, dueMs);
        for (const timer of [...timers]) {
          if (timer.atMs <= nowMs && timers.delete(timer)) timer.callback();
        }
        await settle();
      }
      nowMs = untilMs;
    },
    settle,
    get pending() {
      return timers.size;
    },
  };
}
