import { parseAccept } from 'hono/utils/accept';
import { expect, it, vi } from 'vitest';
import { preferredCoding } from '../../src/http/accept-encoding.ts';

// Counts how often a value is read, which is all that shows whether it was remembered.
vi.mock('hono/utils/accept', async (importOriginal) => {
  const original = await importOriginal<typeof import('hono/utils/accept')>();
  return { ...original, parseAccept: vi.fn(original.parseAccept) };
});

it('the codings of 100 values of Accept-Encoding are remembered, so that made-up ones take no memory', () => {
  const parse = vi.mocked(parseAccept);
  const readingsOf = (values: number) => {
    parse.mockClear();
    for (let index = 0; index < values; index += 1) expect(preferredCoding(`gzip, x-${index}`)).toBe('gzip');
    return parse.mock.calls.length;
  };
  expect(readingsOf(100)).toBe(100);
  expect(readingsOf(100)).toBe(0);
  expect(readingsOf(101)).toBe(1);
  // One of them had to go.
  expect(readingsOf(101)).toBeGreaterThan(0);
});
