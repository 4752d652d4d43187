/**
 * Elapsed time from a wall clock that may be set: the sum of its steps forward. Where the runtime has no clock of its own
 * for durations, a clock that is set back stops the time for a moment, and one that is set forward moves it on.
 *
 * @param now milliseconds since 1970
 * @returns milliseconds since the first call of `now`
 */
export function createElapsedTime(now: () => number): () => number {
  let lastMs = now();
  let elapsedMs = 0;
  return () => {
    const nowMs = now();
    elapsedMs += Math.max(0, nowMs - lastMs);
    lastMs = nowMs;
    return elapsedMs;
  };
}
