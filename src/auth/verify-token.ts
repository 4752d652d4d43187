import {
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTHeaderParameters,
  type JWTPayload,
  jwtVerify,
} from 'jose';
import type { Config, IssuerConfig } from '../config/config.ts';
import type { ProblemError } from '../http/problem.ts';
import { describeError } from '../observability/describe-error.ts';
import type { Platform } from '../platform/platform.ts';
import { assertTokenGrammar, invalidToken, readBearerToken } from './bearer.ts';
import { createIssuerKeys, createKeyLoader, type IssuerKeys } from './issuer-keys.ts';
import { claimAt, type Principal, refusalOf, scopesOf } from './principal.ts';
import { createVerifiedTokens } from './verified-tokens.ts';

/** Clocks of issuers and of this service may differ this much: 30 seconds. */
export const CLOCK_TOLERANCE_SECONDS = 30;

const MAX_SUBJECT_CHARACTERS = 256;

export interface Authenticator {
  /** The principal of a token that was verified lately; undefined: it has to be authenticated. */
  recall(token: string): Principal | undefined;
  /**
   * Who sent this Authorization header?
   *
   * @param authorization the header's value; null when absent
   * @param beforeCheck called before a signature is checked; what it throws ends the matter
   * @throws ProblemError (rejects with it) `unauthenticated` or `keys_unavailable`
   */
  authenticate(authorization: string | null, beforeCheck?: () => void): Promise<Principal>;
  /** True while one issuer has keys that may be used, or there is no issuer. */
  keysUsable(): boolean;
  /** The claim `iss` of each issuer without keys that may be used. */
  issuersWithoutKeys(): string[];
  /** Loads the keys that are missing. Never rejects. */
  warm(): Promise<void>;
}

interface Issuer {
  readonly config: IssuerConfig;
  readonly keys: IssuerKeys;
}

/** Builds the check of bearer tokens (RFC 6750, RFC 7519) for the configured issuers. */
export function createAuthenticator(
  config: Pick<Config, 'issuers'>,
  deps: Pick<
    Platform,
    'fetch' | 'now' | 'elapsed' | 'schedule' | 'readTextFile' | 'waitUntil' | 'createSingleFlight' | 'logger'
  >,
): Authenticator {
  const issuers = new Map<string, Issuer>();
  for (const issuer of config.issuers) {
    const keys = createIssuerKeys(issuer, createKeyLoader(issuer, deps), deps);
    issuers.set(issuer.issuer, { config: issuer, keys });
  }
  const checks = deps.createSingleFlight();
  const verifiedTokens = createVerifiedTokens(deps);

  async function verify(token: string): Promise<Principal> {
    assertTokenGrammar(token);
    const { header, iss } = readUnverified(token);
    const issuer = issuers.get(iss as string);
    if (issuer === undefined)
      throw invalidToken(iss === undefined ? 'claim_missing' : 'unknown_issuer', {
        fault: 'from the wrong issuer',
        claim: 'iss',
      });
    const claims = await verifySignatureAndClaims(token, header, issuer);
    const principal = principalFrom(claims, issuer.config);
    // JWT times are seconds, ours are milliseconds; jwtVerify has made sure that exp is a number.
    verifiedTokens.remember(token, principal, (claims.exp as number) * 1000);
    return principal;
  }

  async function verifySignatureAndClaims(
    token: string,
    header: JWTHeaderParameters,
    { config, keys }: Issuer,
  ): Promise<JWTPayload> {
    const options = {
      issuer: config.issuer,
      algorithms: [...config.algorithms],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['exp'],
      currentDate: new Date(deps.now()),
    };
    if (!config.algorithms.includes(header.alg))
      throw invalidToken('ERR_JOSE_ALG_NOT_ALLOWED', { fault: 'signed with an unknown key' });
    const claims = await keys.tryEach(header, async (key) => {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (error) {
        if (error instanceof errors.JWSSignatureVerificationFailed) return undefined;
        if (error instanceof errors.JOSEError) throw denialOf(error);
        // A key that this runtime cannot use. Another one may be the right one.
        deps.logger.warn({ error: describeError(error) }, 'a token could not be checked');
        return undefined;
      }
    });
    if (claims === undefined)
      throw invalidToken('ERR_JWS_SIGNATURE_VERIFICATION_FAILED', { fault: 'signed with an unknown key' });
    assertAudience(claims, config);
    return claims;
  }

  // All are asked, since that starts the renewals that are due.
  const issuersWithoutKeys = () =>
    [...issuers].filter(([, { keys }]) => !keys.usable()).map(([issuer]) => issuer);

  return {
    recall: verifiedTokens.recall,
    async authenticate(authorization, beforeCheck) {
      const token = readBearerToken(authorization);
      const principal = verifiedTokens.recall(token);
      if (principal !== undefined) return principal;
      beforeCheck?.();
      // Callers that come with the same token meanwhile wait for the same check.
      return checks.run(token, () => verify(token)).promise;
    },
    keysUsable: () => issuers.size === 0 || issuersWithoutKeys().length < issuers.size,
    issuersWithoutKeys,
    warm: async () => {
      await Promise.all([...issuers.values()].map(({ keys }) => keys.warm()));
    },
  };
}

/** What the token says of its issuer and key, to choose whose keys to check it with. Nothing is believed yet. */
function readUnverified(token: string): {
  readonly header: JWTHeaderParameters;
  readonly iss: string | undefined;
} {
  try {
    const header = decodeProtectedHeader(token) as JWTHeaderParameters;
    return { header, iss: decodeJwt(token).iss };
  } catch {
    throw invalidToken('not_a_jwt');
  }
}

/**
 * What one of jose's errors is called in the log, and told to the caller. Claims are looked at after the signature: a caller
 * who reads that a token is expired holds one that the issuer signed.
 */
function denialOf(error: errors.JOSEError): ProblemError {
  const { claim, reason } = error as Partial<errors.JWTClaimValidationFailed>;
  if (claim === undefined) return invalidToken(error.code);
  if (reason !== 'check_failed') return invalidToken(`claim_${reason}`, { claim });
  return claim === 'exp'
    ? invalidToken('expired', { fault: 'expired', claim })
    : invalidToken('not_yet_valid', { fault: 'not yet valid', claim });
}

/** One of the audiences must be the claim, or in it where it is an array (RFC 7519, section 4.1.3). */
function assertAudience(claims: JWTPayload, { audiences, audienceClaim = 'aud' }: IssuerConfig): void {
  const found = claimAt(claims, audienceClaim);
  if (found === undefined)
    throw invalidToken('claim_missing', { fault: 'for the wrong audience', claim: audienceClaim });
  if (![found].flat().some((one) => audiences.includes(one as string)))
    throw invalidToken('claim_wrong', { fault: 'for the wrong audience', claim: audienceClaim });
}

function principalFrom(claims: JWTPayload, config: IssuerConfig): Principal {
  const subject = typeof claims.sub === 'string' ? claims.sub : undefined;
  const scopes = scopesOf(claims, config.scopeClaims);
  const shownSubject = subject === undefined ? 'unknown' : subject.slice(0, MAX_SUBJECT_CHARACTERS);
  return Object.freeze({
    issuer: config.issuer,
    subject: shownSubject,
    scopes: Object.freeze(scopes),
    refusal: refusalOf(subject, scopes, config),
    limitKey: `${config.issuer} ${shownSubject}`,
  });
}
