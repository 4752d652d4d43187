import { exportJWK, SignJWT, UnsecuredJWT } from 'jose';
import { describe, expect, it, vi } from 'vitest';
import { createTestKey, signTestToken, TEST_AUDIENCE, TEST_ISSUER } from '../support/test-keys.ts';
import { createTestService } from '../support/test-service.ts';

/** A verified token is remembered for 60 seconds at most (docs/performance.md). */
const VERIFIED_TOKEN_TTL_MS = 60_000;
/** The most tokens that are remembered (docs/sizing.md). */
const VERIFIED_TOKEN_MAX_ENTRIES = 10_000;
/** So much of a subject is shown and counted: 256 characters. */
const MAX_SUBJECT_CHARACTERS = 256;
/** The most that is read of an issuer's keys: 1 MiB. */
const KEYS_MAX_BYTES = 1_048_576;
/** For an unknown key id keys are loaded at most once in 30 seconds (docs/callers.md). */
const KEYS_COOLDOWN_MS = 30_000;
/** Keys of this age are renewed before they are used: with the token memory, 11 minutes (docs/callers.md). */
const KEYS_MAX_AGE_MS = 600_000;
/** Keys are renewed when they are 8 minutes old (docs/callers.md). */
const KEYS_RENEWAL_AGE_MS = 480_000;

function bearer(token: string): RequestInit {
  return { headers: { authorization: `Bearer ${token}` } };
}

const otherKey = createTestKey('RS256', 'kid-RS256');
/** The challenge of a token that does not hold; what it says is of a fixed list (docs/callers.md). */
const invalidToken = (fault: string) =>
  `Bearer realm="imagecaches", error="invalid_token", error_description="the token is ${fault}"`;

