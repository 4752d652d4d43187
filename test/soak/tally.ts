/** So many different faults are told apart; the rest is counted. */
const MAX_TOLD_FAULTS = 40;
const MAX_FAULT_LENGTH = 400;

export interface FaultTimes {
  readonly count: number;
  /** Seconds since the start. */
  readonly firstSeconds: number;
  readonly lastSeconds: number;
}

/** What came, by kind, and what was wrong with it. */
export interface Tally {
  count(kind: string): void;
  /** One more of those that came while upstream had no fault. */
  countCalm(): void;
  wrong(fault: string): void;
  /** Sorted by kind. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly faults: Readonly<Record<string, FaultTimes>>;
  readonly calm: number;
  readonly isClean: boolean;
}

export function createTally(): Tally {
  const kinds = new Map<string, number>();
  const faults = new Map<string, FaultTimes>();
  const startedAtMs = Date.now();
  let calm = 0;
  return {
    count: (kind) => kinds.set(kind, (kinds.get(kind) ?? 0) + 1),
    countCalm() {
      calm += 1;
    },
    wrong(fault) {
      const text = fault.slice(0, MAX_FAULT_LENGTH);
      const told = faults.has(text) || faults.size < MAX_TOLD_FAULTS ? text : 'more of other kinds';
      const lastSeconds = Math.round((Date.now() - startedAtMs) / 100) / 10;
      const { count, firstSeconds } = faults.get(told) ?? { count: 0, firstSeconds: lastSeconds };
      faults.set(told, { count: count + 1, firstSeconds, lastSeconds });
    },
    get kinds() {
      return Object.fromEntries([...kinds].sort());
    },
    get faults() {
      return Object.fromEntries(faults);
    },
    get calm() {
      return calm;
    },
    get isClean() {
      return faults.size === 0;
    },
  };
}
