import { ProblemError } from '../http/problem.ts';

/** Longer tokens are refused before anything looks into them: 16 KiB. */
export const MAX_TOKEN_BYTES = 16_384;

/** Where callers of the vendor's API send their token. */
export const AUTH_TOKEN_HEADER = 'x-auth-token';

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

/**
 * Tokens that are no JWT, as those of the vendor's IAM: a signed message (RFC 5652) in base64, whose length makes it begin
 * so, or other base64 of some length.
 */
const OPAQUE_TOKEN = /^MII|^[\w+/-]{256,}={0,2}$/;

const OPAQUE_DETAIL =
  "this is no JWT; a token of the cloud's IAM does not hold here: send one of this service's token issuer";
const TWO_CREDENTIALS =
  'X-Auth-Token and another Authorization than Bearer contradict each other: send one of the two';

/** What a caller is told of a token that does not hold: these words, and none of the token's. */
export type TokenFault =
  | 'malformed'
  | 'signed with an unknown key'
  | 'from the wrong issuer'
  | 'for the wrong audience'
  | 'not yet valid'
  | 'expired';

/** The value of WWW-Authenticate (RFC 6750, section 3). Without an error code when no token was sent. */
export function bearerChallenge(
  error?: 'invalid_token' | 'insufficient_scope',
  { scope, fault }: { readonly scope?: string; readonly fault?: TokenFault } = {},
): string {
  return [
    `Bearer realm="${REALM}"`,
    ...(error === undefined ? [] : [`error="${error}"`]),
    ...(fault === undefined ? [] : [`error_description="the token is ${fault}"`]),
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
  ].join(', ');
}

/**
 * A 401 for a caller that sent no token.
 *
 * @param detail for the caller: what to send
 * @param reason for the log
 */
export function unauthenticated(detail: string, reason: string): ProblemError {
  return new ProblemError('unauthenticated', {
    detail,
    headers: { 'www-authenticate': bearerChallenge() },
    reason,
  });
}

export interface InvalidTokenOptions {
  /** For the caller. What a signature should prove is a fault only once the signature holds. Default: malformed. */
  readonly fault?: TokenFault;
  /** The name of the claim that failed, for the log. */
  readonly claim?: string | undefined;
  /** For the caller: words that say nothing of the token but its kind. */
  readonly detail?: string;
}

/**
 * A 401 for a token that was sent but does not hold.
 *
 * @param reason for the log, never for the caller
 */
export function invalidToken(
  reason: string,
  { fault = 'malformed', claim, detail = 'the token is not valid here' }: InvalidTokenOptions = {},
): ProblemError {
  return new ProblemError('unauthenticated', {
    detail,
    headers: { 'www-authenticate': bearerChallenge('invalid_token', { fault }) },
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
    throw unauthenticated('send a token in the header Authorization: Bearer <token>', 'no_token');
  }
  if (!isBearer(authorization)) throw invalidToken('not_a_bearer_token');
  let start = SCHEME.length;
  while (authorization[start] === ' ') start += 1;
  const token = authorization.slice(start);
  denyOpaqueToken(token);
  // A header is Latin-1: characters are bytes here.
  if (token.length > MAX_TOKEN_BYTES) throw invalidToken('token_too_long');
  return token;
}

function isBearer(authorization: string): boolean {
  return authorization.slice(0, SCHEME.length).toLowerCase() === SCHEME;
}

/** Before anything looks into it or keeps it: it may have power in the cloud. */
function denyOpaqueToken(token: string): void {
  if (OPAQUE_TOKEN.test(token)) throw invalidToken('opaque_token', { detail: OPAQUE_DETAIL });
}

/**
 * The Authorization header of a request where X-Auth-Token is accepted too, as the vendor's API does. The same token may be
 * sent several times; any other Authorization beside it contradicts it, a signature as well.
 *
 * @returns null when neither is sent
 * @throws ProblemError `unauthenticated`
 */
export function authorizationOf(headers: Pick<Headers, 'get'>): string | null {
  const authorization = headers.get('authorization');
  const sent = headers.get(AUTH_TOKEN_HEADER);
  if (!sent) return authorization;
  // Header fields of one name arrive joined by commas, which no token has.
  const tokens = sent.split(',').map((part) => part.trim());
  tokens.forEach(denyOpaqueToken);
  if (authorization) {
    if (!isBearer(authorization)) throw invalidToken('two_credentials', { detail: TWO_CREDENTIALS });
    tokens.push(readBearerToken(authorization));
  }
  if (new Set(tokens).size > 1)
    throw invalidToken('tokens_differ', { detail: 'the tokens that were sent differ: send one' });
  return SCHEME + tokens[0];
}

/** @throws ProblemError `unauthenticated` when this cannot be a signed token at all */
export function assertTokenGrammar(token: string): void {
  if (!COMPACT_JWS.test(token)) throw invalidToken('not_a_compact_jws');
}
