import { generateKeyPairSync } from 'node:crypto';
import { exportJWK, SignJWT } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import {
  createTestKey,
  signTestToken,
  TEST_AUDIENCE,
  TEST_ISSUER,
  type TestKey,
} from '../support/test-keys.ts';
import { createTestService, type TestService } from '../support/test-service.ts';

/** Keys that are tried for one token (docs/callers.md). */
const MAX_TRIED_KEYS = 16;
/** For an unknown key keys are loaded at most once in 30 seconds (docs/callers.md). */
const KEYS_COOLDOWN_MS = 30_000;

const good = createTestKey('RS256', 'good');
const other = createTestKey('RS256', 'other');
const shortRsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' });
const x25519 = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' });

async function createService(keys: readonly unknown[], environment = {}): Promise<TestService> {
  const service = await createTestService(environment);
  service.issuer = () => Response.json({ keys });
  return service;
}

function withoutKid(key: TestKey, nowMs: number, claims: Record<string, unknown> = {}): Promise<string> {
  const exp = Math.floor(nowMs / 1000) + 600;
  return new SignJWT({ iss: TEST_ISSUER, aud: TEST_AUDIENCE, scope: 'imagecaches:read', exp, ...claims })
    .setProtectedHeader({ alg: key.alg })
    .sign(key.privateKey);
}

const ask = async (service: TestService, token: string) =>
  (await service.get('/imagecaches', { headers: { authorization: `Bearer ${token}` } })).status;

/** Members of a key set that no token can be verified with. */
async function junk(): Promise<[string, unknown][]> {
  const { publicJwk } = await good;
  const { publicJwk: otherJwk } = await other;
  const ec = (await createTestKey('ES256')).publicJwk;
  return [
    ['null', null],
    ['a number', 1],
    ['a text', 'RSA'],
    ['an array', [publicJwk]],
    ['an object without members', {}],
    ['a key id alone', { kid: 'good' }],
    ['a key type alone', { kty: 'RSA', kid: 'good' }],
    ['an unknown key type', { ...publicJwk, kty: 'XYZ' }],
    ['a key type that is no text', { ...publicJwk, kty: ['RSA'] }],
    ['a modulus that is no text', { ...publicJwk, n: 5 }],
    ['a modulus that is no base64url', { ...publicJwk, n: '%%%' }],
    ['no exponent', { ...publicJwk, e: undefined }],
    ['RSA of 1024 bits', { ...shortRsa, kid: 'good', alg: 'RS256' }],
    ['RSA of 8 bits', { kty: 'RSA', kid: 'good', n: 'AQ', e: 'AQAB' }],
    ['a key for encryption', { ...publicJwk, use: 'enc' }],
    ['a use that is no text', { ...publicJwk, use: ['sig'] }],
    ['key operations without verify', { ...publicJwk, use: undefined, key_ops: ['encrypt'] }],
    ['no key operations', { ...publicJwk, use: undefined, key_ops: [] }],
    ['key operations that are no list', { ...publicJwk, use: undefined, key_ops: 'verify' }],
    ['another algorithm', { ...publicJwk, alg: 'RS512' }],
    ['an algorithm for encryption', { ...publicJwk, alg: 'RSA-OAEP' }],
    ['an algorithm that is no text', { ...publicJwk, alg: 256 }],
    ['a private key', await exportJWK((await good).privateKey).then((jwk) => ({ ...jwk, kid: 'good' }))],
    ['a shared secret', { kty: 'oct', k: 'c2VjcmV0', kid: 'good' }],
    ['a shared secret for RS256', { kty: 'oct', k: 'c2VjcmV0', kid: 'good', alg: 'RS256' }],
    ['an elliptic key for RS256', { ...ec, kid: 'good', alg: 'RS256' }],
    ['a point that is on no curve', { ...ec, kid: 'good', x: ec.y, alg: undefined }],
    ['another curve than its algorithm', { ...ec, kid: 'good', crv: 'P-384', alg: undefined }],
    ['a key for agreement', { ...x25519, kid: 'good' }],
    ['the key of somebody else', { ...otherJwk, kid: 'good' }],
    ['the key of somebody else, without a key id', { ...otherJwk, kid: undefined }],
  ];
}

