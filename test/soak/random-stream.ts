import { randomNumbers } from '../simulator/random-numbers.ts';
import type { Span } from './stretch.ts';

export interface RandomStream {
  /** From 0 (inclusive) to 1 (exclusive). */
  next(): number;
  between(span: Span): number;
  oneOf<Value>(values: readonly Value[]): Value;
}

/**
 * Numbers for one part of the soak. Each part has its own, so that what it draws does not depend on how often the
 * others drew before.
 */
export function createRandomStream(seed: number, part: string): RandomStream {
  // FNV-1a, to tell the parts apart.
  let mixed = seed ^ 0x811c9dc5;
  for (const character of part) mixed = Math.imul(mixed ^ (character.codePointAt(0) as number), 0x01000193);
  const next = randomNumbers(mixed);
  return {
    next,
    between: ([least, most]) => least + next() * (most - least),
    oneOf: <Value>(values: readonly Value[]) => values[Math.floor(next() * values.length)] as Value,
  };
}
