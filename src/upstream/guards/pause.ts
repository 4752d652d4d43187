/** A time in which something is not done. It starts over when the clock is set back behind its beginning. */
export interface Pause {
  /** Begins a pause, unless more than that is left of the one that lasts. */
  begin(nowMs: number, lengthMs: number): void;
  /** Ends it before its time. */
  end(): void;
  /** Milliseconds that are left of it, 0 when there is none. */
  remainingMs(nowMs: number): number;
}

/** A pause that has not begun. */
export function createPause(): Pause {
  let begunAtMs = 0;
  let lengthMs = 0;
  const remainingMs = (nowMs: number): number => {
    // Otherwise a clock that is set back by an hour would make a pause of seconds last an hour.
    if (nowMs < begunAtMs) begunAtMs = nowMs;
    return Math.max(0, begunAtMs + lengthMs - nowMs);
  };
  return {
    begin(nowMs, newLengthMs) {
      if (remainingMs(nowMs) >= newLengthMs) return;
      begunAtMs = nowMs;
      lengthMs = newLengthMs;
    },
    end() {
      lengthMs = 0;
    },
    remainingMs,
  };
}
