import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { etagOf } from '../../../src/cache/cached-response.ts';
import { createNodeDigests } from '../../../src/runtime/node/platform/digests.ts';
import type { KeyPair } from '../../../src/signing/credential.ts';
import { WEB_CRYPTO_DIGESTS } from '../../../src/signing/digests.ts';

const digests = createNodeDigests();
const credentialOf = (secretAccessKey: string): KeyPair => ({ accessKeyId: 'AKEXAMPLE', secretAccessKey });

/** Visible ASCII, shorter than, as long as and longer than a block. */
const secret = fc.string({ unit: fc.constantFrom(...'aZ09+/=~!-'), minLength: 1, maxLength: 150 });
/** Also longer than the room that is kept for it. */
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 200 }),
  fc.string({ unit: 'binary-ascii', minLength: 300, maxLength: 1500 }),
  fc.nat(400).map((length) => '€'.repeat(length)),
);

describe("Node's own digests", () => {
  it('are those of OpenSSL and of WebCrypto, for all keys and texts', async () => {
    await fc.assert(
      fc.asyncProperty(secret, text, async (key, message) => {
        const credential = credentialOf(key);
        const hmac = createHmac('sha256', key).update(message).digest('hex');
        expect(digests.hmacSha256(message, credential)).toBe(hmac);
        // Again, with the key that is kept by now.
        expect(digests.hmacSha256(message, credential)).toBe(hmac);
        expect(await WEB_CRYPTO_DIGESTS.hmacSha256(message, credential)).toBe(hmac);
        const hash = createHash('sha256').update(message).digest('hex');
        expect(digests.sha256(message)).toBe(hash);
        expect(await WEB_CRYPTO_DIGESTS.sha256(message)).toBe(hash);
        const bytes = new TextEncoder().encode(message);
        expect(digests.sha256(bytes)).toBe(hash);
        expect(await etagOf(bytes, digests.sha256)).toBe(await etagOf(bytes));
      }),
      { numRuns: 500 },
    );
  });

  /** RFC 4231, test case 2: a key shorter than a block. */
  it('give the value of the RFC', () => {
    expect(digests.hmacSha256('what do ya want for nothing?', credentialOf('Jefe'))).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    );
  });

  it('leave nothing of a longer text behind for a shorter one, and mix no keys', () => {
    const [a, b] = [credentialOf('first'), credentialOf('second')];
    const before = digests.hmacSha256('short', a);
    digests.hmacSha256('a much longer text than the one before', a);
    digests.hmacSha256('short', b);
    expect(digests.hmacSha256('short', a)).toBe(before);
    expect(digests.hmacSha256('short', b)).not.toBe(before);
  });

  it('refuse a credential that cannot be used, without its value', () => {
    expect(() => digests.hmacSha256('text', credentialOf('PLANTED\n'))).toThrow(
      /^(?!.*PLANTED).*secretAccessKey/,
    );
  });
});
