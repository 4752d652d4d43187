import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import type { Config, IssuerConfig } from '../config/config.ts';
import { ProblemError } from '../http/problem.ts';
import { describeError } from '../observability/describe-error.ts';
import type { Logger } from '../observability/logger.ts';
import type { Platform } from '../platform/platform.ts';
import { assertTokenGrammar, invalidToken, readBearerToken } from './bearer.ts';
import { createIssuerKeys, createKeyLoader, type IssuerKeys } from './issuer-keys.ts';
import { type Principal, refusalOf, scopesOf } from './principal.ts';
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
  /** True while every issuer has keys that may be used. */
  keysUsable(): boolean;
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
    const keys = createIssuerKeys(issuer.issuer, createKeyLoader(issuer, deps), deps);
    issuers.set(issuer.issuer, { config: issuer, keys });
  }
  const checks = deps.createSingleFlight();
  const verifiedTokens = createVerifiedTokens(deps);

  async function verify(token: string): Promise<Principal> {
    assertTokenGrammar(token);
    const issuer = issuers.get(unverifiedIssuer(token));
    if (issuer === undefined) throw invalidToken('unknown_issuer');
    const claims = await verifySignatureAndClaims(token, issuer);
    const principal = principalFrom(claims, issuer.config);
    // JWT times are seconds, ours are milliseconds; jwtVerify has made sure that exp is a number.
    verifiedTokens.remember(token, principal, (claims.exp as number) * 1000);
    return principal;
  }

  async function verifySignatureAndClaims(token: string, issuer: Issuer): Promise<JWTPayload> {
    const options = {
      issuer: issuer.config.issuer,
      audience: [...issuer.config.audiences],
      algorithms: [...issuer.config.algorithms],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      requiredClaims: ['iss', 'aud', 'exp'],
      currentDate: new Date(deps.now()),
    };
    try {
      return (await jwtVerify(token, issuer.keys.getKey, options)).payload;
    } catch (error) {
      if (error instanceof errors.JWKSMultipleMatchingKeys) return await tryEachKey(token, error, options);
      throw refusal(error, deps.logger);
    }
  }

  /** A token without a key id may fit several keys of its issuer (RFC 7517 leaves the choice to us). */
  async function tryEachKey(
    token: string,
    candidates: errors.JWKSMultipleMatchingKeys,
    options: Parameters<typeof jwtVerify>[2],
  ): Promise<JWTPayload> {
    for await (const key of candidates) {
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (error) {
        if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw refusal(error, deps.logger);
      }
    }
    throw invalidToken('ERR_JWS_SIGNATURE_VERIFICATION_FAILED');
  }

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
    keysUsable: () => [...issuers.values()].every(({ keys }) => keys.usable()),
    warm: async () => {
      await Promise.all([...issuers.values()].map(({ keys }) => keys.warm()));
    },
  };
}

/** The issuer that the token claims, to choose whose keys to check it with. Nothing is believed yet. */
function unverifiedIssuer(token: string): string {
  try {
    return decodeJwt(token).iss ?? '';
  } catch {
    throw invalidToken('not_a_jwt');
  }
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

/** Every failed check is the same 401 to the caller; the log says which one it was. */
function refusal(error: unknown, logger: Logger): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof errors.JOSEError) return invalidToken(error.code);
  // Not one of jose's own errors: a key that this runtime cannot use, for instance.
  logger.warn({ error: describeError(error) }, 'a token could not be checked');
  return invalidToken('check_failed');
}
