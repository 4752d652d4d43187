import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buildCanonicalHeaders,
  buildCanonicalQueryString,
  buildCanonicalRequest,
  buildCanonicalUri,
  EMPTY_PAYLOAD_HASH,
  encodeRfc3986,
  hashPayload,
  type NameValuePair,
} from '../../src/signing/canonical-request.ts';
import { hashSha256 } from '../../src/signing/sha256.ts';

const SEED = 20_260_102;
const LONE_SURROGATES = ['\ud83d', 'a\ud83d', '\ud83da', '\ude00', 'a\ude00b', '\ude00\ud83d'];
/** Any text that has UTF-8, ASCII and other planes mixed. */
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom(..."/%+ '!*()~.-_:?#"),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
  maxLength: 40,
});

describe('encodeRfc3986', () => {
  it('leaves the unreserved characters and no other of ASCII', () => {
    const kept = Array.from({ length: 128 }, (_, code) => String.fromCharCode(code)).filter(
      (character) => encodeRfc3986(character) === character,
    );
    expect(kept.join('')).toBe('-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~');
  });

  it.each([
    ['', ''],
    [' ', '%20'],
    ['+', '%2B'],
    ["!'()*", '%21%27%28%29%2A'],
    ['/%', '%2F%25'],
    ['\0\x7f', '%00%7F'],
    ['é', '%C3%A9'],
    ['镜像', '%E9%95%9C%E5%83%8F'],
    ['😀', '%F0%9F%98%80'],
  ])('writes %j as %j', (raw, encoded) => {
    expect(encodeRfc3986(raw)).toBe(encoded);
  });

  it('writes every byte of the UTF-8 as an upper-case escape, and can be read back', () => {
    fc.assert(
      fc.property(text, (raw) => {
        const encoded = encodeRfc3986(raw);
        expect(encoded).toMatch(/^(?:[A-Za-z0-9\-._~]|%[0-9A-F]{2})*$/);
        expect(decodeURIComponent(encoded)).toBe(raw);
      }),
      { seed: SEED },
    );
  });

  it.each(LONE_SURROGATES)('refuses the lone surrogate in %j', (raw) => {
    expect(() => encodeRfc3986(raw)).toThrow(new TypeError('cannot sign a text with a lone surrogate'));
  });
});

describe('buildCanonicalUri', () => {
  it.each([
    ['', '/'],
    ['/', '/'],
    ['//', '//'],
    ['/a', '/a/'],
    ['/a/', '/a/'],
    ['/a//b', '/a//b/'],
    ['/a b', '/a%20b/'],
    ['/a%20b', '/a%20b/'],
    ['/a:b', '/a%3Ab/'],
    ['/a%3ab', '/a%3Ab/'],
    ['/a%2Fb', '/a%2Fb/'],
    ['/a%2fb/', '/a%2Fb/'],
    ['/%41%2D%7E', '/A-~/'],
    ['/%2541', '/%2541/'],
    ['/%ff', '/%FF/'],
    ['/a+b', '/a%2Bb/'],
    ['/é', '/%C3%A9/'],
    ['/%c3%A9', '/%C3%A9/'],
    ['/😀', '/%F0%9F%98%80/'],
    ['/..', '/../'],
  ])('writes %j as %j', (path, canonicalUri) => {
    expect(buildCanonicalUri(path)).toBe(canonicalUri);
  });

  it('is the path decoded once and encoded once, segment by segment', () => {
    const segments = fc.array(text, { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(segments, fc.boolean(), (decoded, slash) => {
        const expected = `/${decoded.map(encodeRfc3986).join('/')}`;
        const path = `/${decoded.map(encodeURIComponent).join('/')}`;
        const canonicalUri = buildCanonicalUri(slash ? `${path}/` : path);
        expect(canonicalUri).toBe(expected.endsWith('/') && !slash ? expected : `${expected}/`);
      }),
      { seed: SEED },
    );
  });

  it('gives the same for the same request: raw, as a URL writes it, and its own result', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', maxLength: 20 }), { maxLength: 8 }), (segments) => {
        // What is left is what a raw path cannot say: an escape, a query, and what URL resolves or drops.
        const raw = `/${segments.join('/').replace(/[%?#\\\p{Cc}]|^[ ]+|[ ]+$/gu, '')}x`;
        fc.pre(!/(?:^|\/)\.{1,2}(?:\/|$)/.test(raw));
        const canonicalUri = buildCanonicalUri(raw);
        expect(buildCanonicalUri(new URL(`https://a.test${raw}`).pathname)).toBe(canonicalUri);
        expect(buildCanonicalUri(canonicalUri)).toBe(canonicalUri);
      }),
      { seed: SEED },
    );
  });

  it.each<readonly [path: string, reason: string]>([
    ['a', 'no slash'],
    ['%2Fa', 'no slash'],
    ['/a?b', 'query'],
    ['/a#b', 'fragment'],
    ['/%', 'escape'],
    ['/a%4', 'escape'],
    ['/a%zz', 'escape'],
    ['/%%41', 'escape'],
    ...LONE_SURROGATES.map((surrogate) => [`/${surrogate}`, 'lone surrogate'] as const),
  ])('refuses %j: %s', (path, reason) => {
    expect(() => buildCanonicalUri(path)).toThrow(TypeError);
    expect(() => buildCanonicalUri(path)).toThrow(reason);
  });
});

