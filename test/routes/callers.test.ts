import { describe, expect, it } from 'vitest';
import { createTestKey, signTestToken, TEST_ISSUER } from '../support/test-keys.ts';
import { createTestService, type TestService } from '../support/test-service.ts';

const lastLine = (service: TestService) =>
  service.logger.lines.findLast(({ message }) => message === 'request')?.fields;

describe('several issuers', () => {
  /** After the recipes of the documentation. Each has its own keys, found through its OpenID configuration. */
  const RECIPES = {
    keycloak: {
      issuer: 'https://login.example.test/realms/company',
      audiences: ['imagecaches'],
    },
    auth0: { issuer: 'https://login.example.test/auth0/', audiences: ['https://imagecaches.example.com'] },
    entra: {
      issuer: 'https://login.example.test/tenant/v2.0',
      audiences: ['api://imagecaches'],
      requiredScopes: ['imagecaches.read'],
      scopeClaims: ['scp', 'roles'],
    },
    kubernetes: {
      issuer: 'https://login.example.test/cluster',
      audiences: ['imagecaches'],
      requiredScopes: [],
      allowedSubjects: ['system:serviceaccount:shop:web', 'system:serviceaccount:jobs:*'],
    },
  };

  async function setUp() {
    const keys = new Map<string, Awaited<ReturnType<typeof createTestKey>>>();
    for (const [name, { issuer }] of Object.entries(RECIPES))
      keys.set(issuer, await createTestKey('ES256', `${name}-key`));
    const service = await createTestService({
      AUTH_ISSUER: undefined,
      AUTH_AUDIENCE: undefined,
      AUTH_JWKS_URL: undefined,
      AUTH_ISSUERS: JSON.stringify({ issuers: Object.values(RECIPES) }),
    });
    service.issuer = (url) => {
      const ofIssuer = [...keys].find(([issuer]) => url.startsWith(issuer.replace(/\/$/, '')));
      if (ofIssuer === undefined) return new Response(null, { status: 404 });
      const [issuer, key] = ofIssuer;
      const base = issuer.replace(/\/$/, '');
      if (url === `${base}/.well-known/openid-configuration`)
        return Response.json({ issuer, jwks_uri: `${base}/keys` });
      return url === `${base}/keys`
        ? Response.json({ keys: [key.publicJwk] })
        : new Response(null, { status: 404 });
    };
    const ask = async (recipe: keyof typeof RECIPES, claims: Record<string, unknown>, signer = recipe) => {
      const { issuer, audiences } = RECIPES[recipe];
      const key = keys.get(RECIPES[signer].issuer);
      if (key === undefined) throw new Error('no key');
      const all = { iss: issuer, aud: audiences[0], scope: undefined, ...claims };
      const token = await signTestToken(key, service.clock.now(), all);
      return service.app.request('/imagecaches', { headers: { authorization: `Bearer ${token}` } });
    };
    return { ask, service };
  }

  it.each([
    ['keycloak', { scope: 'openid imagecaches:read' }, 200],
    ['keycloak', { scope: 'openid' }, 403],
    ['auth0', { scope: 'imagecaches:read', aud: ['https://imagecaches.example.com', 'other'] }, 200],
    ['entra', { scp: 'imagecaches.read User.Read' }, 200],
    ['entra', { roles: ['imagecaches.read'] }, 200],
    ['entra', { scope: 'imagecaches.read' }, 403],
    ['kubernetes', { sub: 'system:serviceaccount:shop:web', aud: ['imagecaches'] }, 200],
    ['kubernetes', { sub: 'system:serviceaccount:jobs:nightly' }, 200],
    ['kubernetes', { sub: 'system:serviceaccount:shop:web2' }, 403],
    ['kubernetes', { sub: 'system:serviceaccount:shop', scope: 'imagecaches:read' }, 403],
    ['kubernetes', { sub: undefined }, 403],
    ['kubernetes', { sub: 'system:serviceaccount:shop:web', aud: 'https://imagecaches.example.com' }, 401],
  ] as const)('%s with %j: %i', async (recipe, claims, status) => {
    const { ask, service } = await setUp();
    const response = await ask(recipe, claims);
    expect(response.status).toBe(status);
    expect(lastLine(service)).toMatchObject({
      access: status === 200 ? 'granted' : 'refused',
      ...(status === 401 ? {} : { issuer: RECIPES[recipe].issuer }),
    });
  });

  it("never take each other's keys, audiences, scopes or subjects", async () => {
    const { ask } = await setUp();
    const names = Object.keys(RECIPES) as (keyof typeof RECIPES)[];
    const claims = { scope: 'imagecaches:read imagecaches.read', sub: 'system:serviceaccount:shop:web' };
    for (const recipe of names) {
      for (const signer of names) {
        if (signer === recipe) continue;
        expect((await ask(recipe, { ...claims, scp: 'imagecaches.read' }, signer)).status).toBe(401);
      }
    }
  });

  it('do not stand and fall together: one whose keys cannot be had leaves the others alone', async () => {
    const { ask, service } = await setUp();
    const { issuer } = service;
    service.issuer = (url) => (url.includes('/realms/') ? new Response(null, { status: 500 }) : issuer(url));
    expect((await ask('keycloak', { scope: 'imagecaches:read' })).status).toBe(503);
    expect((await ask('auth0', { scope: 'imagecaches:read' })).status).toBe(200);
  });

  it('one of them down at the start: ready, with its name; then its keys are asked for by each probe', async () => {
    const { ask, service } = await setUp();
    const { issuer } = service;
    const { issuer: down } = RECIPES.keycloak;
    const probe = async () => {
      const response = await service.app.request('/readyz');
      await Promise.all(service.background);
      return { status: response.status, body: await response.json() };
    };
    service.issuer = (url) =>
      url.includes('/realms/') ? new Response('planted', { status: 500 }) : issuer(url);
    await service.app.warm();
    for (let count = 0; count < 3; count += 1)
      expect(await probe()).toEqual({ status: 200, body: { status: 'ready', degraded: [down] } });
    const denied = await ask('keycloak', { scope: 'imagecaches:read' });
    expect(denied.status).toBe(503);
    expect(denied.headers.get('retry-after')).toBe('1');
    expect(await denied.json()).toMatchObject({ code: 'keys_unavailable' });
    expect((await ask('auth0', { scope: 'imagecaches:read' })).status).toBe(200);
    // Nothing asks an issuer more often than its pause lets it, however many probes there are.
    const before = service.keyCalls.length;
    service.issuer = issuer;
    await probe();
    expect(service.keyCalls).toHaveLength(before);
    await service.clock.advance(1000);
    await probe();
    expect(await probe()).toEqual({ status: 200, body: { status: 'ready' } });
    expect((await ask('keycloak', { scope: 'imagecaches:read' })).status).toBe(200);
  });

  it('all of them down at the start: unready', async () => {
    const { service } = await setUp();
    service.issuer = () => new Response(null, { status: 500 });
    await service.app.warm();
    const response = await service.app.request('/readyz');
    expect(response.status).toBe(503);
    expect(await response.json()).toEqual({ status: 'unready', failing: ['keys'] });
  });
});

