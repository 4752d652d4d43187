import { createHmac, hash } from 'node:crypto';
import { checkCredential, type KeyPair } from '../../../signing/credential.ts';
import type { Digests } from '../../../signing/digests.ts';

/** Of SHA-256, in bytes. */
const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** RFC 2104, section 2. */
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** The key of a credential, mixed with each pad. */
interface PaddedKey {
  /** ASCII, as the key is. */
  readonly inner: string;
  /** With room behind it for the inner digest. */
  readonly outer: Buffer;
}

/**
 * The digests of a signature by OpenSSL, at once and on this thread. HMAC is put together from two hashes as RFC 2104
 * says, because `hash` is a fifth of what an object of `createHmac` costs, and the padded key is kept with its credential.
 * (A key longer than a block, of which the vendor gives none, is hashed first and is ASCII no more: for `createHmac`.)
 */
export function createNodeDigests(): Digests {
  const paddedKeys = new WeakMap<KeyPair, PaddedKey>();

  function paddedKeyOf(credential: KeyPair): PaddedKey {
    const known = paddedKeys.get(credential);
    if (known !== undefined) return known;
    checkCredential(credential);
    const padded = padKey(credential.secretAccessKey);
    paddedKeys.set(credential, padded);
    return padded;
  }

  return {
    sha256: (data) => hash('sha256', data, 'hex'),
    hmacSha256(text, credential) {
      const { inner, outer } = paddedKeyOf(credential);
      if (credential.secretAccessKey.length > BLOCK_BYTES)
        return createHmac('sha256', credential.secretAccessKey).update(text).digest('hex');
      outer.write(hash('sha256', inner + text, 'binary'), BLOCK_BYTES, 'binary');
      return hash('sha256', outer, 'hex');
    },
  };
}

function padKey(key: string): PaddedKey {
  const bytes = Buffer.from(key);
  const inner = Buffer.alloc(BLOCK_BYTES);
  const outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);
  for (let index = 0; index < BLOCK_BYTES; index += 1) {
    inner[index] = (bytes[index] ?? 0) ^ INNER_PAD;
    outer[index] = (bytes[index] ?? 0) ^ OUTER_PAD;
  }
  return { inner: inner.toString('latin1'), outer };
}
