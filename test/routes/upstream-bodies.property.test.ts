import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ImageCacheListSchema } from '../../src/imagecaches/schema.ts';
import { createTestService, vendorEntry } from '../support/test-service.ts';

const MEMBERS = Object.keys(vendorEntry());

/** An entry of the vendor's with some members replaced by anything, and some that nobody knows. */
const entries = fc
  .tuple(
    fc.dictionary(
      fc.constantFrom(...MEMBERS),
      fc.oneof(fc.jsonValue(), fc.integer(), fc.string({ unit: 'binary', maxLength: 300 })),
      {
        maxKeys: 2,
      },
    ),
    // Of names that nobody knows: in a member of the allow-list the word would rightly be let through.
    fc.dictionary(
      fc.string().filter((name) => !MEMBERS.includes(name)),
      fc.constant('PLANTED'),
      { maxKeys: 2 },
    ),
  )
  .map(([replaced, unknown]) => vendorEntry('web-base', { ...unknown, ...replaced }));

const bodies = fc.oneof(
  fc
    .array(fc.oneof({ weight: 5, arbitrary: entries }, { weight: 1, arbitrary: fc.jsonValue() }), {
      maxLength: 10,
    })
    .map((list) => new TextEncoder().encode(JSON.stringify({ image_caches: list, next: 'PLANTED' }))),
  fc.jsonValue().map((value) => new TextEncoder().encode(JSON.stringify(value))),
  fc.uint8Array({ maxLength: 200 }),
);

describe('whatever upstream sends as a 200', () => {
  it('becomes the list of the contract or an honest problem, and no text of it is let through', async () => {
    let served = 0;
    await fc.assert(
      fc.asyncProperty(bodies, async (body) => {
        const service = await createTestService();
        service.upstream = () => new Response(new Uint8Array(body));
        const response = await service.get('/imagecaches');
        const text = await response.text();
        expect(text).not.toContain('PLANTED');
        if (response.status === 200) {
          served += 1;
          ImageCacheListSchema.parse(JSON.parse(text));
        } else {
          expect(response.status).toBe(502);
          expect(JSON.parse(text)).toMatchObject({ code: 'upstream_failed' });
        }
      }),
      { numRuns: 500 },
    );
    expect(served).toBeGreaterThan(50);
  });
});