describe('bearer tokens', () => {
  it('asks for a token, without an error code, when none is sent', async () => {
    const service = await createTestService();
    const response = await service.app.request('/imagecaches');
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="imagecaches"');
    expect(await response.json()).toMatchObject({ code: 'unauthenticated', status: 401 });
    expect(service.calls).toHaveLength(0);
  });

  it.each(['Bearer', 'bearer', 'BEARER', 'Bearer '])('takes the scheme written %j', async (scheme) => {
    const service = await createTestService();
    const response = await service.get('/imagecaches', {
      headers: { authorization: `${scheme} ${await service.token()}` },
    });
    expect(response.status).toBe(200);
  });

  it.each(['RS256', 'PS256', 'ES256', 'EdDSA'])('takes %s', async (alg) => {
    const key = await createTestKey(alg);
    const service = await createTestService();
    service.issuer = () => Response.json({ keys: [key.publicJwk] });
    const token = await signTestToken(key, service.clock.now());
    expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
  });

  it.each<
    [
      name: string,
      fault: string,
      make: (at: {
        nowMs: number;
        seconds: number;
        good: Parameters<typeof signTestToken>[0];
      }) => Promise<string>,
    ]
  >([
    [
      'expired for longer than the tolerance',
      'expired',
      ({ good, nowMs, seconds }) => signTestToken(good, nowMs, { exp: seconds - 31 }),
    ],
    ['without exp', 'malformed', ({ good, nowMs }) => signTestToken(good, nowMs, { exp: undefined })],
    [
      'not valid yet',
      'not yet valid',
      ({ good, nowMs, seconds }) => signTestToken(good, nowMs, { nbf: seconds + 31 }),
    ],
    [
      'for another audience',
      'for the wrong audience',
      ({ good, nowMs }) => signTestToken(good, nowMs, { aud: 'imagecaches2' }),
    ],
    [
      'without audience',
      'for the wrong audience',
      ({ good, nowMs }) => signTestToken(good, nowMs, { aud: undefined }),
    ],
    [
      'of another issuer',
      'from the wrong issuer',
      ({ good, nowMs }) => signTestToken(good, nowMs, { iss: `${TEST_ISSUER}/` }),
    ],
    [
      'without issuer',
      'from the wrong issuer',
      ({ good, nowMs }) => signTestToken(good, nowMs, { iss: undefined }),
    ],
    [
      'signed by another key under a known key id',
      'signed with an unknown key',
      async ({ nowMs }) => signTestToken(await otherKey, nowMs),
    ],
    [
      'with an unknown key id',
      'signed with an unknown key',
      ({ good, nowMs }) => signTestToken({ ...good, kid: 'made-up' }, nowMs),
    ],
    [
      'unsecured',
      'malformed',
      async () =>
        new UnsecuredJWT({})
          .setIssuer(TEST_ISSUER)
          .setAudience(TEST_AUDIENCE)
          .setExpirationTime('1h')
          .encode(),
    ],
    [
      'signed with the public key as a shared secret',
      'signed with an unknown key',
      async ({ good, seconds }) =>
        new SignJWT({ scope: 'imagecaches:read' })
          .setProtectedHeader({ alg: 'HS256', kid: good.kid })
          .setIssuer(TEST_ISSUER)
          .setAudience(TEST_AUDIENCE)
          .setExpirationTime(seconds + 60)
          .sign(new TextEncoder().encode(JSON.stringify(good.publicJwk))),
    ],
    [
      'an algorithm that is not pinned',
      'signed with an unknown key',
      async ({ nowMs }) => signTestToken(await createTestKey('RS512', 'kid-RS256'), nowMs),
    ],
    [
      'expired, not yet valid and for another audience, but not signed by the issuer',
      'signed with an unknown key',
      async ({ nowMs, seconds }) =>
        signTestToken(await otherKey, nowMs, { exp: seconds - 31, nbf: seconds + 31, aud: 'other' }),
    ],
    ['no JWT', 'malformed', async () => 'abc'],
    ['two segments', 'malformed', async () => 'e30.e30'],
    ['five segments', 'malformed', async () => 'e30.e30.e30.e30.e30'],
  ])('refuses a token: %s', async (_name, fault, make) => {
    const service = await createTestService();
    const nowMs = service.clock.now();
    const token = await make({ nowMs, seconds: Math.floor(nowMs / 1000), good: service.key });
    const response = await service.get('/imagecaches', bearer(token));
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe(invalidToken(fault));
    expect(service.calls).toHaveLength(0);
  });

  it.each([
    'Basic dTpw',
    'Bearer',
    'Bearer a b',
    'Bearer a, Bearer b',
    'Token abc',
    'Bearer\tabc',
    'Bearer a=b',
  ])('refuses the header %j', async (authorization) => {
    const service = await createTestService();
    const response = await service.get('/imagecaches', { headers: { authorization } });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe(invalidToken('malformed'));
  });

  it('tolerates 30 seconds of clock difference and no more', async () => {
    const service = await createTestService();
    const seconds = Math.floor(service.clock.now() / 1000);
    expect(
      (await service.get('/imagecaches', bearer(await service.token({ exp: seconds - 29 })))).status,
    ).toBe(200);
    expect(
      (await service.get('/imagecaches', bearer(await service.token({ nbf: seconds + 29 })))).status,
    ).toBe(200);
  });

  it('refuses a token over 16 KiB before it is looked into', async () => {
    const service = await createTestService();
    const fits = `${'a'.repeat(16_380)}.b.c`.slice(0, 16_384);
    for (const [token, reason] of [
      [fits, 'not_a_compact_jws'],
      [`${fits}a`, 'token_too_long'],
    ] as const) {
      const response = await service.get('/imagecaches', bearer(token));
      expect(response.status).toBe(401);
      expect(service.logger.lines.at(-1)?.fields).toMatchObject({ reason });
    }
  });

  it('shows and counts 256 characters of a subject, whatever follows them', async () => {
    const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '2' });
    const start = 's'.repeat(MAX_SUBJECT_CHARACTERS - 1);
    const ask = async (sub: string) =>
      (await service.get('/imagecaches', bearer(await service.token({ sub })))).status;
    expect(await ask(`${start}a`)).toBe(200);
    expect(await ask(`${start}a and more`)).toBe(200);
    expect(await ask(`${start}a and other`)).toBe(429);
    expect(await ask(`${start}b`)).toBe(200);
    const subjects = service.logger.lines.flatMap(({ fields }) => fields.subject ?? []);
    expect(new Set(subjects)).toEqual(new Set([`${start}a`, `${start}b`]));
  });

  it('takes the scope from a string or an array, in either claim', async () => {
    const service = await createTestService();
    for (const claims of [
      { scope: 'openid imagecaches:read' },
      { scope: undefined, scp: ['imagecaches:read'] },
      { scope: 'openid', scp: 'imagecaches:read' },
    ]) {
      expect((await service.get('/imagecaches', bearer(await service.token(claims)))).status).toBe(200);
    }
  });

  it('answers 403 with the scope that is missing', async () => {
    const service = await createTestService();
    for (const scope of [
      undefined,
      '',
      'imagecaches:rea',
      'imagecaches:read2',
      { 'imagecaches:read': true },
      7,
    ]) {
      const response = await service.get('/imagecaches', bearer(await service.token({ scope })));
      expect(response.status).toBe(403);
      expect(response.headers.get('www-authenticate')).toBe(
        'Bearer realm="imagecaches", error="insufficient_scope", scope="imagecaches:read"',
      );
      expect(await response.json()).toMatchObject({ code: 'forbidden' });
    }
    expect(service.calls).toHaveLength(0);
  });

  it('tries each key that fits a token without a key id', async () => {
    const [first, second] = await Promise.all([createTestKey('ES256', 'a'), createTestKey('ES256', 'b')]);
    const service = await createTestService();
    service.issuer = () => Response.json({ keys: [first.publicJwk, second.publicJwk] });
    const withoutKeyId = (key: typeof first) =>
      new SignJWT({ scope: 'imagecaches:read' })
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer(TEST_ISSUER)
        .setAudience(TEST_AUDIENCE)
        .setExpirationTime(Math.floor(service.clock.now() / 1000) + 60)
        .sign(key.privateKey);
    expect((await service.get('/imagecaches', bearer(await withoutKeyId(second)))).status).toBe(200);
    expect(
      (await service.get('/imagecaches', bearer(await withoutKeyId(await createTestKey('ES256', 'c')))))
        .status,
    ).toBe(401);
  });

  it('remembers a verified token for 60 seconds, but never past its end', async () => {
    const service = await createTestService();
    const seconds = Math.floor(service.clock.now() / 1000);
    const long = await service.token();
    const short = await service.token({ exp: seconds + 10 });
    for (const token of [long, short])
      expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);

    // Without keys only what is remembered can pass; the keys held are good for a day.
    service.issuer = () => Response.json({ keys: [] }, { status: 500 });
    await service.clock.advance(41_000);
    expect((await service.get('/imagecaches', bearer(long))).status).toBe(200);
    expect((await service.get('/imagecaches', bearer(short))).status).toBe(401);
  });
});

