/**
 * Should a fresh value be refreshed already? The nearer its end, and the longer a load takes, the likelier; so
 * of many callers of a hot key one refreshes it shortly before it ends and nobody meets it stale.
 *
 * XFetch with beta = 1: A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede
 * Prevention", Proceedings of the VLDB Endowment 8(8), 2015.
 *
 * @param leftMs milliseconds until the value is no longer fresh
 * @param loadMs how long the load of this value took, in milliseconds
 * @param random from 0 (inclusive) to 1 (exclusive)
 */
export function isRefreshDue(leftMs: number, loadMs: number, random: number): boolean {
  return -Math.log(1 - random) * loadMs >= leftMs;
}

/** Nobody is asked earlier than so many load times before the end: the chance there is 1 in 20,000. */
export const EARLY_WINDOW_LOADS = 10;
