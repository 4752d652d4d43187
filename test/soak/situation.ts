import type { ProblemCode } from '../../src/http/problem.ts';
import { ATTEMPT_TIMEOUT_MS, DEADLINE_MS } from './service-settings.ts';

/** The breaker is open for 5 seconds at first, and twice as long after each failed probe. */
const FIRST_OPEN_MS = 5000;
/** The breaker is never open for longer than 60 seconds. */
const LONGEST_OPEN_MS = 60_000;
/** Open times are shortened by up to a fifth at random. */
const OPEN_JITTER = 0.2;

/** A loaded machine does everything a little later: 1 second. */
const SLACK_MS = 1000;
/** The key files are looked at once a second, and a change seen half way is believed at the next look. */
const KEY_TAKEN_UP_MS = 2500;
/** An answer is never judged by what is older. */
const FORGOTTEN_AFTER_MS = 120_000;
/**
 * Upstream is answered for by this process. When the machine does not let it run for so long, good calls may time out,
 * which is no fault of the service.
 */
const STALL_MS = ATTEMPT_TIMEOUT_MS / 2;
/**
 * When it stands still for so long, the service gives up requests that it sent half (after 10 seconds) or answers are
 * given up here, and nothing can be said of those that were under way, nor for a moment after it.
 */
const STANDSTILL_MS = 5000;
const AFTER_STANDSTILL_MS = 1000;

/**
 * A call that was given up is read for so long. Until it ends, it holds one of the few places of its access key, and with
 * a new key or a refused one that is the only one: others wait for it as long as they may.
 */
const READ_LATE_MS = 30_000;

/** The faults that ask for a pause ask for one of 1 second. */
const THROTTLED_MS = 1000;

const WHEN_UPSTREAM_FAILS: ReadonlySet<ProblemCode> = new Set([
  'upstream_failed',
  'upstream_throttled',
  'upstream_timeout',
]);

interface TroubledTime {
  readonly fromMs: number;
  /** Infinity while it goes on; its after-effects included. */
  untilMs: number;
}

/** What is going on, and which errors the contract allows for it. Nothing that happens to Redis or to tokens allows any. */
export interface Situation {
  upstreamMisbehaves(nowMs: number): void;
  upstreamBehaves(nowMs: number): void;
  keyRefused(nowMs: number): void;
  keyReplaced(nowMs: number): void;
  /** This process runs: called all the time from now on, and before an answer is judged. */
  runs(nowMs: number): void;
  /** It is no longer called all the time. */
  isIdle(): void;
  readonly stalls: number;
  /** Did this process stand still while the request was under way? */
  stoodStill(sentMs: number, answeredMs: number): boolean;
  /** Milliseconds until upstream's last fault has no after-effects. */
  recoveryMs(nowMs: number): number;
  /** May this be the answer to a request that was under way from then until then? */
  allows(code: ProblemCode, sentMs: number, answeredMs: number): boolean;
  /** May nothing be told that goes wrong upstream, but that calls are held back? */
  isCalm(sentMs: number, answeredMs: number): boolean;
}

export function createSituation(): Situation {
  /** Upstream's faults, as long as calls may fail for them. */
  const failing: TroubledTime[] = [];
  /** The same, as long as the circuit breaker may be open for them. */
  const heldBack: TroubledTime[] = [];
  /** The same, as long as a call that was given up may hold its place. */
  const awaited: TroubledTime[] = [];
  const refused: TroubledTime[] = [];
  const standstills: TroubledTime[] = [];
  /** Undefined when nobody watches. */
  let ranAtMs: number | undefined;
  let stalls = 0;

  function endFailing(nowMs: number): void {
    end(failing, nowMs + DEADLINE_MS + THROTTLED_MS + SLACK_MS);
    end(awaited, nowMs + DEADLINE_MS + READ_LATE_MS + DEADLINE_MS + SLACK_MS);
    const troubledMs = nowMs - (heldBack.at(-1)?.fromMs ?? nowMs);
    end(heldBack, nowMs + DEADLINE_MS + longestOpenMs(troubledMs) + SLACK_MS);
  }

  return {
    upstreamMisbehaves(nowMs) {
      begin(failing, nowMs);
      begin(heldBack, nowMs);
      begin(awaited, nowMs);
    },
    upstreamBehaves: endFailing,
    keyRefused: (nowMs) => begin(refused, nowMs),
    keyReplaced: (nowMs) => end(refused, nowMs + DEADLINE_MS + KEY_TAKEN_UP_MS + SLACK_MS),
    isIdle() {
      ranAtMs = undefined;
    },
    runs(nowMs) {
      const fromMs = ranAtMs ?? nowMs;
      ranAtMs = nowMs;
      if (nowMs - fromMs < STALL_MS) return;
      stalls += 1;
      if (nowMs - fromMs >= STANDSTILL_MS) {
        begin(standstills, fromMs);
        end(standstills, nowMs + AFTER_STANDSTILL_MS);
      }
      if (failing.at(-1)?.untilMs === Number.POSITIVE_INFINITY) return;
      begin(failing, fromMs);
      begin(heldBack, fromMs);
      begin(awaited, fromMs);
      endFailing(nowMs);
    },
    get stalls() {
      return stalls;
    },
    stoodStill: (sentMs, answeredMs) => overlaps(standstills, sentMs, answeredMs),
    recoveryMs: (nowMs) => Math.max(0, (heldBack.at(-1)?.untilMs ?? 0) - nowMs),
    allows: (code, sentMs, answeredMs) =>
      (WHEN_UPSTREAM_FAILS.has(code) && overlaps(failing, sentMs, answeredMs)) ||
      (code === 'upstream_timeout' && overlaps(awaited, sentMs, answeredMs)) ||
      (code === 'overloaded' && overlaps(heldBack, sentMs, answeredMs)) ||
      (code === 'upstream_rejected' && overlaps(refused, sentMs, answeredMs)),
    isCalm: (sentMs, answeredMs) =>
      !overlaps(failing, sentMs, answeredMs) && !overlaps(refused, sentMs, answeredMs),
  };
}

function begin(times: TroubledTime[], fromMs: number): void {
  while (times[0] !== undefined && times[0].untilMs < fromMs - FORGOTTEN_AFTER_MS) times.shift();
  const last = times.at(-1);
  // Trouble within the after-effects of other trouble is one with it, and the longer for it.
  if (last !== undefined && last.untilMs >= fromMs) last.untilMs = Number.POSITIVE_INFINITY;
  else times.push({ fromMs, untilMs: Number.POSITIVE_INFINITY });
}

function end(times: readonly TroubledTime[], untilMs: number): void {
  const last = times.at(-1);
  if (last !== undefined) last.untilMs = untilMs;
}

function overlaps(times: readonly TroubledTime[], sentMs: number, answeredMs: number): boolean {
  return times.some(({ fromMs, untilMs }) => fromMs <= answeredMs && sentMs <= untilMs);
}

/**
 * For how long the circuit breaker may stay open after trouble of so long, by its own schedule: it doubles with each
 * probe that fails, and the last one may have failed at the very end.
 */
function longestOpenMs(troubledMs: number): number {
  const shortestFirstMs = FIRST_OPEN_MS * (1 - OPEN_JITTER);
  const failedProbes = Math.floor(Math.log2((troubledMs + DEADLINE_MS) / shortestFirstMs + 1));
  return Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** failedProbes);
}