describe('a token that was verified lately', () => {
  it('costs no signature check, in whatever case the scheme is written', async () => {
    const service = await createTestService();
    const token = await service.token();
    const verify = vi.spyOn(crypto.subtle, 'verify');
    try {
      for (let count = 0; count < 10; count += 1) {
        const authorization = `${count % 2 === 0 ? 'Bearer' : 'bearer'} ${token}`;
        expect((await service.get('/imagecaches', { headers: { authorization } })).status).toBe(200);
      }
      await service.clock.advance(VERIFIED_TOKEN_TTL_MS - 1);
      expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
      expect(verify).toHaveBeenCalledTimes(1);
      await service.clock.advance(1);
      expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
      expect(verify).toHaveBeenCalledTimes(2);
    } finally {
      verify.mockRestore();
    }
  });

  it('is one of 10,000 at most: the one not seen for longest is checked again', async () => {
    const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' });
    expect((await service.get('/imagecaches')).status).toBe(200);
    const [head = '', , signature = ''] = (await service.token()).split('.');
    const now = Math.floor(service.clock.now() / 1000);
    const claims = { iss: TEST_ISSUER, aud: TEST_AUDIENCE, exp: now + 3600, scope: 'imagecaches:read' };
    const ask = async (sub: number) => {
      const payload = Buffer.from(JSON.stringify({ ...claims, sub: `caller-${sub}` })).toString('base64url');
      // Signatures of different tokens differ.
      const own = `${signature.slice(0, -9)}${String(sub).padStart(8, '0')}${signature.slice(-1)}`;
      return (await service.get('/imagecaches', bearer(`${head}.${payload}.${own}`))).status;
    };
    // Every signature holds, so that none of so many has to be made.
    const verify = vi.spyOn(crypto.subtle, 'verify').mockResolvedValue(true);
    try {
      // One token was seen above: it goes first.
      for (let caller = 1; caller <= VERIFIED_TOKEN_MAX_ENTRIES; caller += 1) await ask(caller);
      expect(verify).toHaveBeenCalledTimes(VERIFIED_TOKEN_MAX_ENTRIES);
      expect(await ask(1)).toBe(200);
      expect(verify).toHaveBeenCalledTimes(VERIFIED_TOKEN_MAX_ENTRIES);
      // One more, and the second is the one not seen for longest.
      await ask(0);
      expect(await ask(3)).toBe(200);
      expect(verify).toHaveBeenCalledTimes(VERIFIED_TOKEN_MAX_ENTRIES + 1);
      expect(await ask(2)).toBe(200);
      expect(verify).toHaveBeenCalledTimes(VERIFIED_TOKEN_MAX_ENTRIES + 2);
    } finally {
      verify.mockRestore();
    }
  });

  it('is checked once for all who bring it at the same time, and refused to all alike', async () => {
    const service = await createTestService();
    await service.app.warm();
    const checks = vi.spyOn(crypto.subtle, 'verify');
    try {
      const good = bearer(await service.token());
      const bad = bearer(await signTestToken(await otherKey, service.clock.now()));
      for (const [init, status] of [
        [good, 200],
        [bad, 401],
      ] as const) {
        checks.mockClear();
        const answers = await Promise.all(
          Array.from({ length: 10 }, () => service.app.request('/imagecaches', init)),
        );
        expect(answers.map((answer) => answer.status)).toEqual(new Array(10).fill(status));
        expect(checks).toHaveBeenCalledTimes(1);
      }
      // A refusal is not remembered.
      await service.app.request('/imagecaches', bad);
      expect(checks).toHaveBeenCalledTimes(2);
    } finally {
      checks.mockRestore();
    }
  });

  it.each([-28_800_000, -600_000, 50_000])(
    'is believed for 60 seconds when the clock is set by %d ms',
    async (byMs) => {
      const service = await createTestService();
      const token = await signTestToken(service.key, service.clock.now() - 28_800_000, {
        exp: service.clock.now() / 1000 + 600,
      });
      expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
      const verify = vi.spyOn(crypto.subtle, 'verify');
      try {
        service.clock.set(byMs);
        await service.clock.advance(59_999);
        expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
        expect(verify).toHaveBeenCalledTimes(0);
        await service.clock.advance(1);
        expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
        expect(verify).toHaveBeenCalledTimes(1);
      } finally {
        verify.mockRestore();
      }
    },
  );

  it('is not remembered when the keys could not be had: the next try may succeed', async () => {
    const service = await createTestService();
    const { issuer } = service;
    service.issuer = () => new Response(null, { status: 500 });
    const token = await service.token();
    expect((await service.get('/imagecaches', bearer(token))).status).toBe(503);
    service.issuer = issuer;
    await service.clock.advance(1000);
    expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
  });
});

