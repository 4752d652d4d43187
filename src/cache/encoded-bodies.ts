import { LRUCache } from 'lru-cache';
import type { Platform } from '../platform/platform.ts';
import type { CachedResponse } from './cached-response.ts';

/** Content codings (RFC 9110, section 8.4.1), the denser one first. */
export const CONTENT_CODINGS = ['br', 'gzip'] as const;
export type ContentCoding = (typeof CONTENT_CODINGS)[number];

/** Smaller bodies go out as they are: they fill one packet anyway. 1 KiB. */
export const LEAST_ENCODED_BYTES = 1024;
/** Of the bytes that lists may take, so much more for their compressed copies. */
const SHARE_OF_MAX_BYTES = 0.25;

/** A body in a coding, and the entity tag of that. */
export interface Representation {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly etag: string;
  /** Absent: the body as it is. */
  readonly coding?: ContentCoding | undefined;
}

export interface EncodedBodies {
  /**
   * The response in this coding: at once when it has been asked for lately, and the response itself when it is too
   * small to gain by it.
   */
  get(response: CachedResponse, coding: ContentCoding): Representation | Promise<Representation>;
}

/**
 * Compressed copies of the bodies that callers ask for, each made once for equal bodies: they are kept by entity tag, so
 * a list that a refresh finds unchanged is not compressed again.
 *
 * @param maxBytes what lists may take; copies may take a quarter of it besides
 */
export function createEncodedBodies(
  maxBytes: number,
  deps: Pick<Platform, 'createSingleFlight'> & Required<Pick<Platform, 'compress'>>,
): EncodedBodies {
  const made = new LRUCache<string, Representation>({
    maxSize: Math.max(1, Math.floor(maxBytes * SHARE_OF_MAX_BYTES)),
    sizeCalculation: ({ body }) => body.byteLength,
  });
  const flights = deps.createSingleFlight();

  return {
    get(response, coding) {
      if (response.body.byteLength < LEAST_ENCODED_BYTES) return response;
      const key = encodedEtag(response.etag, coding);
      const known = made.get(key);
      if (known !== undefined) return known;
      const { promise } = flights.run(key, async () => {
        const representation = { body: await deps.compress(response.body, coding), etag: key, coding };
        made.set(key, representation);
        return representation;
      });
      return promise;
    },
  };
}

/** Strong tags tell representations apart, not lists (RFC 9110, section 8.8.3.3). */
export function encodedEtag(etag: string, coding: ContentCoding): string {
  return `${etag.slice(0, -1)}-${coding}"`;
}
