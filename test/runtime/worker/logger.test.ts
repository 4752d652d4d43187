import { afterEach, expect, it, vi } from 'vitest';
import { createConsoleLogger } from '../../../src/runtime/worker/logger.ts';

afterEach(() => vi.restoreAllMocks());

it('writes each line by the method of the console that has its level', () => {
  const methods = ['debug', 'info', 'warn', 'error', 'log'] as const;
  const written: [string, unknown][] = [];
  for (const method of methods)
    vi.spyOn(console, method).mockImplementation(
      (line: string) => void written.push([method, JSON.parse(line)]),
    );
  const logger = createConsoleLogger('debug', () => 0);
  for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level]({ field: level }, 'said');
  expect(written).toEqual(
    ['debug', 'info', 'warn', 'error'].map((level) => [
      level,
      { level, time: '1970-01-01T00:00:00.000Z', field: level, msg: 'said' },
    ]),
  );
});

it.each([
  ['warn', ['warn', 'error']],
  ['error', ['error']],
  ['silent', []],
] as const)('writes nothing below %s', (least, expected) => {
  const written: string[] = [];
  const logger = createConsoleLogger(
    least,
    () => 0,
    (rank) => written.push(rank),
  );
  for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level]({}, 'said');
  expect(written).toEqual(expected);
});
