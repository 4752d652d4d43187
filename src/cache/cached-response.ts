import { hashSha256 } from '../signing/sha256.ts';

/** ETag length: the first 128 bits of the body's SHA-256. */
const ETAG_BYTES = 16;

/** Result of a load: the bytes that will be sent. */
export interface LoadedBody {
  readonly body: Uint8Array<ArrayBuffer>;
  /** True when the list has no entries. Its fresh life is shorter: callers see it just before their image cache is made. */
  readonly isEmpty: boolean;
  /** How filters by name are answered from a whole list; absent on lists that are filtered already. */
  readonly filter?: ListFilter;
}

export interface ListFilter {
  /** The bytes that a load with this name would have given; undefined when nothing matches. */
  readonly select: (name: string) => Uint8Array<ArrayBuffer> | undefined;
  /** The bytes of an answer in which nothing matches. */
  readonly empty: Uint8Array<ArrayBuffer>;
}

export interface CachedResponse {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Strong: a digest of the body (RFC 9110, section 8.8.3). */
  readonly etag: string;
  /**
   * Start of its load: of two responses the one whose load began later is the newer. By elapsed time, as all times of the
   * cache.
   */
  readonly begunAtMs: number;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
}

/** The SHA-256 of bytes, in hexadecimal. */
export type BodyDigest = (body: Uint8Array<ArrayBuffer>) => string | Promise<string>;

/**
 * The strong entity tag of a body. Equal bytes have equal tags on every instance.
 *
 * @param sha256 default: WebCrypto's
 */
export async function etagOf(
  body: Uint8Array<ArrayBuffer>,
  sha256: BodyDigest = hashSha256,
): Promise<string> {
  return `"${(await sha256(body)).slice(0, 2 * ETAG_BYTES)}"`;
}
