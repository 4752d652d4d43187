import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../src/http/problem.ts';
import { parseImageCachesQuery } from '../../src/imagecaches/query.ts';

/** Grammar of the vendor for a name (ListImageCaches, query parameter `name`). */
const IMAGE_CACHE_NAME = /^[a-z](?:[a-z0-9-]{0,126}[a-z0-9])?$/;

const BASE = 'http://service.test/imagecaches';

function refusal(url: string): ProblemError {
  try {
    parseImageCachesQuery(url);
  } catch (error) {
    if (error instanceof ProblemError) return error;
    throw error;
  }
  throw new Error(`accepted: ${url}`);
}

const NAME_CHARACTERS = 'abcdefghijklmnopqrstuvwxyz0123456789-'.split('');
const names = fc
  .array(fc.constantFrom(...NAME_CHARACTERS), { minLength: 1, maxLength: 128 })
  .map((characters) => characters.join(''))
  .filter((name) => IMAGE_CACHE_NAME.test(name));

describe('parseImageCachesQuery', () => {
  it.each([
    ['', undefined],
    ['?', undefined],
    ['?#name=a', undefined],
    ['#?name=a', undefined],
    ['#', undefined],
    ['#x#?name=a', undefined],
    ['?name=a#?name=b', 'a'],
    ['?name=a', 'a'],
    ['?name=%61', 'a'],
    ['?n%61me=a', 'a'],
    ['?name=a&', 'a'],
    ['?name=a-1', 'a-1'],
    [`?name=a${'b'.repeat(127)}`, `a${'b'.repeat(127)}`],
  ])('takes %j', (query, name) => {
    expect(parseImageCachesQuery(BASE + query)).toEqual({ name });
  });

  it.each([
    ['?name=a&name=b', 'only once'],
    ['?name=a&name=a', 'only once'],
    ['?NAME=a', "'NAME'"],
    ['?name=', 'is empty'],
    ['?name', 'is empty'],
    ['?_=1', "'_'"],
    ['?=a', "unknown parameter ''"],
    ['?name=a&limit=1', "'limit'"],
    ['?name[]=a', "'name[]'"],
    ['?name=-a', 'a letter first'],
    ['?name=1a', 'a letter first'],
    ['?name=a-', "no '-' at the end"],
    ['?name=A', 'lower-case'],
    ['?name=a_b', 'lower-case'],
    ['?name=a+b', 'lower-case'],
    ['?name=a%20b', 'lower-case'],
    ['?name=a%0A', 'lower-case'],
    ['?name=a%00', 'lower-case'],
    ['?name=%zz', 'lower-case'],
    ['?name=a%', 'lower-case'],
    ['?name=%ff', 'lower-case'],
    ['?name=%C3%A9', 'lower-case'],
    ['?name=../etc', 'lower-case'],
    [`?name=a${'b'.repeat(128)}`, '1 to 128'],
    [`?name=${'a'.repeat(10_240)}`, '1 to 128'],
  ])('refuses %.40j and says why', (query, said) => {
    const problem = refusal(BASE + query);
    expect(problem.code).toBe('invalid_query');
    expect(problem.detail).toContain(said);
  });

  it('echoes at most 64 characters, and only printable ones', () => {
    expect(refusal(`${BASE}?name=${'x_'.repeat(5000)}`).detail).toContain(`'${'x_'.repeat(32)}'`);
    expect(refusal(`${BASE}?name=a%1B%5B31m%E2%80%AE%F0%9F%98%80`).detail).toContain("'a?[31m??'");
  });

  it('reads every valid name back, however it is escaped', () => {
    const escaped = fc.tuple(names, fc.infiniteStream(fc.boolean())).map(([name, coins]) => {
      const letters = name.split('').map((letter) => {
        const isEscaped = coins.next().value as boolean;
        return isEscaped ? `%${letter.charCodeAt(0).toString(16)}` : letter;
      });
      return { name, text: letters.join('') };
    });
    fc.assert(
      fc.property(escaped, ({ name, text }) => {
        expect(parseImageCachesQuery(`${BASE}?name=${text}`)).toEqual({ name });
      }),
    );
  });

  it('gives a valid name, nothing, or a refusal for any text at all', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.webQueryParameters()),
        (text) => {
          let name: string | undefined;
          try {
            name = parseImageCachesQuery(`${BASE}?${text}`).name;
          } catch (error) {
            expect(error).toBeInstanceOf(ProblemError);
            expect((error as ProblemError).detail).toMatch(/^[ -~]{1,400}$/);
            return;
          }
          if (name !== undefined) expect(name).toMatch(IMAGE_CACHE_NAME);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