describe('limits', () => {
  it('refuse a principal past its rate, whatever token it shows, and tell when to come again', async () => {
    const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '3' });
    const ask = async (sub: string, more = {}) =>
      service.get('/imagecaches', {
        headers: { authorization: `Bearer ${await service.token({ sub, ...more })}` },
      });
    for (let count = 0; count < 3; count += 1)
      expect((await ask('a', { jti: String(count) })).status).toBe(200);
    const refused = await ask('a', { jti: 'another' });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({
      code: 'rate_limited',
      detail: 'more than 3 requests a minute',
    });
    expect(Object.fromEntries(refused.headers)).toMatchObject({
      'retry-after': '20',
      ratelimit: '"principal";r=0;t=20',
      'ratelimit-policy': '"principal";q=3;w=60',
    });
    expect(lastLine(service)).toMatchObject({ access: 'refused', reason: 'principal_limit', subject: 'a' });
    expect((await ask('b')).status).toBe(200);
    await service.clock.advance(19_999);
    expect((await ask('a')).status).toBe(429);
    await service.clock.advance(1);
    expect((await ask('a')).status).toBe(200);
  });

  it('count a principal once for both paths, and probes not at all; 0 turns them off', async () => {
    const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '1' });
    expect((await service.get('/imagecaches')).status).toBe(200);
    const refused = await service.get('/v5/imagecaches');
    expect([refused.status, await refused.json()]).toMatchObject([429, { error_code: 'APIGW.0308' }]);
    expect((await service.get('/readyz')).status).toBe(200);
    const unlimited = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' });
    for (let count = 0; count < 700; count += 1)
      expect((await unlimited.get('/imagecaches')).status).toBe(200);
  });

  it('refuse an address after too many failed attempts, but no token that was verified lately', async () => {
    let address: string | undefined = '198.51.100.1';
    const service = await createTestService(
      { TRUSTED_PROXIES: 'none', AUTH_FAILURES_PER_MINUTE: '3' },
      { clientAddress: () => address },
    );
    const good = `Bearer ${await service.token()}`;
    const ask = async (authorization?: string) =>
      (await service.app.request('/imagecaches', authorization ? { headers: { authorization } } : {})).status;
    expect(await ask(good)).toBe(200);
    expect([await ask(), await ask('Bearer a.b.c'), await ask('Basic abc')]).toEqual([401, 401, 401]);
    const another = `Bearer ${await service.token({ jti: 'another' })}`;
    expect([await ask(), await ask('Bearer a.b.c'), await ask(another), await ask(good)]).toEqual([
      429, 429, 429, 200,
    ]);
    expect(lastLine(service)).toMatchObject({ access: 'granted' });
    address = '198.51.100.2';
    expect([await ask(another), await ask()]).toEqual([200, 401]);
    address = '198.51.100.1';
    await service.clock.advance(20_000);
    expect([await ask(), await ask()]).toEqual([401, 429]);
  });

  it('counts all addresses of an IPv6 network together', async () => {
    let host = 0;
    const service = await createTestService(
      { TRUSTED_PROXIES: 'none', AUTH_FAILURES_PER_MINUTE: '3' },
      {
        clientAddress: () => {
          host += 1;
          return `2001:db8:1:2::${host.toString(16)}`;
        },
      },
    );
    const statuses = [];
    for (let count = 0; count < 4; count += 1)
      statuses.push((await service.app.request('/imagecaches')).status);
    expect(statuses).toEqual([401, 401, 401, 429]);
  });
});

