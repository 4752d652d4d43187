import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRetryBudget } from '../../src/upstream/guards/retry-budget.ts';

/** Retries are a tenth of the calls at most. */
const CALLS_PER_RETRY = 10;
/** At most 10 retries are saved up. */
const MAX_SAVED_RETRIES = 10;
/** A new budget holds 3 retries. */
const RETRY_RESERVE = 3;

/** Takes all there is. */
function drain(budget: ReturnType<typeof createRetryBudget>): number {
  let taken = 0;
  while (budget.tryTake()) taken += 1;
  return taken;
}

describe('the retry budget', () => {
  it('starts with a reserve and earns one retry with every tenth call', () => {
    const budget = createRetryBudget();
    expect(drain(budget)).toBe(RETRY_RESERVE);
    for (let call = 1; call < CALLS_PER_RETRY; call += 1) budget.earn();
    expect(budget.tryTake()).toBe(false);
    budget.earn();
    expect(drain(budget)).toBe(1);
  });

  it('saves up no more than its limit', () => {
    const budget = createRetryBudget();
    for (let call = 0; call < 10_000; call += 1) budget.earn();
    expect(drain(budget)).toBe(MAX_SAVED_RETRIES);
  });

  it('never gives more than a tenth of the calls and the reserve, in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 500 }), (steps) => {
        const budget = createRetryBudget();
        let calls = 0;
        let retries = 0;
        for (const isCall of steps) {
          if (isCall) {
            calls += 1;
            budget.earn();
          } else if (budget.tryTake()) retries += 1;
          expect(retries).toBeLessThanOrEqual(RETRY_RESERVE + calls / CALLS_PER_RETRY);
        }
      }),
    );
  });
});
