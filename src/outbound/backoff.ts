/** The first pause after a failure: 1 second. It doubles with each further one. */
export const FIRST_PAUSE_MS = 1000;
/** The longest pause: 60 seconds, so that a recovery is seen within that time. */
export const LONGEST_PAUSE_MS = 60_000;
/** A pause is shortened by up to this share at random, so that keys and replicas do not march in step. */
export const PAUSE_JITTER = 0.2;

/**
 * How long to leave somebody alone who has failed several times in a row: upstream, or a source of credentials.
 *
 * @param failures 1 or more
 * @param random from 0 (inclusive) to 1 (exclusive)
 * @returns milliseconds
 */
export function pauseAfterFailures(failures: number, random: number): number {
  const pauseMs = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 16));
  return pauseMs * (1 - PAUSE_JITTER * random);
}
