/** A period in which something is not done. Times are elapsed times, in milliseconds. */
export interface Pause {
  /** Begins a pause, unless at least that much is left of the current one. */
  begin(nowMs: number, lengthMs: number): void;
  /** Ends it early. */
  end(): void;
  /** Milliseconds left; 0 when it is over or has not begun. */
  remainingMs(nowMs: number): number;
}

/** A pause that has not begun. */
export function createPause(): Pause {
  let begunAtMs = 0;
  let lengthMs = 0;
  const remainingMs = (nowMs: number): number => Math.max(0, begunAtMs + lengthMs - nowMs);
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
