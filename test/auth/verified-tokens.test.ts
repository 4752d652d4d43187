import { describe, expect, it } from 'vitest';
import type { Principal } from '../../src/auth/principal.ts';
import { createVerifiedTokens } from '../../src/auth/verified-tokens.ts';
import { createFakeClock } from '../support/fake-clock.ts';

/** The contract: verified tokens are believed until `exp` or for 60 s. */
const MINUTE = 60_000;

function principal(subject: string): Principal {
  return {
    issuer: 'https://login.example.test',
    subject,
    scopes: [],
    refusal: undefined,
    limitKey: subject,
  };
}

function setUp() {
  const clock = createFakeClock();
  return { clock, tokens: createVerifiedTokens(clock), farMs: clock.now() + 3_600_000 };
}

describe('verified tokens', () => {
  it('are believed for 60 seconds, then forgotten', async () => {
    const { clock, tokens, farMs } = setUp();
    tokens.remember('head.payload.signature', principal('a'), farMs);
    await clock.advance(MINUTE - 1);
    expect(tokens.recall('head.payload.signature')?.subject).toBe('a');
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    expect(tokens.recall('head.payload.signature')).toBeUndefined();
    // Nothing is left to forget, so no timer goes on.
    expect(clock.pending).toBe(0);
  });

  it('are believed no longer than they are valid', async () => {
    const { clock, tokens } = setUp();
    tokens.remember('a.b.c', principal('a'), clock.now() + 1000);
    await clock.advance(999);
    expect(tokens.recall('a.b.c')).toBeDefined();
    await clock.advance(1);
    expect(tokens.recall('a.b.c')).toBeUndefined();
  });

  it('are compared whole: the same signature under another payload is not known', () => {
    const { tokens, farMs } = setUp();
    const signature = 's'.repeat(86);
    tokens.remember(`head.admin.${signature}`, principal('admin'), farMs);
    for (const other of [`head.other.${signature}`, signature, signature.slice(-64), `x.${signature}`])
      expect(tokens.recall(other)).toBeUndefined();
    expect(tokens.recall(`head.admin.${signature}`)?.subject).toBe('admin');
  });

  it('are at most 10,000; the least recently used goes first', () => {
    const { tokens, farMs } = setUp();
    tokens.remember('token-0', principal('0'), farMs);
    for (let number = 1; number < 10_000; number += 1)
      tokens.remember(`token-${number}`, principal(String(number)), farMs);
    expect(tokens.recall('token-0')).toBeDefined();
    tokens.remember('token-10000', principal('10000'), farMs);
    expect(tokens.recall('token-0')).toBeDefined();
    expect(tokens.recall('token-1')).toBeUndefined();
  });

  it('are bounded in size too: 16 Mi characters', () => {
    const { tokens, farMs } = setUp();
    const large = (number: number) => String(number).padStart(16_384, 'x');
    for (let number = 0; number <= 1024; number += 1) tokens.remember(large(number), principal('a'), farMs);
    expect(tokens.recall(large(0))).toBeUndefined();
    expect(tokens.recall(large(1))).toBeDefined();
    expect(tokens.recall(large(1024))).toBeDefined();
  });
});
