import { hash } from 'node:crypto';

/** A token is remembered next to its digest this long at most: 60 seconds, as a verified token is believed. */
export const REMEMBERED_MS = 60_000;
/** Of all tokens remembered together: 1 Mi characters, some 1,500 tokens of common size. */
export const MAX_REMEMBERED_CHARACTERS = 1_048_576;
/** A power of two. */
const SLOTS = 256;

interface Remembered {
  readonly token: string;
  readonly digest: string;
}

/**
 * SHA-256 of tokens, remembered for those seen lately: callers send the same token with each request, and asking
 * OpenSSL costs more than all the rest of a cache hit. The tokens stay in this process's memory, in no cache that is
 * shared, written or logged, and are forgotten together.
 *
 * @param forgetLater calls back after REMEMBERED_MS; a timer that keeps no process alive
 */
export function createTokenDigest(
  forgetLater: (forget: () => void) => void = (forget) => {
    setTimeout(forget, REMEMBERED_MS).unref();
  },
): (token: string) => string {
  const digests = new Map<string, string>();
  /**
   * The last token of each slot: comparing with it is a tenth of looking it up, which works out a hash of all of it. How
   * long that takes says nothing to go on: many bytes are compared at once, and the last ones have to be right before.
   */
  let slots: (Remembered | undefined)[] = new Array(SLOTS).fill(undefined);
  let characters = 0;
  let forgetting = false;

  function forget(): void {
    clear();
    forgetting = false;
  }

  function clear(): void {
    digests.clear();
    slots = new Array(SLOTS).fill(undefined);
    characters = 0;
  }

  return (token) => {
    const slot = slotOf(token);
    const last = slots[slot];
    if (last?.token === token) return last.digest;
    const known = digests.get(token);
    if (known !== undefined) {
      slots[slot] = { token, digest: known };
      return known;
    }
    const digest = hash('sha256', token, 'base64');
    if (characters + token.length > MAX_REMEMBERED_CHARACTERS) clear();
    digests.set(token, digest);
    slots[slot] = { token, digest };
    characters += token.length;
    if (!forgetting) {
      forgetting = true;
      forgetLater(forget);
    }
    return digest;
  };
}

/** By the last characters, which belong to the signature, so that they differ from token to token. */
function slotOf(token: string): number {
  const { length } = token;
  return (
    (token.charCodeAt(length - 1) * 67 + token.charCodeAt(length - 2) * 7 + token.charCodeAt(length - 3)) &
    (SLOTS - 1)
  );
}
