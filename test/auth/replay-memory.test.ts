import { expect, it } from 'vitest';
import { createReplayMemory } from '../../src/auth/replay-memory.ts';

/** The bounds of docs/sdk-clients.md. */
const KEPT = 100_000;
const MAX = 1_000_000;
const THIRTY_MINUTES_MS = 1_800_000;

const signature = (number: number) => number.toString(16).padStart(13, '0').padEnd(64, '0');

function fill(count: number) {
  let nowMs = 0;
  const memory = createReplayMemory({ elapsed: () => nowMs });
  for (let number = 0; number < count; number += 1) memory.remember(signature(number), 'first');
  return {
    memory,
    advance: (ms: number) => {
      nowMs += ms;
    },
    isKnown: (number: number) => memory.isCopy(signature(number), 'other'),
  };
}

it('keeps 100,000 signatures whatever their age', () => {
  const { memory, advance, isKnown } = fill(KEPT - 1);
  advance(1000 * THIRTY_MINUTES_MS);
  memory.remember(signature(KEPT), 'first');
  expect([isKnown(0), isKnown(KEPT)]).toEqual([true, true]);
  memory.remember(signature(KEPT + 1), 'first');
  expect([isKnown(0), isKnown(1)]).toEqual([false, true]);
});

it('keeps more for 30 minutes, and forgets the oldest first', () => {
  const { memory, advance, isKnown } = fill(KEPT + 10);
  advance(THIRTY_MINUTES_MS);
  memory.remember(signature(KEPT + 11), 'first');
  expect(isKnown(0)).toBe(true);
  advance(1);
  memory.remember(signature(KEPT + 12), 'first');
  expect([isKnown(11), isKnown(12), isKnown(KEPT)]).toEqual([false, true, true]);
});

it('keeps 1,000,000 at most', () => {
  const { memory, isKnown } = fill(MAX);
  expect(isKnown(0)).toBe(true);
  memory.remember(signature(MAX), 'first');
  expect([isKnown(0), isKnown(1), isKnown(MAX)]).toEqual([false, true, true]);
});

it('keeps the address that came first, and tells it from others', () => {
  const { memory } = fill(1);
  expect(memory.isCopy(signature(0), 'first')).toBe(false);
  memory.remember(signature(0), 'other');
  expect(memory.isCopy(signature(0), 'other')).toBe(true);
  expect(memory.isCopy(signature(1), 'other')).toBe(false);
});
