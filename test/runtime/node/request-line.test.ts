import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../../src/runtime/node/logger.ts';

const word = fc.option(fc.string({ unit: 'binary', maxLength: 60 }), { nil: undefined });
const fields = fc.record({
  requestId: fc.stringMatching(/^[A-Za-z0-9_-]{1,128}$/),
  method: fc.string({ unit: 'binary' }),
  route: fc.constantFrom('/imagecaches', 'unmatched'),
  status: fc.integer({ min: 200, max: 599 }),
  ms: fc.nat(),
  access: word,
  name: word,
  cache: word,
  subject: word,
  issuer: word,
  code: word,
  reason: word,
});

function setUp(level: 'info' | 'warn' = 'info') {
  const lines: string[] = [];
  return { lines, logger: createLogger(level, { write: (line) => void lines.push(line) }) };
}

describe('the line of a request', () => {
  it('is the one that pino would write, whatever is in it', () => {
    vi.useFakeTimers({ toFake: ['Date'], now: 1_767_323_045_678 });
    try {
      const { lines, logger } = setUp();
      fc.assert(
        fc.property(fields, fc.constantFrom('info', 'warn'), (given, level) => {
          logger[level](given, 'request');
          logger.request(level, given);
          const [byPino, byUs] = lines.splice(0);
          expect(byUs).toBe(byPino);
        }),
        { numRuns: 2000 },
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it('is not written below the level', () => {
    const { lines, logger } = setUp('warn');
    const given = fc.sample(fields, 1)[0] as Parameters<typeof logger.request>[1];
    logger.request('info', given);
    logger.request('debug', given);
    expect(lines).toEqual([]);
    logger.request('warn', given);
    expect(lines).toHaveLength(1);
  });
});
