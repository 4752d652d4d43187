import { LRUCache } from 'lru-cache';
import type { CachedResponse } from './cached-response.ts';

/** Names that are remembered: 256. */
const MAX_NAMES = 256;
/** Bytes of their bodies: 1 MiB. */
const MAX_BYTES = 1024 * 1024;

/**
 * The newest response of each name that became known lately, held or not. A load that began earlier may end later; what it
 * gives is compared with this, so that it does not depend on what was evicted.
 */
export class NewestResponses {
  readonly #byName = new LRUCache<string, CachedResponse>({
    max: MAX_NAMES,
    maxSize: MAX_BYTES,
    sizeCalculation: ({ body }, name) => body.byteLength + name.length + 1,
  });

  /** @param name undefined: the whole list, which is not remembered */
  get(name: string | undefined): CachedResponse | undefined {
    return name === undefined ? undefined : this.#byName.peek(name);
  }

  set(name: string | undefined, response: CachedResponse): void {
    if (name !== undefined) this.#byName.set(name, response);
  }

  /** What loads that began after this time have said of names. */
  since(begunAtMs: number): [name: string, response: CachedResponse][] {
    return [...this.#byName].filter(([, response]) => response.begunAtMs > begunAtMs);
  }
}
