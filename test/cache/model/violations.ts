/** Notes that a rule is broken unless it holds. */
export type Demand = (holds: boolean, rule: string, facts?: object) => void;

export interface Violations {
  readonly demand: Demand;
  /** Throws when a rule was broken since the last time. */
  throwIfAny(): void;
}

/**
 * Broken rules are collected and thrown between commands: what is thrown while the service makes a call, the service
 * would take for a lost connection.
 */
export function createViolations(now: () => number): Violations {
  const startMs = now();
  const found: string[] = [];
  return {
    demand(holds, rule, facts = {}) {
      if (holds) return;
      const seconds = (now() - startMs) / 1000;
      found.push(`${rule} (after ${seconds} s, ${JSON.stringify(facts)})`);
    },
    throwIfAny() {
      if (found.length > 0) throw new Error(found.splice(0).join('\n'));
    },
  };
}
