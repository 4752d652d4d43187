import { type BodyDigest, type CachedResponse, etagOf, type ListFilter } from './cached-response.ts';
import { hasEqualBytes } from './has-equal-bytes.ts';

/**
 * Answers to filters by name, cut out of one whole list as they are asked for and kept with it. Exact match and no
 * paging make them equal to what a load would give. There is at most one for each name in the list, and one more for
 * all names that are not in it.
 */
export class DerivedAnswers {
  readonly #list: CachedResponse;
  readonly #filter: ListFilter;
  readonly #sha256: BodyDigest | undefined;
  readonly #made = new Map<string, CachedResponse>();
  readonly #newer = new Map<string, CachedResponse>();
  #empty: CachedResponse | undefined;

  /** @param list has the times of every answer */
  constructor(list: CachedResponse, filter: ListFilter, sha256?: BodyDigest) {
    this.#list = list;
    this.#filter = filter;
    this.#sha256 = sha256;
  }

  /** What newer loads have said of names, where the list says something else. */
  get newer(): ReadonlyMap<string, CachedResponse> {
    return this.#newer;
  }

  /** The answer to a name. */
  async derive(name: string): Promise<CachedResponse> {
    const known = this.#made.get(name);
    if (known !== undefined) return known;
    const body = this.#filter.select(name);
    if (body !== undefined) {
      const response = await this.#toResponse(body);
      this.#made.set(name, response);
      return response;
    }
    this.#empty ??= await this.#toResponse(this.#filter.empty);
    return this.#empty;
  }

  /**
   * Puts a newer answer in place of what the list says of a name, if it says something else. It stays as long as the list:
   * what a newer load has shown does not depend on what is evicted.
   */
  supersede(name: string, newer: CachedResponse): void {
    const said = this.#filter.select(name) ?? this.#filter.empty;
    if (!hasEqualBytes(said, newer.body)) {
      this.#made.set(name, newer);
      this.#newer.set(name, newer);
    } else if (this.#newer.delete(name)) this.#made.delete(name);
  }

  /** The answer to a name, if it has been derived before. */
  peek(name: string): CachedResponse | undefined {
    const known = this.#made.get(name);
    if (known !== undefined || this.#empty === undefined) return known;
    return this.#filter.select(name) === undefined ? this.#empty : undefined;
  }

  async #toResponse(body: Uint8Array<ArrayBuffer>): Promise<CachedResponse> {
    return { ...this.#list, body, etag: await etagOf(body, this.#sha256) };
  }
}
