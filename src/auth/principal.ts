import type { IssuerConfig } from '../config/config.ts';
import { ProblemError } from '../http/problem.ts';
import { ALGORITHM } from '../signing/sign-request.ts';
import { bearerChallenge } from './bearer.ts';

/** Who calls, as proved by a token or by a signature. */
export interface Principal {
  readonly issuer: string;
  readonly subject: string;
  readonly scopes: readonly string[];
  /** What it lacks to read the list; undefined: nothing. Found out once, when the caller was proved. */
  readonly refusal: Refusal | undefined;
  /** The same for all tokens of a subject: what limits are counted under. */
  readonly limitKey: string;
}

/** The claim is undefined for key pairs, which have none. */
export type Refusal =
  | { readonly reason: 'missing_scope'; readonly scopes: string; readonly claim: string | undefined }
  | { readonly reason: 'subject_not_allowed'; readonly claim: 'sub' };

/**
 * A claim by its name, or where no claim has just this name, by its path: `realm_access.roles`. The names on a path may
 * have dots too.
 */
export function claimAt(claims: unknown, name: string): unknown {
  if (typeof claims !== 'object' || claims === null) return undefined;
  const own = (member: string) => (Object.hasOwn(claims, member) ? claims[member as never] : undefined);
  let found: unknown = own(name);
  for (let dot = name.indexOf('.'); dot !== -1 && found === undefined; dot = name.indexOf('.', dot + 1))
    found = claimAt(own(name.slice(0, dot)), name.slice(dot + 1));
  return found;
}

/**
 * Collects the scopes of a token from the configured claims. A claim is a space-separated string (RFC 8693,
 * section 4.2) or an array of strings, as some issuers write it; anything else in it is ignored.
 */
export function scopesOf(claims: object, claimNames: readonly string[]): string[] {
  const scopes = new Set<string>();
  for (const name of claimNames) {
    const claim = claimAt(claims, name);
    const parts = typeof claim === 'string' ? claim.split(' ') : Array.isArray(claim) ? claim : [];
    for (const part of parts) if (typeof part === 'string' && part !== '') scopes.add(part);
  }
  return [...scopes];
}

/**
 * What keeps a caller from reading the list, by its issuer's entry in the configuration.
 *
 * @param subject undefined where the token names none: then it is none of the allowed
 */
export function refusalOf(
  subject: string | undefined,
  scopes: readonly string[],
  {
    requiredScopes,
    allowedSubjects,
    scopeClaims,
  }: Pick<IssuerConfig, 'requiredScopes' | 'allowedSubjects'> & { readonly scopeClaims?: readonly string[] },
): Refusal | undefined {
  if (allowedSubjects !== undefined && !allowedSubjects.some((allowed) => isSubject(subject, allowed)))
    return { reason: 'subject_not_allowed', claim: 'sub' };
  if (requiredScopes.every((scope) => scopes.includes(scope))) return undefined;
  return { reason: 'missing_scope', scopes: requiredScopes.join(' '), claim: scopeClaims?.join(' ') };
}

function isSubject(subject: string | undefined, allowed: string): boolean {
  if (subject === undefined) return false;
  return allowed.endsWith('*') ? subject.startsWith(allowed.slice(0, -1)) : subject === allowed;
}

/**
 * May this principal read the list?
 *
 * @throws ProblemError `forbidden` with the challenge of RFC 6750, section 3.1
 */
export function authorise({ refusal }: Principal): void {
  if (refusal === undefined) return;
  const { reason, claim } = refusal;
  const isToken = claim !== undefined;
  throw new ProblemError(
    'forbidden',
    reason === 'missing_scope'
      ? {
          detail: `the ${isToken ? 'token' : 'key pair'} lacks the scope '${refusal.scopes}'`,
          headers: {
            'www-authenticate': isToken
              ? bearerChallenge('insufficient_scope', { scope: refusal.scopes })
              : ALGORITHM,
          },
          reason,
          claim,
        }
      : {
          detail: 'this caller may not read the list',
          headers: { 'www-authenticate': bearerChallenge('insufficient_scope') },
          reason,
          claim,
        },
  );
}