describe('CORS', () => {
  const ORIGIN = 'https://console.example.com';
  const preflight = (service: TestService, origin: string, path = '/imagecaches') =>
    service.app.request(path, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization',
      },
    });

  it('is answered to the configured origins only', async () => {
    const service = await createTestService({ CORS_ORIGINS: `https://other.example.com,${ORIGIN}` });
    const allowed = await preflight(service, ORIGIN);
    expect(allowed.status).toBe(204);
    expect(Object.fromEntries(allowed.headers)).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET,HEAD',
      'access-control-allow-headers': expect.stringContaining('authorization'),
      'access-control-max-age': '600',
    });
    for (const origin of ['https://console.example.com.evil.test', 'http://console.example.com', 'null']) {
      const refused = await preflight(service, origin);
      expect(refused.headers.has('access-control-allow-origin'), origin).toBe(false);
    }
  });

  it('is on good answers, on 304 and on problems, beside the other Vary', async () => {
    const service = await createTestService({ CORS_ORIGINS: ORIGIN });
    const good = await service.get('/imagecaches', { headers: { origin: ORIGIN } });
    const etag = good.headers.get('etag') as string;
    const notModified = await service.get('/imagecaches', {
      headers: { origin: ORIGIN, 'if-none-match': etag },
    });
    const bad = await service.get('/imagecaches?x=1', { headers: { origin: ORIGIN } });
    const denied = await service.app.request('/imagecaches', { headers: { origin: ORIGIN } });
    expect([good, notModified, bad, denied].map(({ status }) => status)).toEqual([200, 304, 400, 401]);
    for (const response of [good, notModified, bad, denied]) {
      expect(response.headers.get('access-control-allow-origin')).toBe(ORIGIN);
      expect(response.headers.get('access-control-expose-headers')).toContain('etag');
      expect(response.headers.has('access-control-allow-credentials')).toBe(false);
    }
    expect(good.headers.get('vary')?.split(/,\s*/).sort()).toEqual(['Authorization', 'Origin']);
    expect(good.headers.get('cache-control')).toContain('private');
    expect(await good.json()).toHaveProperty('image_caches');
  });

  it('is not there when no origin is configured', async () => {
    const service = await createTestService();
    expect((await preflight(service, ORIGIN)).status).toBe(405);
    const response = await service.get('/imagecaches', { headers: { origin: ORIGIN } });
    expect(response.headers.has('access-control-allow-origin')).toBe(false);
  });
});

