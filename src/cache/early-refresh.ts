/**
 * Whether a fresh entry should be refreshed already. The nearer its end and the longer a load takes, the likelier; so
 * one of many callers of a hot key refreshes it shortly before it ends, and nobody finds it stale.
 *
 * XFetch with beta = 1: A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache Stampede
 * Prevention", Proceedings of the VLDB Endowment 8(8), 2015.
 *
 * @param leftMs milliseconds until the entry is no longer fresh
 * @param loadMs milliseconds that its load took
 * @param random from 0 (inclusive) to 1 (exclusive)
 */
export function isRefreshDue(leftMs: number, loadMs: number, random: number): boolean {
  return -Math.log(1 - random) * loadMs >= leftMs;
}

/** Early-refresh window before the end of a fresh life, in load times: 10. The chance at its start is 1 in 20,000. */
export const EARLY_WINDOW_LOADS = 10;
