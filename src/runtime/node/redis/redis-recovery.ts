import type { SharedFault } from '../../../observability/metrics.ts';
import { pauseAfterFailures } from '../../../outbound/backoff.ts';
import type { Platform } from '../../../platform/platform.ts';

/** Longest time that Redis is left alone: 10 seconds. */
const LONGEST_PAUSE_MS = 10_000;
/** A connection that has given nothing for 10 seconds is replaced, with the settings read again. */
const STUCK_MS = 10_000;
/** Time after which a fault is a new one, and pauses begin with the shortest: 10 seconds. */
const STEADY_MS = 10_000;
/** Interval at which what is forbidden is tried again: 30 seconds. */
const LACKS_MS = 30_000;
/**
 * The server is a replica, or not the one that has the keys: behind the same name another one is to be found, which takes a
 * new connection.
 */
const OF_ANOTHER_SERVER: ReadonlySet<SharedFault> = new Set(['READONLY', 'MASTERDOWN', 'MOVED']);
/** It answers, and does not let us in. */
const REFUSED: ReadonlySet<SharedFault> = new Set([
  'NOAUTH',
  'WRONGPASS',
  'NOPERM',
  'DENIED',
  'ERR',
  'location',
]);

export interface RedisRecovery {
  /** @param lacksSomething it is tried again then */
  noteUp(lacksSomething: boolean): void;
  noteDown(fault: SharedFault, wasUp: boolean): void;
  stop(): void;
}

/** What a recovery does. */
export interface RecoverySteps {
  /** Of the connection. */
  readonly state: () => 'none' | 'connecting' | 'ready';
  /** Tries the connection that there is. */
  readonly tryAgain: () => void;
  /** Opens another one. */
  readonly replace: () => void;
}

/** Tries Redis again while it is left alone, after pauses that double from 1 to 10 seconds. */
export function createRedisRecovery(
  { elapsed, schedule, random }: Pick<Platform, 'elapsed' | 'schedule' | 'random'>,
  { state, tryAgain, replace }: RecoverySteps,
): RedisRecovery {
  let cancel: (() => void) | undefined;
  let pauses = 0;
  let fault: SharedFault | undefined;
  /** Since when nothing comes of this connection. */
  let failingSinceMs: number | undefined;
  let upSinceMs: number | undefined;

  function checkIn(delayMs: number): void {
    cancel ??= schedule(() => {
      cancel = undefined;
      check();
    }, delayMs);
  }

  function checkLater(): void {
    if (cancel !== undefined) return;
    pauses += 1;
    checkIn(Math.min(LONGEST_PAUSE_MS, pauseAfterFailures(pauses, random())));
  }

  function check(): void {
    if (fault === undefined) {
      checkIn(LACKS_MS);
      if (state() === 'ready') tryAgain();
      return;
    }
    checkLater();
    const isStuck = failingSinceMs !== undefined && elapsed() - failingSinceMs >= STUCK_MS;
    if (isStuck || state() === 'none' || OF_ANOTHER_SERVER.has(fault)) replaceNow();
    else if (state() === 'ready') tryAgain();
    else if (REFUSED.has(fault)) replaceNow();
  }

  function replaceNow(): void {
    failingSinceMs = elapsed();
    replace();
  }

  function stopChecks(): void {
    cancel?.();
    cancel = undefined;
  }

  return {
    noteUp(lacksSomething) {
      if (fault !== undefined || upSinceMs === undefined) upSinceMs = elapsed();
      fault = undefined;
      failingSinceMs = undefined;
      stopChecks();
      if (lacksSomething) checkIn(LACKS_MS);
    },
    noteDown(given, wasUp) {
      if (fault === undefined) {
        stopChecks();
        if (upSinceMs !== undefined && elapsed() - upSinceMs >= STEADY_MS) pauses = 0;
      }
      fault = given;
      failingSinceMs ??= elapsed();
      checkLater();
      if (wasUp && OF_ANOTHER_SERVER.has(given)) replaceNow();
    },
    stop: stopChecks,
  };
}
