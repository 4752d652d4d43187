import type { Platform } from '../platform/platform.ts';

/** Signatures that are remembered whatever their age, so that no setting of the clock makes one good again: 100,000. */
const KEPT_SIGNATURES = 100_000;
/** Signatures that are remembered at most: 1,000,000, about 130 MB. The oldest are forgotten first. */
const MAX_SIGNATURES = 1_000_000;
/** A signature is remembered this long at least: twice 15 minutes, as its date may be ahead of the clock when it comes. */
const REPLAYABLE_MS = 1_800_000;
/** Hexadecimal digits of a signature that tell it apart: 52 bits, which a number holds. */
const TOLD_APART_DIGITS = 13;

/** Who sent which signature first. */
export interface ReplayMemory {
  /** Has this signature come from another address? */
  isCopy(signature: string, address: string): boolean;
  /** Remembers a signature that was let in. */
  remember(signature: string, address: string): void;
}

/**
 * Remembers signatures in this process. What the rate limit denies is not to be remembered: then one principal fills 31 times
 * its limit a minute in 30 minutes at most, and nothing that can still be replayed is forgotten before the limit of signatures.
 */
export function createReplayMemory({ elapsed }: Pick<Platform, 'elapsed'>): ReplayMemory {
  const seen = new Map<number, { readonly address: string; readonly atMs: number }>();
  const keyOf = (signature: string) => Number.parseInt(signature.slice(0, TOLD_APART_DIGITS), 16);
  return {
    isCopy(signature, address) {
      const first = seen.get(keyOf(signature));
      return first !== undefined && first.address !== address;
    },
    remember(signature, address) {
      const key = keyOf(signature);
      const atMs = elapsed();
      if (!seen.has(key)) seen.set(key, { address, atMs });
      // In the order in which they came.
      for (const [oldest, first] of seen) {
        const isOver = seen.size > MAX_SIGNATURES || atMs - first.atMs > REPLAYABLE_MS;
        if (seen.size <= KEPT_SIGNATURES || !isOver) break;
        seen.delete(oldest);
      }
    },
  };
}
