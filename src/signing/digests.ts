import { checkCredential, type KeyPair } from './credential.ts';
import { encodeHex, encodeUtf8, hashSha256 } from './sha256.ts';

/**
 * The two digests of a signature, as 64 lower-case hexadecimal digits, so that a runtime can bring faster ones: WebCrypto
 * hands each small text to another thread and back.
 */
export interface Digests {
  /** SHA-256 (FIPS 180-4) of bytes or of a text's UTF-8. */
  readonly sha256: (data: string | Uint8Array<ArrayBuffer>) => string | Promise<string>;
  /**
   * HMAC-SHA256 (RFC 2104) of a text's UTF-8 under the secret access key.
   *
   * @throws TypeError (or rejects with it) when the credential cannot be used, see {@link checkCredential}
   */
  readonly hmacSha256: (text: string, credential: KeyPair) => string | Promise<string>;
}

/**
 * The imported key of each credential. It holds keys and no promises: on Workers a promise that one request
 * made may never settle for another. So the first requests of a credential may each import its key.
 */
const SIGNING_KEYS = new WeakMap<KeyPair, CryptoKey>();

/** By WebCrypto, which every runtime has. */
export const WEB_CRYPTO_DIGESTS: Digests = {
  sha256: hashSha256,
  hmacSha256: async (text, credential) => {
    const key = SIGNING_KEYS.get(credential) ?? (await importSigningKey(credential));
    return encodeHex(await crypto.subtle.sign('HMAC', key, encodeUtf8(text)));
  },
};

async function importSigningKey(credential: KeyPair): Promise<CryptoKey> {
  checkCredential(credential);
  const key = await crypto.subtle.importKey(
    'raw',
    encodeUtf8(credential.secretAccessKey),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['sign'],
  );
  SIGNING_KEYS.set(credential, key);
  return key;
}
