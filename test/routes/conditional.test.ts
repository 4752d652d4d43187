import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { matchesEtag } from '../../src/http/etag.ts';
import { createTestService } from '../support/test-service.ts';

/** The bytes of request headers that Node reads at most. */
const LONGEST_HEADER = 32_768;

const HELD: readonly string[] = [
  '"abc"',
  'W/"abc"',
  '*',
  ' * ',
  '"x", "abc"',
  '"abc","x"',
  '"abc" ,\t"x"',
  '"x,y",W/"abc"',
  ', ,"abc",,',
  '"", "abc"',
  '"é", "abc"',
];
const NOT_HELD: readonly string[] = [
  '"abc',
  'abc',
  'abc"',
  '"ABC"',
  '"x"',
  '"x*"',
  '',
  ',',
  '"abc"x',
  'x"abc"',
  '"abc" "abc"',
  '"abc""x"',
  '"x", "abc"x',
  '"abc", x',
  '"abc", "x',
  '"abc";q=1',
  '"x y", "abc"',
  'w/"abc"',
  'W / "abc"',
  'W/ "abc"',
  'W/W/"abc"',
  'W/',
  '*, "abc"',
  '"abc", *',
  '**',
  '"*"',
  '\u00a0"abc"',
];

describe('matchesEtag', () => {
  it.each(HELD)('%j names what the caller holds', (header) => {
    expect(matchesEtag(header, '"abc"')).toBe(true);
  });

  it.each([...NOT_HELD, null])('%j does not', (header) => {
    expect(matchesEtag(header, '"abc"')).toBe(false);
  });

  it('agrees with the grammar of RFC 9110, section 8.8.3', () => {
    const element = '(?:W/)?"[\\x21\\x23-\\x7e\\x80-\\xff]*"';
    const list = new RegExp(`^(?:${element})?(?:[ \\t]*,[ \\t]*(?:${element})?)*$`);
    const pieces = fc.array(fc.constantFrom('"abc"', '"x,y"', 'W/', '"', ',', ' ', '\t', '*', 'x', '""'), {
      maxLength: 7,
    });
    fc.assert(
      fc.property(pieces, (made) => {
        const header = made.join('').replace(/^[ \t]+|[ \t]+$/g, '');
        const tags: readonly string[] = header.match(/"[^"]*"/g) ?? [];
        const isHeld = header === '*' || (list.test(header) && tags.includes('"abc"'));
        expect(matchesEtag(header, '"abc"')).toBe(isHeld);
      }),
      { numRuns: 5000 },
    );
  });

  it.each([' ', '\t', ',', '"', '""', 'W/', '"x', '"x" ', '"x",', ', ', '*'])(
    'looks at each character of a long header of %j a few times only',
    (piece) => {
      const header = piece.repeat(LONGEST_HEADER / piece.length);
      // With a match that is tried again from every character, one of these takes seconds.
      for (let turn = 0; turn < 100; turn += 1) expect(matchesEtag(`"abc"${header}x`, '"abc"')).toBe(false);
    },
  );
});

describe('If-None-Match', () => {
  it.each(['/imagecaches', '/v5/imagecaches', '/openapi.json'])(
    'of %s follows the same rule',
    async (path) => {
      const { get } = await createTestService();
      const etag = (await get(path)).headers.get('etag') as string;
      expect(etag).toMatch(/^"[^"]+"$/);
      const ask = async (header: string) =>
        (await get(path, { headers: { 'if-none-match': header.replaceAll('"abc"', etag) } })).status;
      for (const header of HELD) expect([header, await ask(header)]).toEqual([header, 304]);
      // Headers of fetch cannot begin with a space of any kind.
      for (const header of NOT_HELD.filter((each) => !each.startsWith('\u00a0')))
        expect([header, await ask(header)]).toEqual([header, 200]);
    },
  );
});
