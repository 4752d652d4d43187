import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { reviveImageCaches } from '../../src/imagecaches/load.ts';
import { sanitiseImageCaches } from '../../src/imagecaches/sanitise.ts';
import { serialiseImageCaches } from '../../src/imagecaches/serialise.ts';
import { vendorEntry } from '../support/test-service.ts';

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The bytes that a load of these entries gives. */
function bytesOf(...entries: unknown[]): Uint8Array<ArrayBuffer> {
  return serialiseImageCaches(sanitiseImageCaches(entries).imageCaches).body;
}

const goTime = fc
  .tuple(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.integer({ min: 0, max: 999_999 }))
  .map(([ms, micros]) => {
    const text = new Date(ms).toISOString();
    return `${text.slice(0, 10)} ${text.slice(11, 19)}.${String(micros).padStart(6, '0')} +0000 UTC`;
  });
const entry = fc
  .record({
    id: fc.uuid(),
    name: fc.stringMatching(/^[a-z][a-z0-9-]{0,30}$/),
    created_at: goTime,
    images: fc.option(
      fc.array(fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }), { maxLength: 4 }),
    ),
    image_cache_size: fc.integer({ min: 0, max: 1_000_000 }),
    retention_days: fc.option(fc.integer({ min: 0, max: 10_000 })),
    status: fc.option(fc.constantFrom('Available', 'Creating', 'no word', '')),
  })
  .map((more) => vendorEntry(more.name, more));

describe('reviveImageCaches', () => {
  it('gives of every list what its load gave, and its names', () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const { imageCaches } = sanitiseImageCaches(entries);
        const serialised = serialiseImageCaches(imageCaches);
        const revived = reviveImageCaches(undefined, serialised.body);
        expect(revived?.body).toEqual(serialised.body);
        expect(revived?.isEmpty).toBe(imageCaches.length === 0);
        for (const { name } of imageCaches) {
          const selected = serialised.select(name) as Uint8Array<ArrayBuffer>;
          expect(revived?.filter?.select(name)).toEqual(selected);
          expect(reviveImageCaches(name, selected)?.body).toEqual(selected);
        }
      }),
    );
  });

  const good = decode(bytesOf(vendorEntry('web')));
  it.each([
    ['nothing', ''],
    ['no JSON', '<html>'],
    ['another document', '{"error_code":"APIGW.0301"}'],
    ['no list', '{"image_caches":{}}'],
    ['white space', `${good} `],
    ['a member more', good.replace('"id"', '"building_config":{"cluster":"x"},"id"')],
    ['a member less', good.replace(/"status":"\w+",/, '')],
    ['members in another order', good.replace(/("id":"[^"]+"),("name":"web")/, '$2,$1')],
    ['a time that does not follow', good.replace(/"expires_at":"2024-12/, '"expires_at":"2025-12')],
    ['a bad name', good.replace('"web"', '"a b"')],
    ['a vendor time', good.replace('T06:32', ' 06:32')],
    ['an entry twice under one comma', good.replace('}]', '},]')],
    ['a member of the list itself', good.replace('{"image_caches"', '{"a":1,"image_caches"')],
    ['an escape where none is needed', good.replace('Available', '\\u0041vailable')],
  ])('refuses %s', (_what, text) => {
    expect(text).not.toBe(good);
    expect(reviveImageCaches(undefined, encode(text))).toBeUndefined();
  });

  it('refuses bytes that are no UTF-8, and an entry of another name', () => {
    expect(reviveImageCaches(undefined, new Uint8Array([0xff, 0xfe]))).toBeUndefined();
    expect(reviveImageCaches('api', bytesOf(vendorEntry('web')))).toBeUndefined();
    expect(reviveImageCaches('web', bytesOf(vendorEntry('web')))?.filter).toBeUndefined();
  });
});
