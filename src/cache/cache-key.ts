/** The key of the unfiltered list. `*` is outside the grammar of names, so no filter can meet it. */
export const UNFILTERED_KEY = '*';

/** The cache key of a validated query. The payload is the same for every authorised caller. */
export function cacheKeyFor(query: { readonly name: string | undefined }): string {
  return query.name ?? UNFILTERED_KEY;
}

/** The name filter that a key stands for; undefined for the unfiltered list. */
export function nameOfKey(key: string): string | undefined {
  return key === UNFILTERED_KEY ? undefined : key;
}
