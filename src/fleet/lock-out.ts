/**
 * Time after a rejection in which no call is made with a key: 5 minutes, as long as the vendor locks one. For a key that
 * was never accepted it doubles with each further rejection, up to 1 hour.
 */
export const LOCK_OUT_MS = 300_000;
export const LONGEST_LOCK_OUT_MS = 3_600_000;
/** Share of its length by which the lock-out of a key that was never accepted varies: a fifth, never below 5 minutes. */
const JITTER = 0.2;

/**
 * Length of the lock-out of a key that was never accepted, in milliseconds.
 *
 * @param rejections of the key so far; at least 1
 * @param random from 0 (inclusive) to 1 (exclusive), for jitter
 */
export function lockOutMs(rejections: number, random: number): number {
  const doubledMs = LOCK_OUT_MS * 2 ** Math.min(rejections - 1, 8);
  const jitter = JITTER * random;
  return Math.min(doubledMs * (1 + jitter), LONGEST_LOCK_OUT_MS * (1 - jitter));
}
