import { UNFILTERED_KEY } from './cache-key.ts';
import { type CachedResponse, etagOf, type ListFilter } from './cached-response.ts';

/** Answers to name filters, taken from one unfiltered list: exact match and no paging make them the same. */
export interface DerivedAnswers {
  /** The answer to a name; a promise only the first time it is asked for. */
  derive(name: string): CachedResponse | Promise<CachedResponse>;
}

/**
 * Cuts answers out of a list as they are asked for, and keeps them with it. There are at most as many as the
 * list has names, and one more for all names that it lacks, however many of those are asked for.
 *
 * @param list they live and end with it
 * @param sha256 see etagOf
 */
export function createDerivedAnswers(
  list: CachedResponse,
  filter: ListFilter,
  sha256?: (body: Uint8Array<ArrayBuffer>) => string | Promise<string>,
): DerivedAnswers {
  const made = new Map<string, CachedResponse>();

  async function make(slot: string, body: Uint8Array<ArrayBuffer>): Promise<CachedResponse> {
    const { storedAtMs, freshUntilMs } = list;
    const response = { body, etag: await etagOf(body, sha256), storedAtMs, freshUntilMs };
    made.set(slot, response);
    return response;
  }

  return {
    derive(name) {
      const known = made.get(name);
      if (known !== undefined) return known;
      const body = filter.select(name);
      if (body !== undefined) return make(name, body);
      // Under the key of the list, which is no name.
      return made.get(UNFILTERED_KEY) ?? make(UNFILTERED_KEY, filter.empty);
    },
  };
}
