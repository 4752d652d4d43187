import type { Platform } from '../../src/platform/platform.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that moves only when it is told to. */
export interface FakeClock extends Pick<Platform, 'now' | 'elapsed' | 'schedule'> {
  /** Moves on, calling back what falls due on the way, each at its own time. */
  advance(ms: number): Promise<void>;
  /** Sets the wall clock forward, or back by a negative number of milliseconds. No time goes by. */
  set(byMs: number): void;
  /** Resolves when a timer of just this delay has been set, now or before. */
  scheduled(delayMs: number): Promise<void>;
  /** Timers that wait. */
  readonly pending: number;
}

/** What `elapsed` starts with: far from the wall clock, so that a mix-up of the two shows. */
const ELAPSED_START_MS = 7_000_000;

export function createFakeClock(startMs = Date.UTC(2026, 0, 2, 3, 4, 5)): FakeClock {
  let elapsedMs = ELAPSED_START_MS;
  let wallAheadMs = startMs - ELAPSED_START_MS;
  const timers = new Set<Timer>();
  const delays = new Map<number, PromiseWithResolvers<void>>();
  const seen = (delayMs: number) => {
    const existing = delays.get(delayMs) ?? Promise.withResolvers<void>();
    delays.set(delayMs, existing);
    return existing;
  };
  return {
    now: () => elapsedMs + wallAheadMs,
    elapsed: () => elapsedMs,
    set: (byMs) => {
      wallAheadMs += byMs;
    },
    schedule: (callback, delayMs) => {
      const timer: Timer = { atMs: elapsedMs + delayMs, callback };
      timers.add(timer);
      seen(delayMs).resolve();
      // What is due already does not wait for the clock to move.
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
      const untilMs = elapsedMs + ms;
      for (;;) {
        await settle();
        const due = [...timers].filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        timers.delete(due);
        elapsedMs = Math.max(elapsedMs, due.atMs);
        due.callback();
      }
      elapsedMs = untilMs;
      await settle();
    },
    scheduled: (delayMs) => seen(delayMs).promise,
    get pending() {
      return timers.size;
    },
  };
}

/** Calls of WebCrypto that are under way: another thread works for them, as fast as the machine lets it. */
let cryptoCalls = 0;
for (const name of ['digest', 'sign', 'verify', 'importKey', 'exportKey', 'generateKey'] as const) {
  const original = SubtleCrypto.prototype[name] as (...args: unknown[]) => Promise<unknown>;
  const counted = function (this: SubtleCrypto, ...args: unknown[]): Promise<unknown> {
    const call = original.apply(this, args);
    const ended = () => {
      cryptoCalls -= 1;
    };
    cryptoCalls += 1;
    call.then(ended, ended);
    return call;
  };
  Object.defineProperty(SubtleCrypto.prototype, name, { value: counted, writable: true, configurable: true });
}

/** Turns of the event loop without a call of WebCrypto after which nothing is left to run. */
const QUIET_TURNS = 8;

/**
 * Lets everything run that waits for nothing but its turn or WebCrypto, however long that takes. Other threads, those that
 * compress or read files, are not waited for: a test that needs them waits for what they lead to.
 */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < QUIET_TURNS; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    if (cryptoCalls > 0) turn = -1;
  }
}
