import { LRUCache } from 'lru-cache';
import type { Platform } from '../platform/platform.ts';
import type { CachedResponse } from './cached-response.ts';

/** Content codings (RFC 9110, section 8.4.1), the denser one first. */
export const CONTENT_CODINGS = ['br', 'gzip'] as const;
export type ContentCoding = (typeof CONTENT_CODINGS)[number];

/** Smaller bodies are sent as they are, since they fit one packet anyway: 1 KiB. */
export const LEAST_ENCODED_BYTES = 1024;
/** Memory for compressed copies, as a share of what lists may take and on top of it: a quarter. */
const SHARE_OF_MAX_BYTES = 0.25;

/** A body in a coding, and its entity tag. */
export interface Representation {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly etag: string;
  /** Absent: the body as it is. */
  readonly coding?: ContentCoding | undefined;
}

export interface EncodedBodies {
  /**
   * The response in a coding: at once when that copy is held, and the response itself when it is too small to gain by
   * it.
   */
  get(response: CachedResponse, coding: ContentCoding): Representation | Promise<Representation>;
  /** What `get` would give at once; undefined when it would compress. Starts nothing. */
  peek(response: CachedResponse, coding: ContentCoding): Representation | undefined;
}

/**
 * Compressed copies of the bodies that callers ask for. Each is made once for equal bodies: copies are kept by entity
 * tag, so a list that a refresh finds unchanged is not compressed again.
 *
 * @param maxBytes what lists may take; copies may take a quarter of it on top
 */
export function createEncodedBodies(
  maxBytes: number,
  platform: Pick<Platform, 'createSingleFlight'> & Required<Pick<Platform, 'compress'>>,
): EncodedBodies {
  const made = new LRUCache<string, Representation>({
    maxSize: Math.max(1, Math.floor(maxBytes * SHARE_OF_MAX_BYTES)),
    sizeCalculation: ({ body }) => body.byteLength,
  });
  const flights = platform.createSingleFlight();

  function peek(response: CachedResponse, coding: ContentCoding): Representation | undefined {
    if (response.body.byteLength < LEAST_ENCODED_BYTES) return response;
    return made.get(encodedEtag(response.etag, coding));
  }

  async function encode(response: CachedResponse, coding: ContentCoding): Promise<Representation> {
    const etag = encodedEtag(response.etag, coding);
    const representation = { body: await platform.compress(response.body, coding), etag, coding };
    made.set(etag, representation);
    return representation;
  }

  return {
    peek,
    get: (response, coding) =>
      peek(response, coding) ??
      flights.run(encodedEtag(response.etag, coding), () => encode(response, coding)).promise,
  };
}

/** The tag of a coded body. Strong tags tell representations apart, not lists (RFC 9110, section 8.8.3.3). */
export function encodedEtag(etag: string, coding: ContentCoding): string {
  return `${etag.slice(0, -1)}-${coding}"`;
}