describe('security headers', () => {
  it('are on every answer, and whatever needed a token is private or not stored at all', async () => {
    const key = { accessKeyId: 'LK000001', secretAccessKey: 'x'.repeat(32), subject: 'a' };
    const service = await createTestService({ SDK_KEYS: JSON.stringify({ keys: [key] }) });
    const etag = (await service.get('/imagecaches')).headers.get('etag') as string;
    const answers = [
      await service.get('/imagecaches'),
      await service.get('/imagecaches', { headers: { 'if-none-match': etag } }),
      await service.get('/imagecaches?x=1'),
      await service.app.request('/imagecaches'),
      await service.get('/v5/imagecaches'),
      await service.app.request('/v5/imagecaches'),
      await service.get('/v3/projects?name=cn-north-4'),
      await service.app.request('/livez'),
      await service.app.request('/readyz'),
      await service.app.request('/nowhere'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 304, 400, 401, 200, 401, 200, 200, 200, 404]);
    for (const { headers } of answers) {
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toBe("default-src 'none'; frame-ancestors 'none'");
      expect(headers.get('referrer-policy')).toBe('no-referrer');
      expect(headers.get('cache-control')).toMatch(/^private|^no-store$/);
    }
  });
});

describe('the audit', () => {
  it('says for each decision who, what and whether, and never the token', async () => {
    const service = await createTestService();
    const token = await service.token();
    await service.get('/imagecaches?name=web-base', { headers: { authorization: `Bearer ${token}` } });
    expect(lastLine(service)).toMatchObject({
      access: 'granted',
      subject: 'service-a',
      issuer: TEST_ISSUER,
      name: 'web-base',
      route: '/imagecaches',
    });
    await service.get('/imagecaches?name=BAD-planted', { headers: { authorization: `Bearer ${token}` } });
    expect(lastLine(service)).toMatchObject({ access: 'granted', code: 'invalid_query' });
    await service.get('/imagecaches', { headers: { authorization: `Bearer ${token}x` } });
    expect(lastLine(service)).toMatchObject({ access: 'refused', code: 'unauthenticated' });
    await service.app.request('/livez');
    expect(lastLine(service)?.access).toBeUndefined();
    const all = JSON.stringify(service.logger.lines);
    for (const part of [...token.split('.'), 'BAD-planted']) expect(all).not.toContain(part);
  });
});