describe('the keys of an issuer', () => {
  it('come from its OpenID configuration', async () => {
    const service = await createTestService({ AUTH_JWKS_URL: undefined });
    service.issuer = (url) =>
      url.endsWith('/.well-known/openid-configuration')
        ? Response.json({ issuer: TEST_ISSUER, jwks_uri: `${TEST_ISSUER}/keys` })
        : Response.json({ keys: [service.key.publicJwk] });
    expect((await service.get('/imagecaches')).status).toBe(200);
    expect(service.keyCalls).toEqual([
      `${TEST_ISSUER}/.well-known/openid-configuration`,
      `${TEST_ISSUER}/keys`,
    ]);
  });

  it.each([
    ['names another issuer', { issuer: 'https://evil.test', jwks_uri: `${TEST_ISSUER}/keys` }],
    ['points to clear text', { issuer: TEST_ISSUER, jwks_uri: 'http://login.example.test/keys' }],
    ['points nowhere', { issuer: TEST_ISSUER }],
  ])('are not taken from a configuration that %s', async (_name, document) => {
    const service = await createTestService({ AUTH_JWKS_URL: undefined });
    service.issuer = () => Response.json(document);
    const response = await service.get('/imagecaches');
    expect(response.status).toBe(503);
    expect(service.keyCalls).toHaveLength(1);
  });

  it('come from a file', async () => {
    const key = await createTestKey('ES256');
    const paths: string[] = [];
    const service = await createTestService(
      { AUTH_JWKS_URL: undefined, AUTH_JWKS_FILE: '/etc/keys.json' },
      {
        readTextFile: async (path) => {
          paths.push(path);
          return JSON.stringify({ keys: [key.publicJwk] });
        },
      },
    );
    const token = await signTestToken(key, service.clock.now());
    expect((await service.get('/imagecaches', bearer(token))).status).toBe(200);
    expect(paths).toEqual(['/etc/keys.json']);
  });

  it.each<[string, () => Response | Promise<Response>]>([
    ['cannot be reached', () => Promise.reject(new TypeError('fetch failed'))],
    ['answers an error', () => new Response('no', { status: 500 })],
    ['redirects', () => Response.redirect('https://elsewhere.test/keys')],
    ['answers no JSON', () => new Response('<html>')],
    ['answers no key set', () => Response.json({ keys: 'none' })],
    ['answers an empty key set', () => Response.json({ keys: [] })],
    ['answers without end', () => new Response('x'.repeat(1_100_000))],
  ])('are unavailable, 503 and never 401, when it %s', async (_name, answer) => {
    const service = await createTestService();
    service.issuer = answer;
    const response = await service.get('/imagecaches');
    expect(response.status).toBe(503);
    expect(response.headers.get('retry-after')).toBe('1');
    expect(await response.json()).toMatchObject({ code: 'keys_unavailable' });
  });

  it('are read up to 1 MiB', async () => {
    for (const [bytes, status] of [
      [KEYS_MAX_BYTES, 200],
      [KEYS_MAX_BYTES + 1, 503],
    ] as const) {
      const service = await createTestService();
      // White space at the end of JSON means nothing.
      const document = JSON.stringify({ keys: [service.key.publicJwk] }).padEnd(bytes);
      service.issuer = () => new Response(document);
      expect((await service.get('/imagecaches')).status, String(bytes)).toBe(status);
    }
  });

  it('are given up on after 5 seconds', async () => {
    const { promise: asked, resolve: askedWith } = Promise.withResolvers<AbortSignal>();
    const service = await createTestService(
      {},
      {
        fetch: (_url, { signal }) => {
          askedWith(signal as AbortSignal);
          return new Promise((_resolve, reject) => {
            signal?.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
          });
        },
      },
    );
    const pending = service.get('/imagecaches');
    const signal = await asked;
    await service.clock.advance(4999);
    expect(signal.aborted).toBe(false);
    await service.clock.advance(1);
    expect(signal.aborted).toBe(true);
    expect((await pending).status).toBe(503);
    expect(service.clock.pending).toBe(0);
  });

  it('are loaded once for many callers, and asked for again only behind a pause that doubles', async () => {
    const service = await createTestService();
    service.issuer = () => new Response('', { status: 500 });
    await Promise.all(Array.from({ length: 50 }, () => service.get('/imagecaches')));
    expect(service.keyCalls).toHaveLength(1);
    // 1, 2, 4, 8 and 16 seconds, then 30 at most: however often it is asked for, and it is asked for each second.
    for (let second = 0; second < 121; second += 1) {
      await service.clock.advance(1000);
      await service.get('/imagecaches');
    }
    expect(service.keyCalls).toHaveLength(1 + 5 + 3);

    service.issuer = () => Response.json({ keys: [service.key.publicJwk] });
    await service.clock.advance(30_000);
    expect((await service.get('/imagecaches')).status).toBe(200);
  });

  it('are reloaded once for an unknown key id, so that a rotation refuses nobody', async () => {
    const service = await createTestService();
    expect((await service.get('/imagecaches')).status).toBe(200);
    const rotated = await createTestKey('RS256', 'kid-new');
    service.issuer = () => Response.json({ keys: [service.key.publicJwk, rotated.publicJwk] });
    await service.clock.advance(30_000);
    const token = await signTestToken(rotated, service.clock.now());
    const responses = await Promise.all(
      Array.from({ length: 20 }, () => service.get('/imagecaches', bearer(token))),
    );
    expect(responses.map(({ status }) => status)).toEqual(Array(20).fill(200));
    expect(service.keyCalls).toHaveLength(2);
  });

  it('are not reloaded for a flood of made-up key ids', async () => {
    const service = await createTestService();
    expect((await service.get('/imagecaches')).status).toBe(200);
    await service.clock.advance(60_000);
    for (let index = 0; index < 100; index += 1) {
      const token = await signTestToken({ ...service.key, kid: `made-up-${index}` }, service.clock.now());
      expect((await service.get('/imagecaches', bearer(token))).status).toBe(401);
    }
    expect(service.keyCalls).toHaveLength(2);
  });

  it('outlive an outage by 24 hours, and say 503 about a key that could be new', async () => {
    const service = await createTestService();
    expect((await service.get('/imagecaches')).status).toBe(200);
    service.issuer = () => new Response('', { status: 502 });
    await service.clock.advance(23 * 3_600_000);
    expect((await service.get('/imagecaches')).status).toBe(200);
    const unknown = await signTestToken({ ...service.key, kid: 'unknown' }, service.clock.now());
    expect((await service.get('/imagecaches', bearer(unknown))).status).toBe(503);
    await service.clock.advance(3_600_000);
    expect((await service.get('/imagecaches')).status).toBe(503);
  });

  it('are renewed in the background when they are 8 minutes old', async () => {
    const service = await createTestService();
    await service.get('/imagecaches');
    const other = await createTestKey('RS256', 'other');
    service.issuer = () => Response.json({ keys: [other.publicJwk] });
    await service.clock.advance(KEYS_RENEWAL_AGE_MS - 1);
    expect((await service.get('/imagecaches', bearer(await service.token({ jti: '0' })))).status).toBe(200);
    expect(service.keyCalls).toHaveLength(1);
    await service.clock.advance(1);
    // Served from the keys held; the renewal that it starts then drops the key.
    expect((await service.get('/imagecaches', bearer(await service.token({ jti: 'a' })))).status).toBe(200);
    await Promise.all(service.background);
    expect(service.keyCalls).toHaveLength(2);
    expect((await service.get('/imagecaches', bearer(await service.token({ jti: 'b' })))).status).toBe(401);
  });

  it('that the issuer took back stop after 10 minutes, also when nobody called meanwhile', async () => {
    const other = await createTestKey('RS256', 'other');
    const createAged = async (ageMs: number) => {
      const service = await createTestService();
      await service.get('/imagecaches');
      service.issuer = () => Response.json({ keys: [other.publicJwk] });
      await service.clock.advance(ageMs);
      return service;
    };
    const younger = await createAged(KEYS_MAX_AGE_MS - 1);
    expect((await younger.get('/imagecaches', bearer(await younger.token({ jti: 'a' })))).status).toBe(200);
    const service = await createAged(KEYS_MAX_AGE_MS);
    expect((await service.get('/imagecaches', bearer(await service.token({ jti: 'a' })))).status).toBe(401);
    expect(
      (await service.get('/imagecaches', bearer(await signTestToken(other, service.clock.now())))).status,
    ).toBe(200);
    expect(service.keyCalls).toHaveLength(2);
  });

  it('cost a bounded number of calls for 1,000 made-up key ids, while the issuer is up and while it fails', async () => {
    const service = await createTestService();
    expect((await service.get('/imagecaches')).status).toBe(200);
    const flood = async (count: number, status: number) => {
      for (let index = 0; index < count; index += 1) {
        const kid = `made-up-${status}-${index}`;
        const token = await signTestToken({ ...service.key, kid }, service.clock.now());
        expect((await service.get('/imagecaches', bearer(token))).status).toBe(status);
        await service.clock.advance(100);
      }
    };
    // 50 seconds, one call at most in 30.
    await flood(500, 401);
    expect(service.keyCalls.length).toBeLessThanOrEqual(1 + 2);
    await service.clock.advance(KEYS_COOLDOWN_MS);
    service.issuer = () => new Response(null, { status: 500 });
    const before = service.keyCalls.length;
    // 50 seconds: after 1, 2, 4, 8, 16 and 30.
    await flood(500, 503);
    expect(service.keyCalls.length - before).toBeGreaterThanOrEqual(5);
    expect(service.keyCalls.length - before).toBeLessThanOrEqual(6);
  });

  it('change under load, and no valid token is refused', async () => {
    const service = await createTestService();
    let key = service.key;
    const published = [key.publicJwk];
    service.issuer = () => Response.json({ keys: published });
    for (let step = 0; step < 120; step += 1) {
      // Every 40 seconds another key signs, which was published when it began to; the old ones stay for a while.
      if (step % 8 === 7) {
        key = await createTestKey('ES256', `kid-${step}`);
        published.push(key.publicJwk);
        if (published.length > 3) published.shift();
      }
      const tokens = await Promise.all(
        Array.from({ length: 5 }, (_, index) =>
          signTestToken(key, service.clock.now(), { jti: `${step} ${index}` }),
        ),
      );
      const responses = await Promise.all(tokens.map((token) => service.get('/imagecaches', bearer(token))));
      expect(responses.map(({ status }) => status)).toEqual(Array(5).fill(200));
      await service.clock.advance(5000);
    }
    // 10 minutes, at most one call in 30 seconds.
    expect(service.keyCalls.length).toBeLessThanOrEqual(20);
  });

  it('never come from inside the token', async () => {
    const service = await createTestService();
    const attacker = await createTestKey('RS256', 'attacker');
    const token = await new SignJWT({ scope: 'imagecaches:read' })
      .setProtectedHeader({
        alg: 'RS256',
        kid: service.key.kid,
        jwk: await exportJWK((await createTestKey()).privateKey).then(() => attacker.publicJwk),
        jku: 'https://evil.test/keys',
      })
      .setIssuer(TEST_ISSUER)
      .setAudience(TEST_AUDIENCE)
      .setExpirationTime(Math.floor(service.clock.now() / 1000) + 60)
      .sign(attacker.privateKey);
    expect((await service.get('/imagecaches', bearer(token))).status).toBe(401);
    expect(service.keyCalls).toEqual([`${TEST_ISSUER}/jwks.json`]);
  });
});
