/**
 * So many names may be loaded one by one within a fresh life. The next miss loads the whole list instead, which
 * answers every name: made-up names cost upstream no more than this.
 */
export const NAME_LOADS_BEFORE_LIST = 16;

export interface NameLoadBudget {
  /** True when names should no longer be loaded one by one. */
  isSpent(nowMs: number): boolean;
  /** A name is being loaded by itself. */
  spend(): void;
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
  };
}
