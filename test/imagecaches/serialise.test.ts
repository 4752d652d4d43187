import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ImageCache } from '../../src/imagecaches/model.ts';
import { IMAGE_CACHE_EXAMPLE } from '../../src/imagecaches/schema.ts';
import { serialiseImageCaches } from '../../src/imagecaches/serialise.ts';

function imageCache(name: string, images: string[] = []): ImageCache {
  return { ...IMAGE_CACHE_EXAMPLE, name, images };
}

const textOf = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe('serialiseImageCaches', () => {
  const images = fc.array(fc.string({ unit: 'binary', maxLength: 60 }), { maxLength: 8 });

  it('writes what JSON.stringify would', () => {
    const lists = fc.array(fc.record({ name: fc.string({ maxLength: 128 }), images }), { maxLength: 40 });
    fc.assert(
      fc.property(lists, (list) => {
        const imageCaches = list.map((one) => imageCache(one.name, one.images));
        expect(textOf(serialiseImageCaches(imageCaches).body)).toBe(
          JSON.stringify({ image_caches: imageCaches }),
        );
      }),
    );
  });

  it('cuts out of a list what the filtered list would be, to the byte', () => {
    const names = fc.constantFrom('a', 'b', 'c', '漢', '__proto__');
    fc.assert(
      fc.property(fc.array(fc.tuple(names, images), { maxLength: 40 }), names, (list, wanted) => {
        const imageCaches = list.map(([name, itsImages]) => imageCache(name, itsImages));
        const matching = imageCaches.filter(({ name }) => name === wanted);
        const { select } = serialiseImageCaches(imageCaches);
        expect(select(wanted)).toEqual(
          matching.length === 0 ? undefined : serialiseImageCaches(matching).body,
        );
      }),
    );
  });

  it('has the bytes of an empty list at hand', () => {
    expect(textOf(serialiseImageCaches([imageCache('a')]).empty)).toBe('{"image_caches":[]}');
    expect(textOf(serialiseImageCaches([]).body)).toBe('{"image_caches":[]}');
  });
});
