import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { describeError } from '../src/observability/describe-error.ts';

class NamedError extends Error {
  override readonly name = 'NamedError';
}

describe('describeError', () => {
  it('tells name, code, where it was thrown, and the same of its causes', () => {
    const cause = Object.assign(new Error('inner'), { code: 'ECONNREFUSED' });
    const described = describeError(new NamedError('outer', { cause }));
    expect(described).toMatchObject({ name: 'NamedError', cause: { name: 'Error', code: 'ECONNREFUSED' } });
    expect(described.frames?.[0]).toContain('describe-error.test.ts');
  });

  it('tells 4 causes and 12 frames of each at most, so that one line of the log stays one', () => {
    const deep = (depth: number): Error => {
      if (depth > 0) return deep(depth - 1);
      return new Error('deep');
    };
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 100;
    try {
      let error = deep(50);
      for (let count = 0; count < 10; count += 1) error = new Error('outer', { cause: error });
      let causes = 0;
      for (let cause = describeError(error).cause; cause !== undefined; cause = cause.cause) causes += 1;
      expect(causes).toBe(4);
      expect(describeError(deep(50)).frames).toHaveLength(12);
    } finally {
      Error.stackTraceLimit = limit;
    }
  });

  it('keeps nothing of a message, even where it looks like a stack frame', () => {
    const text = fc.string({ maxLength: 200 });
    const messages = fc
      .tuple(text, fc.constantFrom('\n    at ', '\nat ', '\n', ' ', '\r\n   at '), text)
      .map(([before, between, after]) => `${before}${between}PLANTED${after}`);
    fc.assert(
      fc.property(messages, fc.constantFrom(Error, TypeError, NamedError), (message, Kind) => {
        const error = new Kind(message, { cause: new Error(message) });
        expect(JSON.stringify(describeError(error))).not.toContain('PLANTED');
      }),
    );
    let parseError: unknown;
    try {
      JSON.parse('{"a":\n    at PLANTED');
    } catch (error) {
      parseError = error;
    }
    expect(JSON.stringify(describeError(parseError))).not.toContain('PLANTED');
  });

  it('gives no frames when it cannot tell them from the message', () => {
    for (const [before, after] of [
      ['first\n    at PLANTED', 'another one'],
      ['first\n    at PLANTED', 'first'],
      ['first\n    at PLANTED', 'fir'],
      ['first\n    at PLANTED', ''],
    ] as const) {
      const error = new Error(before);
      // So that the stack is what it was when the error was made.
      expect(error.stack).toContain(before);
      error.message = after;
      expect(JSON.stringify(describeError(error))).not.toContain('PLANTED');
    }
    const bare = new Error('');
    expect(describeError(bare).frames?.[0]).toContain('describe-error.test.ts');
  });

  it('takes names and codes only when they are plain words, and other values by their type', () => {
    const odd = Object.assign(new Error('m'), { name: 'PLANTED name', code: 'PLANTED code' });
    expect(JSON.stringify(describeError(odd))).not.toContain('PLANTED');
    expect(describeError('PLANTED')).toEqual({ name: 'string' });
    const { error } = z.string().safeParse(1);
    expect(describeError(error).name).toBe('$ZodError');
  });
});
