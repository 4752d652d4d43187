/**
 * So many names may be loaded one by one within a fresh life, refreshes included. The next one loads the whole list
 * instead, which answers every name: names, made up or not, cost upstream no more than this and one call.
 */
export const NAME_LOADS_BEFORE_LIST = 16;

export interface NameLoadBudget {
  /** True when names should no longer be loaded one by one. */
  isSpent(nowMs: number): boolean;
  /** A name is being loaded by itself. */
  spend(): void;
  /** The list turned out to answer nothing: names may be loaded by themselves again. */
  renew(): void;
}

/** @param windowMs how long a budget lasts; then a new one begins */
export function createNameLoadBudget(windowMs: number): NameLoadBudget {
  let begunAtMs = Number.NEGATIVE_INFINITY;
  let loads = 0;
  return {
    isSpent(nowMs) {
      if (nowMs - begunAtMs >= windowMs) {
        begunAtMs = nowMs;
        loads = 0;
      }
      return loads >= NAME_LOADS_BEFORE_LIST;
    },
    spend() {
      loads += 1;
    },
    renew() {
      loads = 0;
    },
  };
}
