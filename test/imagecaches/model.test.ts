import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { sanitiseImageCaches } from '../../src/imagecaches/sanitise.ts';
import { IMAGE_CACHE_EXAMPLE, ImageCacheSchema } from '../../src/imagecaches/schema.ts';

describe('the example of the table', () => {
  it('is read as it is, so that readers, order and examples agree', () => {
    expect(sanitiseImageCaches([IMAGE_CACHE_EXAMPLE])).toEqual({
      imageCaches: [IMAGE_CACHE_EXAMPLE],
      dropped: [],
    });
  });

  it('is what the schema describes', () => {
    expect(z.parse(ImageCacheSchema, IMAGE_CACHE_EXAMPLE)).toEqual(IMAGE_CACHE_EXAMPLE);
  });
});
