/** Of the SHA-256 of a body so many bytes make its entity tag: 128 bits, enough that no two bodies share one. */
const ETAG_BYTES = 16;

/** What a load gives to the cache: the bytes that will be sent. */
export interface LoadedBody {
  readonly body: Uint8Array<ArrayBuffer>;
  /** An empty answer lives shorter: it is what a caller sees just before its cache is made. */
  readonly isEmpty: boolean;
  /** For the unfiltered list: how name filters are answered from it. */
  readonly filter?: ListFilter;
}

export interface ListFilter {
  /** The very bytes that a filter by this name would have loaded; undefined when nothing matches. */
  readonly select: (name: string) => Uint8Array<ArrayBuffer> | undefined;
  /** The bytes for when nothing matches. */
  readonly empty: Uint8Array<ArrayBuffer>;
}

export interface CachedResponse {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Strong: a digest of the body (RFC 9110, section 8.8.3). */
  readonly etag: string;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
}

/**
 * The strong entity tag of a body: equal bytes have equal tags, wherever they were made.
 *
 * @param sha256 of bytes, in hexadecimal; by default that of WebCrypto
 */
export async function etagOf(
  body: Uint8Array<ArrayBuffer>,
  sha256: (body: Uint8Array<ArrayBuffer>) => string | Promise<string> = sha256OfBytes,
): Promise<string> {
  return `"${(await sha256(body)).slice(0, 2 * ETAG_BYTES)}"`;
}

async function sha256OfBytes(body: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
