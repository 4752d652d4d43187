import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

/** All that the service takes by default, one after the other. */
const ALGORITHMS = ['ES256', 'RS256', 'EdDSA', 'PS256'];

interface SigningKey {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export interface SoakClaims {
  readonly subject: string;
  readonly scope: string;
  /** Seconds since the epoch. */
  readonly expiresAtSeconds: number;
}

export interface RotatingIssuer {
  readonly issuer: string;
  readonly sign: (claims: SoakClaims) => Promise<string>;
  /** Signs with a key that the issuer never had: under the id of its own, or under one that nobody knows. */
  readonly forge: (claims: SoakClaims, id: 'known' | 'unknown') => Promise<string>;
  /** The next key signs from now on; it has been in the key set since the last time. */
  readonly rotate: () => Promise<void>;
  /** Undefined before the first time. */
  readonly rotatedAtMs: number | undefined;
  /** So many keys have been replaced: the number of the one in use. */
  readonly rotations: number;
  /** How often its keys were fetched. */
  readonly keySetLoads: number;
  readonly stop: () => Promise<void>;
}

async function createSigningKey(number: number): Promise<SigningKey> {
  const alg = ALGORITHMS[number % ALGORITHMS.length] as string;
  const { publicKey, privateKey } = await generateKeyPair(alg);
  const kid = crypto.randomUUID();
  return { alg, kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/**
 * An issuer that changes its keys as identity providers do: its key set has the last key, the one in use and the next
 * one, so that tokens of the last one stay good and nobody meets a key that could not be known.
 */
export async function startRotatingIssuer(): Promise<RotatingIssuer> {
  let [previous, current, next]: [SigningKey | undefined, SigningKey, SigningKey] = [
    undefined,
    await createSigningKey(0),
    await createSigningKey(1),
  ];
  const forger = await createSigningKey(0);
  let rotations = 0;
  let rotatedAtMs: number | undefined;
  let keySetLoads = 0;

  const server = createServer((request, response) => {
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/jwks.json` },
      '/jwks.json': {
        keys: [previous, current, next].flatMap((key) => (key === undefined ? [] : [key.publicJwk])),
      },
    };
    if (request.url === '/jwks.json') keySetLoads += 1;
    const document = documents[request.url ?? ''];
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? { error: 'not_found' }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const signWith = ({ alg, privateKey }: SigningKey, kid: string, claims: SoakClaims): Promise<string> =>
    new SignJWT({ scope: claims.scope })
      .setProtectedHeader({ alg, kid, typ: 'JWT' })
      .setIssuer(issuer)
      .setAudience('imagecaches')
      .setSubject(claims.subject)
      .setIssuedAt(claims.expiresAtSeconds - 3600)
      .setExpirationTime(claims.expiresAtSeconds)
      .sign(privateKey);

  return {
    issuer,
    sign: (claims) => signWith(current, current.kid, claims),
    forge: (claims, id) => signWith(forger, id === 'known' ? current.kid : crypto.randomUUID(), claims),
    async rotate() {
      const made = await createSigningKey(rotations + 2);
      [previous, current, next] = [current, next, made];
      rotations += 1;
      rotatedAtMs = Date.now();
    },
    get rotatedAtMs() {
      return rotatedAtMs;
    },
    get rotations() {
      return rotations;
    },
    get keySetLoads() {
      return keySetLoads;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