describe('buildCanonicalQueryString', () => {
  it.each<[string, NameValuePair[], string]>([
    ['nothing', [], ''],
    ['an empty value', [['name', '']], 'name='],
    ['an empty name', [['', 'a']], '=a'],
    ['a space and a plus', [['a b', 'c+d']], 'a%20b=c%2Bd'],
    [
      'upper before lower case',
      [
        ['a', '1'],
        ['B', '2'],
      ],
      'B=2&a=1',
    ],
    [
      'values of a name, as text',
      [
        ['a', '9'],
        ['a', '10'],
        ['a', ''],
        ['a', '9'],
      ],
      'a=&a=10&a=9&a=9',
    ],
    [
      'a name that begins another',
      [
        ['ab', ''],
        ['a', ''],
      ],
      'a=&ab=',
    ],
    [
      'names before they are encoded',
      [
        ['é', ''],
        ['z', ''],
      ],
      'z=&%C3%A9=',
    ],
    [
      'code points and not UTF-16 units',
      [
        ['\u{1f600}', ''],
        ['\uff5e', ''],
      ],
      '%EF%BD%9E=&%F0%9F%98%80=',
    ],
    [
      'code points in values',
      [
        ['a', 'x\u{1f600}'],
        ['a', 'x\ue000'],
        ['a', 'x\ud7ff'],
      ],
      'a=x%ED%9F%BF&a=x%EE%80%80&a=x%F0%9F%98%80',
    ],
    [
      'two astral characters of one high surrogate',
      [
        ['\u{1f601}', ''],
        ['\u{1f600}', ''],
      ],
      '%F0%9F%98%80=&%F0%9F%98%81=',
    ],
  ])('sorts and encodes %s', (_, pairs, canonicalQueryString) => {
    expect(buildCanonicalQueryString(pairs)).toBe(canonicalQueryString);
  });

  const pair = fc.tuple(text, text);

  it('is sorted by the UTF-8 of names, then values', () => {
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 20 }), (pairs) => {
        const sorted = pairs
          .map((one) => one.map((part) => Buffer.from(part)) as [Buffer, Buffer])
          .sort((a, b) => Buffer.compare(a[0], b[0]) || Buffer.compare(a[1], b[1]))
          .map((one) => one.map((part) => encodeRfc3986(part.toString())).join('='));
        expect(buildCanonicalQueryString(pairs)).toBe(sorted.join('&'));
      }),
      { seed: SEED },
    );
  });

  it('may be sent as it is: a form reads the same pairs out of it', () => {
    fc.assert(
      fc.property(fc.uniqueArray(pair, { selector: ([name]) => name, maxLength: 20 }), (pairs) => {
        const url = new URL('https://a.test/');
        url.search = buildCanonicalQueryString(pairs);
        expect(new Map(url.searchParams)).toEqual(new Map(pairs));
        expect(url.search.slice(1)).toBe(buildCanonicalQueryString(pairs));
      }),
      { seed: SEED },
    );
  });

  it('works on frozen pairs and leaves their order', () => {
    const pairs: readonly NameValuePair[] = Object.freeze([['b', '1'] as const, ['a', '2'] as const]);
    expect(buildCanonicalQueryString(pairs)).toBe('a=2&b=1');
    expect(pairs).toEqual([
      ['b', '1'],
      ['a', '2'],
    ]);
  });

  it.each(LONE_SURROGATES)('refuses the lone surrogate in %j', (raw) => {
    expect(() => buildCanonicalQueryString([[raw, '']])).toThrow(TypeError);
    expect(() => buildCanonicalQueryString([['', raw]])).toThrow(TypeError);
  });
});

