import { describe, expect, it } from 'vitest';
import { encodeHex, encodeUtf8, hashSha256 } from '../../src/signing/sha256.ts';

describe('SHA-256', () => {
  // The one-block and the two-block example of FIPS 180-4, and nothing.
  it.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ])('of %j', async (text, hash) => {
    expect(await hashSha256(text)).toBe(hash);
    expect(await hashSha256(encodeUtf8(text))).toBe(hash);
  });

  it('reads only the part of a buffer that a view shows', async () => {
    expect(await hashSha256(encodeUtf8('xabcx').subarray(1, 4))).toBe(await hashSha256('abc'));
  });
});

it('writes every byte as two lower-case digits', () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  expect(encodeHex(bytes.buffer)).toBe(Buffer.from(bytes).toString('hex'));
});
