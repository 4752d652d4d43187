import { describe, expect, it } from 'vitest';
import { requestIdFor } from '../../src/http/request-id.ts';

const UUID = /^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/;

describe('request ids', () => {
  it('look like random UUIDs and never repeat', () => {
    const ids = Array.from({ length: 10_000 }, () => requestIdFor(undefined));
    for (const id of ids) expect(id).toMatch(UUID);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each(['a', 'abc-DEF_123', 'x'.repeat(128)])('are the one that was sent: %s', (sent) => {
    expect(requestIdFor(sent)).toBe(sent);
  });

  it.each([null, undefined, '', 'a b', 'a.b', 'x'.repeat(129), 'a\n', '"'])('are new for %j', (sent) => {
    expect(requestIdFor(sent)).toMatch(UUID);
  });
});