describe('buildCanonicalHeaders', () => {
  it('lower-cases names, trims values and sorts', () => {
    const headers = Object.entries({
      'X-Sdk-Date': ' d\t',
      'X-A': '',
      Host: 'a.test',
      'x-a_': 'x  y',
      'x-a0': '1',
    });
    expect(buildCanonicalHeaders(headers)).toEqual({
      canonicalHeaders: 'host:a.test\nx-a:\nx-a0:1\nx-a_:x  y\nx-sdk-date:d\n',
      signedHeaders: 'host;x-a;x-a0;x-a_;x-sdk-date',
      pairs: [
        ['host', 'a.test'],
        ['x-a', ''],
        ['x-a0', '1'],
        ['x-a_', 'x  y'],
        ['x-sdk-date', 'd'],
      ],
    });
  });

  it('takes anything that lists pairs, frozen or not', () => {
    const pairs = Object.freeze([Object.freeze(['B', ' 1 '] as const), Object.freeze(['a', '2'] as const)]);
    const expected = { canonicalHeaders: 'a:2\nb:1\n', signedHeaders: 'a;b' };
    expect(buildCanonicalHeaders(pairs)).toMatchObject(expected);
    expect(buildCanonicalHeaders(new Map(pairs))).toMatchObject(expected);
    expect(buildCanonicalHeaders(new Headers(pairs.map(([name, value]) => [name, value])))).toMatchObject(
      expected,
    );
    expect(buildCanonicalHeaders([])).toEqual({ canonicalHeaders: '', signedHeaders: '', pairs: [] });
  });

  it.each(['', ' ', 'a b', 'a:b', 'a\n', 'é', 'a;b', 'a,b', '\ud83d'])('refuses the name %j', (name) => {
    expect(() => buildCanonicalHeaders([[name, 'PLANTED']])).toThrow(TypeError);
    expect(() => buildCanonicalHeaders([[name, 'PLANTED']])).not.toThrow('PLANTED');
  });

  it.each(['a\nb:c', 'PLANTED\r', '\0', '\x7f', 'é', '镜', '\ud83d'])('refuses the value %j', (value) => {
    expect(() => buildCanonicalHeaders([['X-A', value]])).toThrow(
      new TypeError('cannot sign the header X-A: its value is not printable ASCII'),
    );
  });

  it.each([
    ['x-a', 'x-a'],
    ['x-a', 'X-A'],
  ])('refuses %s beside %s', (one, other) => {
    const pairs: NameValuePair[] = [
      [one, 'PLANTED'],
      ['x-b', ''],
      [other, 'PLANTED'],
    ];
    expect(() => buildCanonicalHeaders(pairs)).toThrow(new TypeError('cannot sign the header x-a twice'));
  });
});

describe('hashPayload', () => {
  it('is the hash of nothing for nothing', async () => {
    expect(EMPTY_PAYLOAD_HASH).toBe(await hashSha256(''));
    for (const body of [undefined, '', new Uint8Array(0)])
      expect(await hashPayload(body)).toBe(EMPTY_PAYLOAD_HASH);
  });

  it('is the hash of the bytes, a text being UTF-8', async () => {
    const hash = await hashPayload('{"a":"镜"}');
    expect(hash).toBe(await hashSha256('{"a":"镜"}'));
    expect(hash).not.toBe(EMPTY_PAYLOAD_HASH);
    expect(await hashPayload(new TextEncoder().encode('{"a":"镜"}'))).toBe(hash);
  });
});

describe('buildCanonicalRequest', () => {
  const parts = {
    method: 'GET',
    canonicalUri: '/a/',
    canonicalQueryString: 'b=c',
    canonicalHeaders: 'host:a.test\n',
    signedHeaders: 'host',
    payloadHash: EMPTY_PAYLOAD_HASH,
  };

  it('joins six parts, with an empty line after the headers', () => {
    expect(buildCanonicalRequest(parts)).toBe(`GET\n/a/\nb=c\nhost:a.test\n\nhost\n${EMPTY_PAYLOAD_HASH}`);
  });

  it.each(['', 'get', 'Get', 'GET ', 'GET\n', 'GÉT'])('refuses the method %j', (method) => {
    expect(() => buildCanonicalRequest({ ...parts, method })).toThrow(TypeError);
  });
});
