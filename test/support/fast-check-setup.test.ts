import fc from 'fast-check';
import { expect, it } from 'vitest';

/** The longest of 1000 values: from one seed, so that a chance of 1 in 10,000 a run cannot be met. */
function longest<Value>(arbitrary: fc.Arbitrary<Value>, lengthOf: (value: Value) => number): number {
  return Math.max(...fc.sample(arbitrary, { numRuns: 1000, seed: 1 }).map(lengthOf));
}

it.each([20, 200])('properties reach the %i items and characters that they state', (stated) => {
  const item = fc.integer({ min: 0, max: 1_000_000_000 });
  const lengths = {
    array: longest(fc.array(item, { maxLength: stated }), ({ length }) => length),
    uniqueArray: longest(fc.uniqueArray(item, { maxLength: stated }), ({ length }) => length),
    string: longest(fc.string({ maxLength: stated }), ({ length }) => length),
    bytes: longest(fc.uint8Array({ maxLength: stated }), ({ length }) => length),
    keys: longest(fc.dictionary(fc.uuid(), item, { maxKeys: stated }), (value) => Object.keys(value).length),
    matching: longest(fc.stringMatching(new RegExp(`^[a-z]{1,${stated}}$`)), ({ length }) => length),
  };
  for (const [kind, length] of Object.entries(lengths)) {
    expect(length, kind).toBeGreaterThan(0.95 * stated);
    expect(length, kind).toBeLessThanOrEqual(stated);
  }
});
