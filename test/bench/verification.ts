/**
 * Tokens verified a second: this service's check of a bearer token against jose's alone, for a token that is seen the
 * first time and for one seen lately. `node test/bench/verification.ts [--quick]` prints the table.
 */
import { parseArgs } from 'node:util';
import { importJWK, jwtVerify } from 'jose';
import { type Authenticator, createAuthenticator } from '../../src/auth/verify-token.ts';
import type { IssuerConfig } from '../../src/config/config.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';
import {
  createTestKey,
  signTestToken,
  TEST_AUDIENCE,
  TEST_ISSUER,
  TEST_SCOPE,
} from '../support/test-keys.ts';
import { median, type Row, renderSections, round, type Section, spread } from './report.ts';

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'] as const;
type Algorithm = (typeof ALGORITHMS)[number];
/** What the key is, for readers. */
const KEYS: Readonly<Record<Algorithm, string>> = {
  RS256: 'RS256, 2048 bits',
  ES256: 'ES256',
  EdDSA: 'EdDSA, Ed25519',
};
/** A round ends after this time, or when its tokens are used up: 300 ms. */
const ROUND_MS = 300;
/** Looked at the clock after so many checks of a token seen lately, since each takes less than a look. */
const CACHED_BATCH = 200;

/** One way to check tokens. A round begins with `prepare`, off the clock. */
interface Contestant {
  readonly prepare: () => Promise<void>;
  /** Checks for one round. */
  readonly run: () => Promise<number>;
  readonly perSecond: number[];
}

/** Tokens verified a second, in alternating rounds, as ratios against jose's jwtVerify with the same key. */
export async function measureVerification({ quick }: { readonly quick: boolean }): Promise<Section> {
  const rounds = quick ? 3 : 9;
  const tokenCount = quick ? 1000 : 4000;
  const rows: Row[] = [];
  for (const algorithm of ALGORITHMS) {
    const { jose, first, again } = await contestantsFor(algorithm, tokenCount);
    for (let count = -1; count < rounds; count += 1)
      for (const contestant of [jose, first, again]) {
        await contestant.prepare();
        const perSecond = await contestant.run();
        // The first round warms up.
        if (count >= 0) contestant.perSecond.push(perSecond);
      }
    const ratio = (samples: readonly number[]) =>
      median(samples.map((perSecond, index) => perSecond / (jose.perSecond[index] as number)));
    const row = (what: string, { perSecond }: Contestant): Row => ({
      what: `${KEYS[algorithm]}: ${what}`,
      'tokens/s': round(median(perSecond)),
      spread: spread(perSecond),
      'to jose': round(ratio(perSecond), 2),
    });
    rows.push(
      row('jose alone', jose),
      row('this service, first time', first),
      row('this service, seen lately', again),
    );
  }
  return {
    title: 'Tokens verified a second',
    rows,
    notes: [
      'To jose: the median of the ratios of the rounds, each of which measures all three one after the other.',
      'One token after the other on one thread; each waits for its signature, which WebCrypto checks on another.',
      'jose alone: jwtVerify with the imported key, issuer and audience. This service also',
      'finds issuer and key, reads scopes, and remembers the token. Keys are a JWKS file: nothing waits for a network.',
      `First time: ${tokenCount} different tokens, and an authenticator that has seen none of them for each round.`,
    ],
  };
}

async function contestantsFor(
  algorithm: Algorithm,
  tokenCount: number,
): Promise<Readonly<Record<'jose' | 'first' | 'again', Contestant>>> {
  const key = await createTestKey(algorithm);
  const publicKey = await importJWK(key.publicJwk, algorithm);
  const jwks = JSON.stringify({ keys: [key.publicJwk] });
  const nowMs = Date.now();
  const tokens = await Promise.all(
    Array.from({ length: tokenCount }, (_, index) =>
      signTestToken(key, nowMs, { sub: `service-${index}`, jti: crypto.randomUUID() }),
    ),
  );
  const authorizations = tokens.map((token) => `Bearer ${token}`);
  const known = authorizations[0] as string;
  const options = { issuer: TEST_ISSUER, audience: TEST_AUDIENCE, algorithms: [algorithm] };

  let authenticator: Authenticator;
  const renew = async (): Promise<void> => {
    authenticator = createAuthenticator({ issuers: [issuerWith(algorithm)] }, dependenciesWith(jwks));
    await authenticator.warm();
    if (!authenticator.keysUsable()) throw new Error('the keys were not taken');
  };
  return {
    jose: {
      prepare: async () => undefined,
      run: () => rateOf(tokens, (token) => jwtVerify(token, publicKey, options)),
      perSecond: [],
    },
    first: {
      prepare: renew,
      run: () => rateOf(authorizations, async (authorization) => authenticator.authenticate(authorization)),
      perSecond: [],
    },
    again: {
      prepare: async () => {
        await renew();
        await authenticator.authenticate(known);
      },
      run: async () => cachedRate(authenticator, tokens[0] as string),
      perSecond: [],
    },
  };
}

/** Each text once, one after the other; what it rejects with ends the measurement. */
async function rateOf(texts: readonly string[], check: (text: string) => Promise<unknown>): Promise<number> {
  const begunMs = performance.now();
  let count = 0;
  for (const text of texts) {
    if (performance.now() - begunMs >= ROUND_MS) break;
    await check(text);
    count += 1;
  }
  return (count * 1000) / (performance.now() - begunMs);
}

/** @throws when the token is not remembered, and something else would be measured */
function cachedRate(authenticator: Authenticator, token: string): number {
  const begunMs = performance.now();
  let count = 0;
  while (performance.now() - begunMs < ROUND_MS) {
    for (let batch = 0; batch < CACHED_BATCH; batch += 1) {
      if (authenticator.recall(token) === undefined) throw new Error('the token was not remembered');
    }
    count += CACHED_BATCH;
  }
  return (count * 1000) / (performance.now() - begunMs);
}

/** As AUTH_JWKS_FILE makes it. */
function issuerWith(algorithm: Algorithm): IssuerConfig {
  return {
    issuer: TEST_ISSUER,
    audiences: [TEST_AUDIENCE],
    keys: { kind: 'file', path: 'jwks.json' },
    algorithms: [algorithm],
    requiredScopes: [TEST_SCOPE],
    scopeClaims: ['scope', 'scp'],
    allowedSubjects: undefined,
  };
}

/** Those of Node, but the file of keys is a text in memory. */
function dependenciesWith(jwks: string): Parameters<typeof createAuthenticator>[1] {
  return {
    fetch: () => Promise.reject(new Error('nothing is fetched here')),
    now: Date.now,
    elapsed: () => performance.now(),
    schedule: (callback, delayMs) => {
      const timer = setTimeout(callback, delayMs);
      return () => clearTimeout(timer);
    },
    readTextFile: async () => jwks,
    waitUntil: () => undefined,
    createSingleFlight: createSharedFlight,
    logger: createRecordingLogger(),
  };
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' } } });
  console.log(renderSections([await measureVerification({ quick: values.quick === true })]));
}
