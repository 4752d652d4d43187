import { hash } from 'node:crypto';
import { type Credential, checkCredential } from '../../signing/credentials.ts';
import type { Digests } from '../../signing/digests.ts';

/** Of SHA-256, in bytes. */
const BLOCK_BYTES = 64;
const DIGEST_BYTES = 32;
/** A string to sign has 97. */
const SCRATCH_BYTES = 1024;
/** RFC 2104, section 2. */
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** The key of a credential, mixed with each pad, and room behind it for what is hashed after it. */
interface PaddedKey {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

/**
 * The digests of a signature by OpenSSL, at once and on this thread. HMAC is put together from two hashes as RFC 2104
 * says, because `hash` is a fifth of what an object of `createHmac` costs, and the padded key is kept with its credential.
 */
export function createNodeDigests(): Digests {
  const paddedKeys = new WeakMap<Credential, PaddedKey>();

  function paddedKeyOf(credential: Credential): PaddedKey {
    const known = paddedKeys.get(credential);
    if (known !== undefined) return known;
    checkCredential(credential);
    const secret = Buffer.from(credential.secretAccessKey);
    const key = secret.length > BLOCK_BYTES ? hash('sha256', secret, 'buffer') : secret;
    const inner = Buffer.alloc(SCRATCH_BYTES);
    const outer = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES);
    for (let index = 0; index < BLOCK_BYTES; index += 1) {
      inner[index] = (key[index] ?? 0) ^ INNER_PAD;
      outer[index] = (key[index] ?? 0) ^ OUTER_PAD;
    }
    const padded = { inner, outer };
    paddedKeys.set(credential, padded);
    return padded;
  }

  return {
    sha256: (data) => hash('sha256', data, 'hex'),
    hmacSha256(text, credential) {
      const { inner, outer } = paddedKeyOf(credential);
      // Up to three bytes of UTF-8 for each code unit.
      const message =
        text.length * 3 <= inner.length - BLOCK_BYTES
          ? inner.subarray(0, BLOCK_BYTES + inner.write(text, BLOCK_BYTES))
          : Buffer.concat([inner.subarray(0, BLOCK_BYTES), Buffer.from(text)]);
      outer.write(hash('sha256', message, 'binary'), BLOCK_BYTES, 'binary');
      return hash('sha256', outer, 'hex');
    },
  };
}
