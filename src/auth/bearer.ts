import { ProblemError } from '../http/problem.ts';

/** Longer tokens are refused before anything looks into them: 16 KiB. */
export const MAX_TOKEN_BYTES = 16_384;

const REALM = 'imagecaches';

/** In any case (RFC 9110, section 11.1), and at least one space. */
const SCHEME = 'bearer ';
/**
 * A compact JWS (RFC 7515, section 7.1): three segments of base64url, without padding, each in its one canonical
 * spelling (RFC 4648, section 3.5). Decoders pass over padding and unused bits, and then one token would have many
 * spellings, each remembered by itself.
 */
const COMPACT_JWS = (() => {
  const segment = '(?:[\\w-]{4})*(?:[\\w-][AQgw]|[\\w-]{2}[AEIMQUYcgkosw048])?';
  return new RegExp(`^(?=[^.]+\\.[^.]+\\.[^.]+$)${segment}\\.${segment}\\.${segment}$`);
})();

/** The value of WWW-Authenticate (RFC 6750, section 3). Without an error code when no token was sent. */
export function bearerChallenge(error?: 'invalid_token' | 'insufficient_scope', scope?: string): string {
  return [
    `Bearer realm="${REALM}"`,
    ...(error === undefined ? [] : [`error="${error}"`]),
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
  ].join(', ');
}

/**
 * A 401 for a token that was sent but does not hold. Reason and claim go to the log, never to the caller.
 *
 * @param claim the name of the claim that failed
 */
export function invalidToken(reason: string, claim?: string): ProblemError {
  return new ProblemError('unauthenticated', {
    detail: 'the token is not valid here',
    headers: { 'www-authenticate': bearerChallenge('invalid_token') },
    reason,
    claim,
  });
}

/**
 * Takes the token out of an Authorization header. Only its length is checked: a token that was verified before
 * is known by its digest, and for any other assertTokenGrammar comes next.
 *
 * @param authorization the header's value; null when absent
 * @throws ProblemError `unauthenticated`
 */
export function readBearerToken(authorization: string | null): string {
  if (authorization === null || authorization === '') {
    throw new ProblemError('unauthenticated', {
      detail: 'send a token in the header Authorization: Bearer <token>',
      headers: { 'www-authenticate': bearerChallenge() },
      reason: 'no_token',
    });
  }
  if (authorization.slice(0, SCHEME.length).toLowerCase() !== SCHEME)
    throw invalidToken('not_a_bearer_token');
  let start = SCHEME.length;
  while (authorization[start] === ' ') start += 1;
  // A header is Latin-1, so characters are bytes here.
  if (authorization.length - start > MAX_TOKEN_BYTES) throw invalidToken('token_too_long');
  return authorization.slice(start);
}

/** @throws ProblemError `unauthenticated` when this cannot be a signed token at all */
export function assertTokenGrammar(token: string): void {
  if (!COMPACT_JWS.test(token)) throw invalidToken('not_a_compact_jws');
}
