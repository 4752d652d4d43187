import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createLogger } from '../../../src/runtime/node/telemetry/logger.ts';

const hex = (digits: number) =>
  fc.option(fc.stringMatching(new RegExp(`^[0-9a-f]{${digits}}$`)), { nil: undefined });
const word = fc.option(fc.string({ unit: 'binary', maxLength: 60 }), { nil: undefined });
const members = {
  requestId: fc.stringMatching(/^[A-Za-z0-9_-]{1,128}$/),
  trace_id: hex(32),
  span_id: hex(16),
  method: fc.string({ unit: 'binary', maxLength: 60 }),
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
  claim: word,
};
const fields = fc.record(members);

/** Of so few values that much is the same from one request to the next, and something is not. */
const likely = fc.constantFrom(undefined, 'a', 'é"');
const likelyFields = fc.record({
  requestId: fc.constantFrom('1', '2'),
  trace_id: fc.constantFrom(undefined, 'a', 'b'),
  span_id: fc.constantFrom(undefined, 'c', 'd'),
  method: fc.constantFrom('GET', 'HEAD'),
  route: fc.constantFrom('/imagecaches', 'unmatched'),
  status: fc.constantFrom(200, 304),
  ms: fc.constantFrom(0, 1),
  access: likely,
  name: likely,
  cache: likely,
  subject: likely,
  issuer: likely,
  code: likely,
  reason: likely,
  claim: likely,
});

type Given = Parameters<ReturnType<typeof createLogger>['request']>[1];

function setUp(level: 'info' | 'warn' = 'info') {
  const lines: string[] = [];
  const logger = createLogger(level, { write: (line) => void lines.push(line) });
  const expectPinosLine = (of: 'info' | 'warn', given: Given) => {
    logger[of](given, 'request');
    logger.request(of, given);
    const [byPino, byUs] = lines.splice(0);
    expect(byUs).toBe(byPino);
  };
  return { lines, logger, expectPinosLine };
}

describe('the line of a request', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: 1_767_323_045_678 }));
  afterEach(() => void vi.useRealTimers());

  it('is the one that pino would write, whatever is in it', () => {
    const { expectPinosLine } = setUp();
    fc.assert(
      fc.property(fields, fc.constantFrom('info', 'warn'), (given, level) => expectPinosLine(level, given)),
      { numRuns: 2000 },
    );
  });

  it('is that also after others that were much like it', () => {
    const { expectPinosLine } = setUp();
    const level = fc.constantFrom('info' as const, 'warn' as const);
    const one = fc.record({ fields: likelyFields, level, laterMs: fc.constantFrom(0, 0, 1) });
    // Each differs from the one before in few members.
    const requests = fc
      .tuple(one, fc.array(fc.tuple(fc.constantFrom(...Object.keys(members)), one), { maxLength: 30 }))
      .map(([first, others]) => {
        const all = [first];
        for (const [member, other] of others) {
          const changed = { [member]: other.fields[member as keyof typeof other.fields] };
          all.push({ ...other, fields: { ...(all.at(-1) as typeof first).fields, ...changed } });
        }
        return all;
      });
    fc.assert(
      fc.property(requests, (all) => {
        for (const { fields: given, level: of, laterMs } of all) {
          vi.setSystemTime(Date.now() + laterMs);
          expectPinosLine(of, given);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is right for more subjects than are remembered', () => {
    const { lines, logger } = setUp();
    const [given] = fc.sample(likelyFields, 1);
    for (let turn = 0; turn < 2; turn += 1)
      for (let subject = 0; subject < 2500; subject += 1)
        logger.request('info', { ...(given as Given), subject: `caller-${subject}` });
    expect(lines.map((line) => JSON.parse(line).subject)).toEqual(
      Array.from({ length: 5000 }, (_, index) => `caller-${index % 2500}`),
    );
  });

  it('is not written below the level', () => {
    const { lines, logger } = setUp('warn');
    const given = fc.sample(fields, 1)[0] as Given;
    logger.request('info', given);
    logger.request('debug', given);
    expect(lines).toEqual([]);
    logger.request('warn', given);
    expect(lines).toHaveLength(1);
  });
});
