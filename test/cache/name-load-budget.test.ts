import { describe, expect, it } from 'vitest';
import { NameLoadBudget } from '../../src/cache/name-load-budget.ts';

const WINDOW_MS = 30_000;

function spend(budget: NameLoadBudget, loads: number): void {
  for (let load = 0; load < loads; load += 1) budget.spend();
}

describe('the budget of single loads', () => {
  it('is spent after 16 loads, until its window ends', () => {
    const budget = new NameLoadBudget(WINDOW_MS);
    budget.begin(5000);
    spend(budget, 15);
    expect(budget.isSpent(5000)).toBe(false);
    spend(budget, 1);
    expect(budget.isSpent(5000)).toBe(true);
    budget.begin(34_999);
    expect(budget.isSpent(34_999)).toBe(true);
    expect(budget.isSpent(35_000)).toBe(false);
    budget.begin(35_000);
    expect(budget.isSpent(35_001)).toBe(false);
  });

  it('begins no window when it is only asked', () => {
    const budget = new NameLoadBudget(WINDOW_MS);
    expect(budget.isSpent(0)).toBe(false);
    budget.begin(10_000);
    spend(budget, 16);
    expect(budget.isSpent(39_999)).toBe(true);
    expect(budget.isSpent(40_000)).toBe(false);
    budget.begin(50_000);
    spend(budget, 16);
    expect(budget.isSpent(79_999)).toBe(true);
  });

  it('can be renewed within its window', () => {
    const budget = new NameLoadBudget(WINDOW_MS);
    budget.begin(0);
    spend(budget, 16);
    budget.renew();
    expect(budget.isSpent(1)).toBe(false);
    spend(budget, 16);
    expect(budget.isSpent(1)).toBe(true);
  });
});
