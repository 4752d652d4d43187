import { LRUCache } from 'lru-cache';
import type { Platform } from '../platform/platform.ts';
import type { Principal } from './principal.ts';

/** Time that a verified token is believed without another look at its signature: 60 seconds. */
export const VERIFIED_TOKEN_TTL_MS = 60_000;
/** Verified tokens that are remembered: 10,000; the least recently used goes first. */
export const VERIFIED_TOKEN_MAX_ENTRIES = 10_000;
/** Characters of all remembered tokens together: 16 Mi, the size of 10,000 large ones. */
const MAX_CHARACTERS = 16_777_216;
/** The last characters of a token belong to its signature, and tell tokens apart. A look-up hashes these only. */
const TAIL_CHARACTERS = 64;

interface VerifiedToken {
  readonly token: string;
  readonly principal: Principal;
  readonly verifiedAtMs: number;
  readonly expiresAtMs: number;
}

/** Tokens whose signature was checked within the last 60 seconds, and who sent them. */
export interface VerifiedTokens {
  /** The principal of a token that still holds; undefined: it has to be verified. */
  recall(token: string): Principal | undefined;
  /** @param expiresAtMs the claim exp, in milliseconds since 1970 */
  remember(token: string, principal: Principal, expiresAtMs: number): void;
}

/**
 * Remembers verified tokens in this process's memory only, never in a store that is shared, written or logged. They are
 * forgotten after 60 seconds: by a timer, and where timers end with their request (Workers) by the next token that is
 * remembered.
 */
export function createVerifiedTokens({
  now,
  elapsed,
  schedule,
}: Pick<Platform, 'now' | 'elapsed' | 'schedule'>): VerifiedTokens {
  const tokens = new LRUCache<string, VerifiedToken>({
    max: VERIFIED_TOKEN_MAX_ENTRIES,
    maxSize: MAX_CHARACTERS,
    sizeCalculation: ({ token }) => token.length,
  });
  let sweptAtMs = elapsed();
  let isSweepDue = false;

  const isRecent = ({ verifiedAtMs }: VerifiedToken): boolean =>
    elapsed() - verifiedAtMs < VERIFIED_TOKEN_TTL_MS;

  function sweep(): void {
    sweptAtMs = elapsed();
    for (const [tail, verified] of tokens.entries()) if (!isRecent(verified)) tokens.delete(tail);
  }

  function sweepLater(): void {
    if (isSweepDue) return;
    isSweepDue = true;
    schedule(() => {
      isSweepDue = false;
      sweep();
      if (tokens.size > 0) sweepLater();
    }, VERIFIED_TOKEN_TTL_MS);
  }

  return {
    recall(token) {
      const verified = tokens.get(token.slice(-TAIL_CHARACTERS));
      if (verified?.token !== token || !isRecent(verified)) return undefined;
      return now() < verified.expiresAtMs ? verified.principal : undefined;
    },
    remember(token, principal, expiresAtMs) {
      if (elapsed() - sweptAtMs >= VERIFIED_TOKEN_TTL_MS) sweep();
      tokens.set(token.slice(-TAIL_CHARACTERS), { token, principal, verifiedAtMs: elapsed(), expiresAtMs });
      sweepLater();
    },
  };
}
