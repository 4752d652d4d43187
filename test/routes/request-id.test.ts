import { describe, expect, it } from 'vitest';
import { createRequestIdSource } from '../../src/http/request-id.ts';

describe('request ids', () => {
  it('look like random UUIDs and never repeat', () => {
    const next = createRequestIdSource();
    const ids = Array.from({ length: 10_000 }, next);
    for (const id of ids)
      expect(id).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('of two sources differ', () => {
    expect(createRequestIdSource()().slice(0, 23)).not.toBe(createRequestIdSource()().slice(0, 23));
  });
});
