import { setTimeout as wait } from 'node:timers/promises';

/** Least and most milliseconds. */
export type Span = readonly [number, number];

/** A time under load, and what ends it early. */
export interface Stretch {
  readonly endsAtMs: number;
  readonly signal: AbortSignal;
}

export function isOver({ endsAtMs, signal }: Stretch): boolean {
  return signal.aborted || Date.now() >= endsAtMs;
}

/**
 * Waits, but not past the end of the stretch.
 *
 * @returns false when the stretch is over, or would have been before the end of the wait
 */
export async function rest(ms: number, stretch: Stretch): Promise<boolean> {
  const leftMs = stretch.endsAtMs - Date.now();
  await wait(Math.max(0, Math.min(ms, leftMs)), undefined, { signal: stretch.signal }).catch(() => undefined);
  // A timer may be a millisecond early, so the clock alone does not tell that the wait was cut short.
  return ms < leftMs && !isOver(stretch);
}

/**
 * Nothing here is waited for without a bound.
 *
 * @param what for the message of the error
 */
export async function within<Value>(ms: number, what: string, work: Promise<Value>): Promise<Value> {
  const done = new AbortController();
  const late = wait(ms, undefined, { signal: done.signal }).then(
    () => {
      throw new Error(`${what} took longer than ${ms} ms`);
    },
    () => new Promise<never>(() => {}),
  );
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
