import { describe, expect, it } from 'vitest';
import { matchesEtag } from '../../src/http/etag.ts';

describe('matchesEtag', () => {
  it.each([
    ['"abc"', true],
    ['W/"abc"', true],
    ['*', true],
    [' * ', true],
    ['"x", "abc"', true],
    ['"x,y",W/"abc"', true],
    ['"abc', false],
    ['abc', false],
    ['"ABC"', false],
    ['"x"', false],
    ['"x*"', false],
    ['', false],
    [null, false],
  ])('%j -> %s', (header, matches) => {
    expect(matchesEtag(header, '"abc"')).toBe(matches);
  });
});
