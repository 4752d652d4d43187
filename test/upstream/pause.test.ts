import { expect, it } from 'vitest';
import { createPause } from '../../src/upstream/guards/pause.ts';

it('a pause lasts its time, is never shortened, and can be ended', () => {
  const pause = createPause();
  expect(pause.remainingMs(5000)).toBe(0);
  pause.begin(5000, 300);
  expect(pause.remainingMs(5299)).toBe(1);
  expect(pause.remainingMs(5300)).toBe(0);
  pause.begin(6000, 300);
  pause.begin(6100, 100);
  expect(pause.remainingMs(6100)).toBe(200);
  pause.begin(6100, 400);
  expect(pause.remainingMs(6100)).toBe(400);
  pause.end();
  expect(pause.remainingMs(6100)).toBe(0);
});
