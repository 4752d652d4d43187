import { createHash } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { createTokenDigest } from '../../../src/runtime/worker/token-digest.ts';

/** Tokens remembered with their digests: 1 Mi characters together. */
const MAX_REMEMBERED_CHARACTERS = 1_048_576;
/** A digest is remembered for 60 seconds. */
const REMEMBERED_MS = 60_000;

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64');

describe('the digest of a token on Workers', () => {
  it('is its SHA-256, promised the first time and there at once after that', async () => {
    const digest = createTokenDigest(() => 0);
    for (const token of ['a.b.c', 'a.b.d', '']) {
      const first = digest(token);
      expect(first).toBeInstanceOf(Promise);
      expect(await first).toBe(sha256(token));
      expect(digest(token)).toBe(sha256(token));
    }
  });

  it.each([REMEMBERED_MS, -REMEMBERED_MS])('is forgotten when the clock has moved by %d ms', async (byMs) => {
    let nowMs = 1_767_323_045_000;
    const digest = createTokenDigest(() => nowMs);
    await digest('a');
    nowMs += byMs - Math.sign(byMs);
    expect(digest('a')).toBe(sha256('a'));
    nowMs += Math.sign(byMs);
    expect(digest('a')).toBeInstanceOf(Promise);
  });

  it('is remembered for so many characters together', async () => {
    const hash = vi.spyOn(crypto.subtle, 'digest');
    try {
      const digest = createTokenDigest(() => 0);
      const quarter = 'x'.repeat(MAX_REMEMBERED_CHARACTERS / 4);
      for (let index = 0; index < 5; index += 1)
        expect(await digest(quarter + index)).toBe(sha256(quarter + index));
      expect(await digest(`${quarter}0`)).toBe(sha256(`${quarter}0`));
      expect(hash).toHaveBeenCalledTimes(6);
    } finally {
      hash.mockRestore();
    }
  });
});
