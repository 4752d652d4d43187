import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseImageCaches } from '../../src/imagecaches/parse.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';

const SECRET = 'HPUA0SECRET0ACCESS0KEY';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const parseText = (text: string) => parseImageCaches(bytesOf(text));

function faultOf(bytes: Uint8Array): UpstreamError {
  try {
    parseImageCaches(bytes);
  } catch (error) {
    if (error instanceof UpstreamError) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

function everythingIn(error: Error): string {
  return [
    error.message,
    error.stack,
    JSON.stringify(error),
    inspect(error, { depth: 10, showHidden: true }),
  ].join();
}

describe('parseImageCaches', () => {
  it.each([
    [
      'entries as they came',
      '{"image_caches":[{"id":"a"},{"id":"a"},1,null]}',
      [{ id: 'a' }, { id: 'a' }, 1, null],
    ],
    ['an empty list', '{"image_caches":[]}', []],
    ['no list', '{}', []],
    ['a null list', '{"image_caches":null}', []],
    ['other members beside', '{"total":0}', []],
    ['members of an error body that are null', '{"error":null,"error_code":null,"image_caches":null}', []],
    ['another kind', '{"kind":"ImageCacheList"}', []],
    ['a list beside a member of an error body', '{"image_caches":[1],"error_code":"x"}', [1]],
    ['white space', ' \r\n\t{ "image_caches" : [ ] } \n', []],
    ['a byte order mark', '\ufeff{"image_caches":[1]}', [1]],
    ['non-ASCII text', '{"image_caches":["é漢\u{1f600}"]}', ['é漢\u{1f600}']],
  ])('reads %s', (_label, text, expected) => {
    expect(parseText(text)).toEqual(expected);
  });

  it.each([
    ['nothing', '', 'invalid_json'],
    ['white space', ' \n', 'invalid_json'],
    ['HTML', `<html><body>${SECRET}</body></html>`, 'invalid_json'],
    ['a cut body', `{"image_caches":[{"id":"${SECRET}`, 'invalid_json'],
    ['two bodies', `{"image_caches":[]}${SECRET}`, 'invalid_json'],
    ['a bare word', SECRET, 'invalid_json'],
    ['an array', `["${SECRET}"]`, 'not_the_model'],
    ['null', 'null', 'not_the_model'],
    ['a string', `"${SECRET}"`, 'not_the_model'],
    ['a number', '1', 'not_the_model'],
    ['true', 'true', 'not_the_model'],
    ['an object for the list', `{"image_caches":{"0":"${SECRET}"}}`, 'not_the_model'],
    ['a string for the list', `{"image_caches":"${SECRET}"}`, 'not_the_model'],
    ['a number for the list', '{"image_caches":0}', 'not_the_model'],
    ['false for the list', '{"image_caches":false}', 'not_the_model'],
    ["the gateway's error", `{"error_code":"APIGW.0301","error_msg":"${SECRET}"}`, 'not_the_model'],
    ["CCE's error", `{"errorCode":"CCE.01400001","errorMessage":"${SECRET}"}`, 'not_the_model'],
    ["IAM's error", `{"error":{"code":"401","message":"${SECRET}"}}`, 'not_the_model'],
    ['an error as text', `{"error":"${SECRET}","image_caches":null}`, 'not_the_model'],
    ["Kubernetes' error", `{"kind":"Status","message":"${SECRET}"}`, 'not_the_model'],
    ['a denial', `{"encoded_authorization_message":"${SECRET}"}`, 'not_the_model'],
    ['a flood of entries', `{"image_caches":[${'0,'.repeat(100_000)}0]}`, 'not_the_model'],
  ])('refuses %s, without quoting it', (_label, text, reason) => {
    const error = faultOf(bytesOf(text));
    expect(error).toMatchObject({ kind: 'upstream_failed', reason });
    expect(error).not.toHaveProperty('cause');
    expect(everythingIn(error)).not.toContain(SECRET.slice(0, 8));
  });

  it('takes 100,000 entries, which is far more than any tenant can have', () => {
    expect(parseText(`{"image_caches":[${'0,'.repeat(99_999)}0]}`)).toHaveLength(100_000);
  });

  it.each([
    ['a stray byte', [0xff]],
    ['a cut sequence', [0x7b, 0x22, 0xc3]],
    ['an over-long form', [0x22, 0xc0, 0x80, 0x22]],
    ['a surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
  ])('refuses %s: not UTF-8', (_label, bytes) => {
    expect(faultOf(Uint8Array.from(bytes))).toMatchObject({
      kind: 'upstream_failed',
      reason: 'invalid_utf8',
    });
  });

  it('lives through 8 MiB of nesting', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const depth = Math.floor(8_388_608 / (open.length + close.length)) - 20;
      const nested = `${open.repeat(depth)}1${close.repeat(depth)}`;
      let result: unknown;
      try {
        result = parseText(`{"image_caches":[${nested}]}`);
      } catch (error) {
        expect(error).toBeInstanceOf(UpstreamError);
        continue;
      }
      expect(result).toHaveLength(1);
    }
    expect(faultOf(bytesOf('['.repeat(8_388_608)))).toMatchObject({ reason: 'invalid_json' });
  });

  it('takes an engine that gives up on the depth for bad JSON', () => {
    const parse = JSON.parse;
    JSON.parse = () => {
      throw new RangeError(SECRET);
    };
    try {
      const error = faultOf(bytesOf('{}'));
      expect(error).toMatchObject({ reason: 'invalid_json' });
      expect(everythingIn(error)).not.toContain(SECRET);
    } finally {
      JSON.parse = parse;
    }
  });

  it('reads 8 MiB of entries', () => {
    const entry = `{"id":"${'x'.repeat(92)}"},`;
    const text = entry.repeat(Math.floor(8_388_000 / entry.length));
    expect(parseText(`{"image_caches":[${text.slice(0, -1)}]}`).length).toBeGreaterThan(80_000);
  });

  it('throws nothing but UpstreamError, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.string({ unit: 'binary', maxLength: 200 }).map(bytesOf),
          fc.json().map(bytesOf),
          fc.json().map((json) => bytesOf(`{"image_caches":${json}}`)),
        ),
        (bytes) => {
          try {
            expect(Array.isArray(parseImageCaches(bytes))).toBe(true);
          } catch (error) {
            expect(error).toBeInstanceOf(UpstreamError);
            expect((error as UpstreamError).message).toMatch(/^upstream_failed: [a-z_0-9]+$/);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
