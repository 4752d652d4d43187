/**
 * Names loaded one by one within one window, refreshes included: 16. The next one loads the whole list instead, which
 * answers every name, so that names, made up or not, cost upstream no more than 17 calls.
 */
export const NAME_LOADS_BEFORE_LIST = 16;

/** Counts the loads of single names. */
export class NameLoadBudget {
  readonly #windowMs: number;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  #loads = 0;

  /** @param windowMs how long a budget lasts */
  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Begins a new window if the last one is over. */
  begin(nowMs: number): void {
    if (!this.#isOver(nowMs)) return;
    this.#begunAtMs = nowMs;
    this.#loads = 0;
  }

  /** True when the next name should not be loaded by itself. */
  isSpent(nowMs: number): boolean {
    return !this.#isOver(nowMs) && this.#loads >= NAME_LOADS_BEFORE_LIST;
  }

  /** Counts the load of one name. */
  spend(): void {
    this.#loads += 1;
  }

  /** Allows names again within the same window: the list turned out to answer nothing. */
  renew(): void {
    this.#loads = 0;
  }

  #isOver(nowMs: number): boolean {
    return nowMs - this.#begunAtMs >= this.#windowMs;
  }
}
