import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export const TEST_ISSUER = 'https://login.example.test';
export const TEST_AUDIENCE = 'imagecaches';
export const TEST_SCOPE = 'imagecaches:read';

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

export async function createTestKey(alg = 'RS256', kid = `kid-${alg}`): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

/** A token that is good at `nowMs`, unless the claims say otherwise; a claim of undefined is left out. */
export function signTestToken(
  key: TestKey,
  nowMs: number,
  claims: Record<string, unknown> = {},
): Promise<string> {
  const nowSeconds = Math.floor(nowMs / 1000);
  const all = {
    iss: TEST_ISSUER,
    aud: TEST_AUDIENCE,
    sub: 'service-a',
    iat: nowSeconds,
    exp: nowSeconds + 3600,
    scope: TEST_SCOPE,
    ...claims,
  };
  const kept = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return new SignJWT(kept).setProtectedHeader({ alg: key.alg, kid: key.kid }).sign(key.privateKey);
}
