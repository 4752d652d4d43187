/** A token is remembered next to its digest this long at most while requests come: 60 seconds. */
export const REMEMBERED_MS = 60_000;
/** Of all tokens remembered together: 1 Mi characters, some 1,500 tokens of common size. */
export const MAX_REMEMBERED_CHARACTERS = 1_048_576;

/**
 * SHA-256 of tokens in base64, by WebCrypto, remembered for those seen lately, so that a hit needs no promise. They are
 * values, which requests of one isolate may share; timers belong to a request there, so tokens are forgotten by the
 * next one that comes after their time.
 */
export function createTokenDigest(now: () => number): (token: string) => string | Promise<string> {
  const digests = new Map<string, string>();
  let characters = 0;
  let sinceMs = Number.NEGATIVE_INFINITY;

  function makeRoom(): void {
    // Either way: a clock that was set back must not make them last.
    if (Math.abs(now() - sinceMs) < REMEMBERED_MS && characters <= MAX_REMEMBERED_CHARACTERS) return;
    digests.clear();
    characters = 0;
    sinceMs = now();
  }

  async function digestOf(token: string): Promise<string> {
    const bytes = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token));
    const digest = btoa(String.fromCharCode(...new Uint8Array(bytes)));
    if (!digests.has(token)) characters += token.length;
    digests.set(token, digest);
    return digest;
  }

  return (token) => {
    makeRoom();
    return digests.get(token) ?? digestOf(token);
  };
}
