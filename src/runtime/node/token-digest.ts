import { hash } from 'node:crypto';

/** A token is remembered next to its digest this long at most: 60 seconds, as a verified token is believed. */
export const REMEMBERED_MS = 60_000;
/** Of all tokens remembered together: 1 Mi characters, some 1,500 tokens of common size. */
export const MAX_REMEMBERED_CHARACTERS = 1_048_576;

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
  let characters = 0;
  let forgetting = false;

  function forget(): void {
    digests.clear();
    characters = 0;
    forgetting = false;
  }

  return (token) => {
    const known = digests.get(token);
    if (known !== undefined) return known;
    const digest = hash('sha256', token, 'base64');
    if (characters + token.length > MAX_REMEMBERED_CHARACTERS) {
      digests.clear();
      characters = 0;
    }
    digests.set(token, digest);
    characters += token.length;
    if (!forgetting) {
      forgetting = true;
      forgetLater(forget);
    }
    return digest;
  };
}
