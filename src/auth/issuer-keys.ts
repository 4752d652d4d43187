import type { CryptoKey, JWK, JWTHeaderParameters } from 'jose';
import * as z from 'zod/mini';
import type { IssuerConfig } from '../config/config.ts';
import { isSecureUrl } from '../config/urls.ts';
import { ProblemError } from '../http/problem.ts';
import { describeError } from '../observability/describe-error.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import { createLastGood } from '../outbound/last-good.ts';
import { readBody } from '../outbound/read-body.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Fetch } from '../platform/fetch.ts';
import type { Platform } from '../platform/platform.ts';
import { invalidToken } from './bearer.ts';

/** Keys are renewed in the background when they are older: 8 minutes. */
export const KEYS_RENEWAL_AGE_MS = 480_000;
/**
 * Older ones are not used while the issuer has not been asked: 10 minutes. A key that the issuer has withdrawn is
 * accepted for this time, and for as long as a verified token is remembered.
 */
export const KEYS_MAX_AGE_MS = 600_000;
/** Keys that cannot be renewed go on being used this long, so that an issuer's outage is not ours: 24 hours. */
export const KEYS_LAST_GOOD_MS = 86_400_000;
/**
 * After a good load nothing asks again for 30 seconds, however many unknown key ids arrive. After a failed one the first
 * pause is 1 second; it doubles up to this.
 */
export const KEYS_COOLDOWN_MS = 30_000;
/** For the whole of one load, discovery included: 5 seconds. */
export const KEYS_LOAD_TIMEOUT_MS = 5000;
/** A JWKS or a discovery document is a few KiB; 1 MiB is the most that is read. */
export const KEYS_MAX_BYTES = 1_048_576;

/** Keys that are tried for one token: 16. */
const MAX_TRIED_KEYS = 16;
/** Keys of a JWKS that are imported: the first 10,000, each for one algorithm. */
const MAX_IMPORTED_KEYS = 10_000;
/** Shorter RSA keys are not used (RFC 7518, section 3.3). */
const MIN_RSA_BITS = 2048;

const JwksSchema = z.object({ keys: z.array(z.unknown()).check(z.minLength(1)) });
const DiscoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** A public key, ready to verify signatures of one algorithm. */
export interface VerificationKey {
  readonly kid: unknown;
  readonly alg: string;
  readonly key: CryptoKey;
}

/** The public keys of one issuer, kept usable while the issuer is not. */
export interface IssuerKeys {
  /**
   * Tries the keys that fit a token's header, one by one, 16 at most.
   *
   * @param attempt undefined: this key did not sign it
   * @returns what the first attempt gave that gave something
   * @throws ProblemError (rejects with it) `unauthenticated` where no key fits, `keys_unavailable` where keys cannot be had
   */
  tryEach<Found>(
    header: JWTHeaderParameters,
    attempt: (key: CryptoKey) => Promise<Found | undefined>,
  ): Promise<Found | undefined>;
  /** True while keys are held that may still be used. */
  usable(): boolean;
  /** Loads keys if none are usable and the pause is over. Never rejects. */
  warm(): Promise<void>;
}

/**
 * Holds an issuer's keys. A token that none of them may have signed reloads them once, behind a cooldown that counts
 * failures too; the last good keys outlive an outage.
 *
 * @param load fetches the members of the key set; called at most once per pause
 */
export function createIssuerKeys(
  { issuer, algorithms }: Pick<IssuerConfig, 'issuer' | 'algorithms'>,
  load: () => Promise<readonly unknown[]>,
  platform: Pick<Platform, 'now' | 'elapsed' | 'waitUntil' | 'createSingleFlight' | 'logger'>,
): IssuerKeys {
  const keys = createLastGood<readonly VerificationKey[]>(
    {
      load: async () => {
        const loaded = await importKeys(await load(), algorithms);
        if (loaded.length === 0) throw new KeyLoadError('no_usable_key');
        return loaded;
      },
      isUsable: (_keys, ageMs) => ageMs < KEYS_LAST_GOOD_MS,
      renewAfterMs: () => KEYS_RENEWAL_AGE_MS,
      // Nobody waits for an issuer that is known to fail.
      waitAfterMs: KEYS_MAX_AGE_MS,
      cooldownMs: KEYS_COOLDOWN_MS,
      pauseMs: (failures) => Math.min(KEYS_COOLDOWN_MS, pauseAfterFailures(failures, 0)),
      onFailed: (error, failures) =>
        platform.logger.warn({ issuer, failures, error: describeError(error) }, 'keys could not be loaded'),
    },
    platform,
  );

  const unavailable = (reason: string) =>
    new ProblemError('keys_unavailable', {
      detail: 'the keys of the token issuer cannot be had at the moment',
      retryAfterSeconds: keys.pauseLeftMs() / 1000,
      reason,
    });

  return {
    async tryEach({ alg, kid }, attempt) {
      const hasId = kid !== undefined;
      async function tryAll(held: readonly VerificationKey[]) {
        const fitting = held.filter(
          (key) => key.alg === alg && (!hasId || (typeof kid === 'string' && key.kid === kid)),
        );
        for (const { key } of fitting.slice(0, MAX_TRIED_KEYS)) {
          const found = await attempt(key);
          if (found !== undefined) return { found };
        }
        // Without a key id nothing else tells that the key is a new one.
        return { isKnown: hasId && fitting.length > 0 };
      }
      const held = await keys.get();
      if (held === undefined) throw unavailable('no_keys');
      let outcome = await tryAll(held);
      if (outcome.found === undefined && !outcome.isKnown) {
        await keys.reload();
        // The key may be one that the issuer made while it could not be reached: a 401 would be a guess.
        if (keys.failures > 0) throw unavailable('unknown_key_while_issuer_fails');
        const reloaded = keys.current() ?? held;
        if (reloaded !== held) outcome = await tryAll(reloaded);
        if (outcome.found === undefined && !outcome.isKnown)
          throw invalidToken('unknown_key', { fault: 'signed with an unknown key' });
      }
      return outcome.found;
    },
    usable: () => keys.current() !== undefined,
    warm: keys.warm,
  };
}

