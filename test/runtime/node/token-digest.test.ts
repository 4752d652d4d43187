import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createTokenDigest } from '../../../src/runtime/node/token-digest.ts';

/** Tokens remembered with their digests: 1 Mi characters together. */
const MAX_REMEMBERED_CHARACTERS = 1_048_576;

const sha256 = (text: string) => createHash('sha256').update(text).digest('base64');

describe('the digest of a token', () => {
  it('is its SHA-256, the first time, again, and for one that differs in its last character', () => {
    const digest = createTokenDigest(() => undefined);
    for (const token of ['a.b.c', 'a.b.c', 'a.b.d', '', 'a.b.c']) expect(digest(token)).toBe(sha256(token));
  });

  it('stays right when more tokens come than are remembered', () => {
    const digest = createTokenDigest(() => undefined);
    const long = 'x'.repeat(MAX_REMEMBERED_CHARACTERS / 4);
    for (let round = 0; round < 2; round += 1) {
      for (let index = 0; index < 9; index += 1) expect(digest(long + index)).toBe(sha256(long + index));
    }
  });

  it('is forgotten once for all tokens of a time, and asked for again with the next', () => {
    const forgets: (() => void)[] = [];
    const digest = createTokenDigest((forget) => forgets.push(forget));
    digest('a');
    digest('b');
    expect(forgets).toHaveLength(1);
    forgets[0]?.();
    expect(digest('a')).toBe(sha256('a'));
    expect(forgets).toHaveLength(2);
  });
});
