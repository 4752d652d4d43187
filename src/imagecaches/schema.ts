import * as z from 'zod/mini';
import { type ImageCache, MEMBERS, type MemberName } from './model.ts';

type Schemas = { readonly [Name in MemberName]: ReturnType<(typeof MEMBERS)[Name]['schema']> };

/**
 * The schemas of the answer, made from the table, for the API document and for tests. The service does not import this
 * file: checking by a schema took a fifth of what the miss of a whole list adds.
 */
function describedSchemas(): Schemas {
  const schemas = Object.entries(MEMBERS).map(([name, { schema, description }]) => [
    name,
    schema(z).check(z.describe(description)),
  ]);
  return Object.fromEntries(schemas) as Schemas;
}

/** One image cache of the answer. */
export const ImageCacheSchema = z.strictObject(describedSchemas());

/** The whole body of the answer. */
export const ImageCacheListSchema = z.strictObject({
  image_caches: z.array(ImageCacheSchema).check(z.describe("In the vendor's order.")),
});

/** One image cache of the API document. */
export const IMAGE_CACHE_EXAMPLE = Object.fromEntries(
  Object.entries(MEMBERS).map(([name, { example }]) => [name, example]),
) as ImageCache;
