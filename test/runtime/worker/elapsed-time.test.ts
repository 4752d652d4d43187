import { expect, it } from 'vitest';
import { createElapsedTime } from '../../../src/runtime/worker/elapsed-time.ts';

it('is the sum of the steps forward of a clock that is set', () => {
  let nowMs = 1_000_000;
  const elapsed = createElapsedTime(() => nowMs);
  const steps = [0, 5, -28_800_000, 7, -1, 1, 3_600_000];
  const seen = steps.map((stepMs) => {
    nowMs += stepMs;
    return elapsed();
  });
  expect(seen).toEqual([0, 5, 5, 12, 12, 13, 3_600_013]);
});
