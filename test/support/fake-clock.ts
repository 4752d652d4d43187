import type { Platform } from '../../src/platform/platform.ts';

interface Timer {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that moves only when it is told to. */
export interface FakeClock extends Pick<Platform, 'now' | 'schedule'> {
  /** Moves on, calling back what falls due on the way, each at its own time. */
  advance(ms: number): Promise<void>;
  /** Resolves when a timer of just this delay has been set, now or before. */
  scheduled(delayMs: number): Promise<void>;
  /** Timers that wait. */
  readonly pending: number;
}

export function createFakeClock(startMs = Date.UTC(2026, 0, 2, 3, 4, 5)): FakeClock {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  const delays = new Map<number, PromiseWithResolvers<void>>();
  const seen = (delayMs: number) => {
    const existing = delays.get(delayMs) ?? Promise.withResolvers<void>();
    delays.set(delayMs, existing);
    return existing;
  };
  return {
    now: () => nowMs,
    schedule: (callback, delayMs) => {
      const timer: Timer = { atMs: nowMs + delayMs, callback };
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
      const untilMs = nowMs + ms;
      for (;;) {
        await settle();
        const due = [...timers].filter((timer) => timer.atMs <= untilMs).sort((a, b) => a.atMs - b.atMs)[0];
        if (due === undefined) break;
        timers.delete(due);
        nowMs = Math.max(nowMs, due.atMs);
        due.callback();
      }
      nowMs = untilMs;
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