/**
 * Imports the members of a key set for the algorithms of an issuer. What is no usable key is left out: one member must not
 * take the others along (RFC 7517, section 5).
 */
export async function importKeys(
  members: readonly unknown[],
  algorithms: readonly string[],
): Promise<VerificationKey[]> {
  const candidates = members.flatMap((member) => {
    const jwk = member as JWK | null;
    return algorithms.filter((alg) => mayVerify(jwk, alg)).map((alg) => ({ jwk: jwk as JWK, alg }));
  });
  const imported = await Promise.all(
    candidates.slice(0, MAX_IMPORTED_KEYS).map(async ({ jwk, alg }) => {
      const { kty, n, e, crv, x, y, kid } = jwk;
      try {
        const data = { kty, n, e, crv, x, y } as JsonWebKey;
        const key = await crypto.subtle.importKey('jwk', data, importParameters(alg), false, ['verify']);
        const { modulusLength = MIN_RSA_BITS } = key.algorithm as { modulusLength?: number };
        return modulusLength < MIN_RSA_BITS ? undefined : { kid, alg, key };
      } catch {
        // Half a key, one of another curve, and whatever else there may be.
        return undefined;
      }
    }),
  );
  return imported.filter((key) => key !== undefined);
}

/** For WebCrypto, by the algorithm's name (RFC 7518, section 3.1; RFC 8037); members that it does not need are ignored. */
function importParameters(alg: string): RsaHashedImportParams & EcKeyImportParams {
  return {
    name: { R: 'RSASSA-PKCS1-v1_5', P: 'RSA-PSS' }[alg.charAt(0)] ?? (alg[1] === 'S' ? 'ECDSA' : 'Ed25519'),
    hash: `SHA-${alg.slice(2)}`,
    namedCurve: curveOf(alg),
  };
}

/** Of ECDSA; of any other algorithm it says nothing. */
function curveOf(alg: string): string {
  return `P-${alg === 'ES512' ? '521' : alg.slice(2)}`;
}

/** By what the member says of itself. Not every WebCrypto refuses a curve that is not the one asked for. */
function mayVerify(jwk: JWK | null, alg: string): boolean {
  const isEcdsa = alg.startsWith('ES');
  if (jwk?.kty !== (alg[0] === 'E' ? (isEcdsa ? 'EC' : 'OKP') : 'RSA')) return false;
  if (isEcdsa && jwk.crv !== curveOf(alg)) return false;
  // Some issuers write null for what is not there.
  const operations: unknown = jwk.key_ops ?? ['verify'];
  return (
    (jwk.d ?? undefined) === undefined &&
    (jwk.alg ?? alg) === alg &&
    (jwk.use ?? 'sig') === 'sig' &&
    Array.isArray(operations) &&
    operations.includes('verify')
  );
}

/** The way to the members of an issuer's key set that its configuration names: a file, a URL, or its OpenID configuration. */
export function createKeyLoader(
  config: IssuerConfig,
  deps: Pick<Platform, 'fetch' | 'schedule' | 'readTextFile'>,
): () => Promise<readonly unknown[]> {
  const { keys, issuer } = config;
  return async () => {
    if (keys.kind === 'file') {
      const read = () => deps.readTextFile(keys.path);
      const onTimeout = () => new KeyLoadError('timeout');
      return parseJwks(await runWithin(KEYS_LOAD_TIMEOUT_MS, deps.schedule, read, onTimeout));
    }
    // One deadline for both documents, cleared whatever happens.
    const deadline = new AbortController();
    const cancel = deps.schedule(() => deadline.abort(), KEYS_LOAD_TIMEOUT_MS);
    try {
      const url = keys.kind === 'url' ? keys.url : await discoverJwksUrl(issuer, deps.fetch, deadline.signal);
      return parseJwks(await fetchDocument(url, deps.fetch, deadline.signal));
    } finally {
      cancel();
    }
  };
}

/** OpenID Connect Discovery 1.0, section 4: the document must name the very issuer it was asked of. */
async function discoverJwksUrl(issuer: string, fetch: Fetch, signal: AbortSignal): Promise<string> {
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const document = DiscoverySchema.parse(JSON.parse(await fetchDocument(url, fetch, signal)));
  if (document.issuer !== issuer) throw new KeyLoadError('issuer_differs');
  if (!isSecureUrl(document.jwks_uri)) throw new KeyLoadError('insecure_jwks_uri');
  return document.jwks_uri;
}

async function fetchDocument(url: string, fetch: Fetch, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, {
    signal,
    redirect: 'manual',
    headers: { accept: 'application/json, application/jwk-set+json' },
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new KeyLoadError(`status_${response.status}`);
  }
  return new TextDecoder('utf-8', { fatal: true }).decode(await readBody(response, KEYS_MAX_BYTES));
}

function parseJwks(text: string): readonly unknown[] {
  return JwksSchema.parse(JSON.parse(text)).keys;
}

/** Its code is all that is logged of it. */
class KeyLoadError extends Error {
  override readonly name = 'KeyLoadError';
  readonly code: string;
  constructor(code: string) {
    super(code);
    this.code = code;
  }
}
