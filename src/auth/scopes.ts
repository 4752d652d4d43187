import { ProblemError } from '../problem.ts';
import { bearerChallenge } from './bearer.ts';

/** Who calls, as proved by a token. */
export interface Principal {
  readonly issuer: string;
  readonly subject: string;
  readonly scopes: readonly string[];
  /** What its issuer's entry in the configuration asks for. */
  readonly requiredScope: string;
}

/**
 * Collects the scopes of a token from the configured claims. A claim is a space-separated string (RFC 8693,
 * section 4.2) or an array of strings, as some issuers write it; anything else in it is ignored.
 */
export function scopesOf(claims: Readonly<Record<string, unknown>>, claimNames: readonly string[]): string[] {
  const scopes = new Set<string>();
  for (const name of claimNames) {
    const claim = Object.hasOwn(claims, name) ? claims[name] : undefined;
    const parts = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
    for (const part of parts) if (typeof part === 'string' && part !== '') scopes.add(part);
  }
  return [...scopes];
}

/**
 * May this principal read the list?
 *
 * @throws ProblemError `forbidden` with the challenge of RFC 6750, section 3.1
 */
export function authorise(principal: Principal): void {
  if (principal.scopes.includes(principal.requiredScope)) return;
  throw new ProblemError('forbidden', {
    detail: `the token lacks the scope '${principal.requiredScope}'`,
    headers: { 'www-authenticate': bearerChallenge('insufficient_scope', principal.requiredScope) },
    reason: 'missing_scope',
  });
}