describe('members of a key set that are no usable keys', async () => {
  it.each(await junk())(
    '%s: do not keep the good key from working, with and without key id',
    async (_what, member) => {
      const key = await good;
      for (const keys of [
        [member, key.publicJwk],
        [key.publicJwk, member],
        [member, { ...key.publicJwk, kid: undefined }],
      ]) {
        const service = await createService(keys);
        const nowMs = service.clock.now();
        expect(await ask(service, await withoutKid(key, nowMs)), 'without key id').toBe(200);
        if (keys[0] === member && (keys[1] as { kid?: string }).kid === undefined) continue;
        expect(await ask(service, await signTestToken(key, nowMs)), 'with key id').toBe(200);
        expect(service.logger.lines.filter(({ level }) => level !== 'info')).toEqual([]);
      }
    },
  );

  it.each((await junk()).filter(([what]) => !what.startsWith('the key of somebody else')))(
    '%s: alone are no keys, which is 503 and never 401',
    async (_what, member) => {
      const service = await createService([member]);
      expect(await ask(service, await service.token())).toBe(503);
    },
  );

  it('is not a good key whose issuer writes null for what is not there', async () => {
    const key = await good;
    const service = await createService([{ ...key.publicJwk, alg: null, use: null, key_ops: null, d: null }]);
    expect(await ask(service, await signTestToken(key, service.clock.now()))).toBe(200);
  });

  it('all at once, and a hundred times before the good key', async () => {
    const members = (await junk()).map(([, member]) => member);
    const unusable = members.slice(0, -2);
    const key = await good;
    const service = await createService([
      ...Array.from({ length: 100 }, () => unusable).flat(),
      ...members.slice(-2),
      key.publicJwk,
    ]);
    expect(await ask(service, await withoutKid(key, service.clock.now()))).toBe(200);
    expect(await ask(service, await signTestToken(key, service.clock.now()))).toBe(200);
  });

  it('that replace the keys in use leave these in use, as any failed load', async () => {
    const key = await good;
    const published: unknown[] = [key.publicJwk];
    const service = await createService(published);
    expect(await ask(service, await signTestToken(key, service.clock.now()))).toBe(200);
    published.splice(0, 1, null, { kid: 'good' });
    await service.clock.advance(600_000);
    expect(await ask(service, await signTestToken(key, service.clock.now()))).toBe(200);
    expect(service.logger.lines.find(({ level }) => level === 'warn')).toMatchObject({
      message: 'keys could not be loaded',
      fields: { error: { code: 'no_usable_key' } },
    });
  });
});

describe('a token is tried with every key that fits', () => {
  it.each([
    ['without key id', undefined],
    ['of the same key id', 'good'],
  ])('%s, 16 at most', async (_what, kid) => {
    const key = await good;
    const wrong = { ...(await other).publicJwk, kid };
    for (const [before, status] of [
      [MAX_TRIED_KEYS - 1, 200],
      [MAX_TRIED_KEYS, 401],
    ] as const) {
      const service = await createService([
        ...Array.from({ length: before }, () => wrong),
        { ...key.publicJwk, kid },
      ]);
      const nowMs = service.clock.now();
      const token = kid === undefined ? await withoutKid(key, nowMs) : await signTestToken(key, nowMs);
      const verify = vi.spyOn(crypto.subtle, 'verify');
      try {
        expect(await ask(service, token)).toBe(status);
        expect(verify).toHaveBeenCalledTimes(MAX_TRIED_KEYS);
      } finally {
        verify.mockRestore();
      }
    }
  });

  it('of its algorithm, also where a key names none', async () => {
    for (const alg of ['RS256', 'PS256', 'ES256', 'EdDSA', 'ES512', 'RS384', 'PS512', 'ES384', 'Ed25519']) {
      const key = await createTestKey(alg, 'a');
      const service = await createService([{ ...key.publicJwk, alg: undefined, use: undefined }], {
        AUTH_ALGORITHMS: 'RS256,PS256,ES256,EdDSA,ES512,RS384,PS512,ES384,Ed25519',
      });
      expect(await ask(service, await signTestToken(key, service.clock.now())), alg).toBe(200);
    }
  });

  it('and of no other: one that the settings do not name, or its key does not', async () => {
    const key = await createTestKey('RS512', 'good');
    const strict = await createService([{ ...key.publicJwk, alg: undefined }]);
    expect(await ask(strict, await signTestToken(key, strict.clock.now()))).toBe(401);
    const named = await createService([{ ...key.publicJwk, alg: 'RS256' }], {
      AUTH_ALGORITHMS: 'RS256,RS512',
    });
    expect(await ask(named, await signTestToken(key, named.clock.now()))).toBe(401);
  });

  it('whose claims do not hold is refused at the first key that signed it', async () => {
    const key = await good;
    const service = await createService([
      { ...(await other).publicJwk, kid: undefined },
      key.publicJwk,
      (await other).publicJwk,
    ]);
    const verify = vi.spyOn(crypto.subtle, 'verify');
    try {
      expect(await ask(service, await withoutKid(key, service.clock.now(), { aud: 'another' }))).toBe(401);
      expect(verify).toHaveBeenCalledTimes(2);
    } finally {
      verify.mockRestore();
    }
  });

  it('that is new, without a key id: the keys are loaded again, at most once in 30 seconds', async () => {
    const key = await good;
    const next = await other;
    const published = [{ ...key.publicJwk, kid: undefined }];
    const service = await createService(published);
    expect(await ask(service, await withoutKid(key, service.clock.now()))).toBe(200);
    published.splice(0, 1, { ...next.publicJwk, kid: undefined });
    await service.clock.advance(KEYS_COOLDOWN_MS - 1);
    expect(await ask(service, await withoutKid(next, service.clock.now()))).toBe(401);
    expect(service.keyCalls).toHaveLength(1);
    await service.clock.advance(1);
    expect(await ask(service, await withoutKid(next, service.clock.now()))).toBe(200);
    expect(await ask(service, await withoutKid(key, service.clock.now(), { jti: 'a' }))).toBe(401);
    expect(service.keyCalls).toHaveLength(2);
  });
});
