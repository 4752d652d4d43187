import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import * as z from 'zod';
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

const JwksSchema = z.object({ keys: z.array(z.looseObject({ kty: z.string() })).min(1) });
const DiscoverySchema = z.object({ issuer: z.string(), jwks_uri: z.string() });

/** The public keys of one issuer, kept usable while the issuer is not. */
export interface IssuerKeys {
  /** Finds the key for a token. Rejects with ProblemError `keys_unavailable` while there are none at all. */
  readonly getKey: JWTVerifyGetKey;
  /** True while keys are held that may still be used. */
  usable(): boolean;
  /** Loads keys if none are usable and the pause is over. Never rejects. */
  warm(): Promise<void>;
}

/**
 * Holds an issuer's keys. An unknown key id reloads them once, behind a cooldown that counts failures too;
 * the last good keys outlive an outage.
 *
 * @param load fetches the key set; called at most once per pause
 */
export function createIssuerKeys(
  issuer: string,
  load: () => Promise<JSONWebKeySet>,
  platform: Pick<Platform, 'now' | 'elapsed' | 'waitUntil' | 'createSingleFlight' | 'logger'>,
): IssuerKeys {
  const keys = createLastGood<ReturnType<typeof createLocalJWKSet>>(
    {
      load: async () => createLocalJWKSet(await load()),
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

  const getKey: JWTVerifyGetKey = async (header, token) => {
    const find = await keys.get();
    if (find === undefined) throw unavailable('no_keys');
    try {
      return await find(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      await keys.reload();
      // The key may be one that the issuer made while it could not be reached: a 401 would be a guess.
      if (keys.failures > 0) throw unavailable('unknown_key_while_issuer_fails');
      return await (keys.current() ?? find)(header, token);
    }
  };

  return { getKey, usable: () => keys.current() !== undefined, warm: keys.warm };
}

/** The way to an issuer's keys that its configuration names: a file, a URL, or its OpenID configuration. */
export function createKeyLoader(
  config: IssuerConfig,
  deps: Pick<Platform, 'fetch' | 'schedule' | 'readTextFile'>,
): () => Promise<JSONWebKeySet> {
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

function parseJwks(text: string): JSONWebKeySet {
  return JwksSchema.parse(JSON.parse(text)) as JSONWebKeySet;
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
