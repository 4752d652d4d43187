import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { makeImageCaches, type VendorImageCache } from './image-cache-data.ts';
import { DEFAULT_PROJECT, type Simulator, startSimulator } from './simulator.ts';
import { send, sendSigned, signHeaders } from './wire-client.ts';

let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator();
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

async function listed(query: Record<string, string> = {}): Promise<VendorImageCache[]> {
  const answer = await sendSigned(simulator, { query });
  expect(answer.status).toBe(200);
  return (answer.json() as { image_caches: VendorImageCache[] }).image_caches;
}

describe('the invented image caches', () => {
  const all = makeImageCaches();

  test('are fifty, the same each time, with unique valid names and ids', () => {
    expect(all).toHaveLength(50);
    expect(makeImageCaches()).toEqual(all);
    expect(makeImageCaches(50, 1)).not.toEqual(all);
    expect(new Set(all.map(({ name }) => name)).size).toBe(50);
    expect(new Set(all.map(({ id }) => id)).size).toBe(50);
    for (const { name, id, image_cache_size: size } of all) {
      expect(name).toMatch(/^[a-z]([a-z0-9-]{0,126}[a-z0-9])?$/);
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(Number.isInteger(size) && size >= 20 && size <= 400).toBe(true);
    }
  });

  test('cover every status, with a message on the failed ones alone', () => {
    expect(new Set(all.map(({ status }) => status))).toEqual(
      new Set(['Available', 'Unavailable', 'Creating', 'Deleting', 'Failed']),
    );
    for (const { status, message } of all) expect(message !== undefined).toBe(status === 'Failed');
  });

  test('cover the forms of created_at and retention_days', () => {
    const form = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.(\d{0,8}[1-9]))? ([+-]\d{4}) \S+( m=\+\d+\.\d{9})?$/;
    const forms = all.map(({ created_at: text }) => form.exec(text));
    expect(forms).not.toContain(null);
    expect(new Set(forms.map((match) => match?.[1]?.length ?? 0)).size).toBe(10);
    expect(new Set(forms.map((match) => match?.[2])).size).toBeGreaterThan(2);
    expect(forms.some((match) => match?.[3] !== undefined)).toBe(true);
    const retention = new Set(all.map(({ retention_days: days }) => days));
    expect(retention).toContain(0);
    expect(retention).toContain(undefined);
    expect(retention).toContain(10_000);
  });
});

describe('GET /v5/imagecaches', () => {
  test('answers all, or those of exactly one name', async () => {
    expect(await listed()).toEqual(makeImageCaches());
    expect((await listed({ name: 'search-worker-02' })).map(({ name }) => name)).toEqual([
      'search-worker-02',
    ]);
    expect(await listed({ name: 'search-worker' })).toEqual([]);
  });

  test.each(['', 'Upper', '1a', 'a-', 'a_b', 'a*', 'a'.repeat(129)])(
    'refuses the name "%s"',
    async (name) => {
      const answer = await sendSigned(simulator, { query: { name } });
      expect(answer.status).toBe(400);
      expect(answer.json()).toEqual({ errorCode: 'CCE.01400001', errorMessage: expect.any(String) });
    },
  );

  test('takes a name of 128 characters', async () => {
    expect(await listed({ name: 'a'.repeat(128) })).toEqual([]);
  });

  test('serves replaced data as it is, then the first again', async () => {
    simulator.setImageCaches([{ name: 'a', extra: 1 }, null, { name: 'b' }]);
    expect(await listed()).toEqual([{ name: 'a', extra: 1 }, null, { name: 'b' }]);
    expect(await listed({ name: 'b' })).toEqual([{ name: 'b' }]);
    simulator.setImageCaches(undefined);
    expect(await listed()).toHaveLength(50);
  });

  test('refuses another project, takes its own or none', async () => {
    const statusFor = async (id: string) =>
      (await sendSigned(simulator, { headers: { 'X-Project-Id': id } })).status;
    expect(await statusFor(DEFAULT_PROJECT.id)).toBe(200);
    const refused = await sendSigned(simulator, { headers: { 'X-Project-Id': 'f'.repeat(32) } });
    expect(refused.status).toBe(403);
    expect(refused.json()).toMatchObject({ error_code: 'APIGW.0302' });
    simulator.setProjects([]);
    expect(await statusFor('f'.repeat(32))).toBe(200);
  });

  test('carries the headers of a gateway, each request its own id', async () => {
    const first = await sendSigned(simulator);
    const second = await sendSigned(simulator);
    expect(first.headers).toMatchObject({
      server: 'api-gateway',
      'x-internal-cluster': expect.any(String),
      'content-type': 'application/json;charset=UTF-8',
      'content-length': String(first.body.length),
    });
    expect(new Date(first.headers.date ?? '').getTime()).toBeGreaterThan(simulator.now() - 60_000);
    expect(first.headers['x-request-id']).not.toBe(second.headers['x-request-id']);
  });
});

describe('GET /v3/projects', () => {
  test('finds projects by exact name', async () => {
    simulator.setProjects([
      { id: 'p1', name: 'cn-north-4' },
      { id: 'p2', name: 'cn-north-4' },
      { id: 'p3', name: 'cn-north-4_sub' },
    ]);
    const ids = async (name: string) => {
      const answer = await sendSigned(simulator, { path: '/v3/projects', query: { name } });
      return (answer.json() as { projects: { id: string; name: string }[] }).projects.map(({ id }) => id);
    };
    expect(await ids('cn-north-4')).toEqual(['p1', 'p2']);
    expect(await ids('cn-east-3')).toEqual([]);
    simulator.setProjects(undefined);
    expect(await ids('cn-north-4')).toEqual([DEFAULT_PROJECT.id]);
  });
});

interface SecurityKey {
  credential: { access: string; secret: string; securitytoken: string; expires_at: string };
}

describe('the metadata service', () => {
  const newToken = (seconds = '21600') =>
    send(simulator, '/meta-data/latest/api/token', {
      method: 'PUT',
      headers: { 'X-Metadata-Token-Ttl-Seconds': seconds },
    });
  const securityKey = (token?: string) =>
    send(simulator, '/openstack/latest/securitykey', {
      ...(token === undefined ? {} : { headers: { 'X-Metadata-Token': token } }),
    });

  test('issues a session token and a key pair that the gateway takes', async () => {
    const { status, text: token } = await newToken();
    expect(status).toBe(200);
    const answer = await securityKey(token);
    const { credential } = answer.json() as SecurityKey;
    expect(credential.expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}000Z$/);
    const accessKey = {
      accessKeyId: credential.access,
      secretAccessKey: credential.secret,
      securityToken: credential.securitytoken,
    };
    expect((await sendSigned(simulator, { accessKey })).status).toBe(200);
    const { credential: next } = (await securityKey(token)).json() as SecurityKey;
    expect(next.access).not.toBe(credential.access);
  });

  test('wants the token, also a fresh one after all were invalidated or it ran out', async () => {
    expect((await securityKey()).status).toBe(401);
    expect((await securityKey('invented')).status).toBe(401);
    const { text: first } = await newToken();
    simulator.invalidateSessionTokens();
    expect((await securityKey(first)).status).toBe(401);
    const { text: second } = await newToken('60');
    expect((await securityKey(second)).status).toBe(200);
    simulator.setClockSkewMs(61_000);
    expect((await securityKey(second)).status).toBe(401);
  });

  test.each(['0', '21601', 'abc', ''])('refuses the lifetime "%s"', async (seconds) => {
    expect((await newToken(seconds)).status).toBe(400);
  });

  test.each([404, 405, 503] as const)(
    'the tokenless service answers %i and hands out keys anyway',
    async (status) => {
      simulator.setMetadata({ sessionTokens: status, lifetimeSeconds: 900, expiryFractionDigits: 0 });
      expect((await newToken()).status).toBe(status);
      const { credential } = (await securityKey()).json() as SecurityKey;
      expect(credential.expires_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      const leftMs = Date.parse(credential.expires_at) - simulator.now();
      expect(leftMs).toBeGreaterThan(890_000);
      expect(leftMs).toBeLessThanOrEqual(900_000);
    },
  );
});

describe('the pod identity endpoint', () => {
  const ask = (path: string, authorization: string, body = '{}') =>
    send(simulator, path, { method: 'POST', headers: { authorization }, body });

  test('gives a key pair that the gateway takes, for its token alone', async () => {
    const answer = await ask('/v1/credentials', 'simulator-pod-identity-token');
    const { credentials } = answer.json() as {
      credentials: {
        accessKeyId: string;
        secretAccessKey: string;
        securityToken: string;
        expiration: string;
      };
    };
    expect(credentials.expiration).toMatch(/\.\d{3}000Z$/);
    expect((await sendSigned(simulator, { accessKey: credentials })).status).toBe(200);
    expect((await ask('/v1/credentials', 'another')).status).toBe(401);
    expect((await ask('/v1/credentials', 'simulator-pod-identity-token', '{"a":1}')).status).toBe(400);
  });

  test('its path, token and lifetime can be set', async () => {
    simulator.setPodIdentity({ path: '/pod', token: 'rotated', lifetimeSeconds: 900 });
    expect((await ask('/pod', 'rotated')).status).toBe(200);
    expect((await ask('/v1/credentials', 'rotated')).status).toBe(404);
  });
});

test('a token of IAM takes the place of a signature, and stands beside none', async () => {
  const ask = (token: string, more: Record<string, string> = {}, path = '/v5/imagecaches') =>
    send(simulator, path, { headers: { 'x-auth-token': token, ...more } });
  expect((await ask('token')).status).toBe(401);
  simulator.authTokens.add('token');
  expect((await ask('token')).status).toBe(200);
  expect((await ask('token', {}, '/v3/projects')).status).toBe(200);
  expect((await ask('token', { authorization: 'SDK-HMAC-SHA256 Access=a' })).status).toBe(401);
  simulator.authTokens.remove('token');
  expect((await ask('token')).status).toBe(401);
});

describe('STS', () => {
  const PATH = '/v5/agencies/assume-with-oidc';
  const GOOD = {
    provider_urn: 'iam::0000000000000000000000000000d001:oidcProvider:cluster',
    agency_urn: 'iam::0000000000000000000000000000d001:agency:imagecaches',
    agency_session_name: 'session',
    id_token: 'simulator-oidc-token',
    duration_seconds: 900,
  };
  const ask = (body: unknown, headers: Record<string, string> = {}) =>
    send(simulator, PATH, {
      method: 'POST',
      headers: { 'content-type': 'application/json;charset=UTF-8', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });

  test('gives a key pair for a token that lives as long as was asked for', async () => {
    const { credentials } = (await ask(GOOD)).json() as { credentials: Record<string, string> };
    const { access_key_id, secret_access_key, security_token, expiration } = credentials;
    const leftMs = Date.parse(expiration as string) - simulator.now();
    expect(leftMs).toBeGreaterThan(890_000);
    expect(leftMs).toBeLessThanOrEqual(900_000);
    const accessKey = {
      accessKeyId: access_key_id as string,
      secretAccessKey: secret_access_key as string,
      securityToken: security_token as string,
    };
    expect((await sendSigned(simulator, { accessKey })).status).toBe(200);
    expect((await ask({ ...GOOD, policy: '{}', policy_ids: ['a'], duration_seconds: 43_200 })).status).toBe(
      200,
    );
  });

  test.each<[unknown, number]>([
    ['{', 400],
    ['null', 400],
    [[], 400],
    ...Object.keys(GOOD).map((name): [unknown, number] => [{ ...GOOD, [name]: undefined }, 400]),
    [{ ...GOOD, another: 1 }, 400],
    [{ ...GOOD, agency_session_name: 'a b' }, 400],
    [{ ...GOOD, duration_seconds: 899 }, 400],
    [{ ...GOOD, duration_seconds: 43_201 }, 400],
    [{ ...GOOD, duration_seconds: '900' }, 400],
    [{ ...GOOD, policy: {} }, 400],
    [{ ...GOOD, policy_ids: 'a' }, 400],
    [{ ...GOOD, provider_urn: 'another' }, 404],
    [{ ...GOOD, agency_urn: 'another' }, 403],
    [{ ...GOOD, id_token: 'another' }, 401],
  ])('judges each member: %j is %i', async (body, status) => {
    expect((await ask(body)).status).toBe(status);
  });

  test.each<[Record<string, unknown>, number]>([
    [{}, 401],
    [{ signed: true }, 200],
    [{ signed: true, duration_seconds: 3601 }, 400],
    [{ signed: true, another: 1 }, 400],
    [{ signed: true, agency_session_name: '' }, 400],
    [{ signed: true, agency_urn: 'another' }, 403],
  ])('gives a key pair of an agency for a signature: %j is %i', async ({ signed, ...change }, status) => {
    const data = {
      agency_urn: 'iam::0000000000000000000000000000d002:agency:readers',
      agency_session_name: 'session',
      duration_seconds: 900,
      ...change,
    };
    const path = '/v5/agencies/assume';
    const type = { 'content-type': 'application/json' };
    const headers =
      signed === true ? signHeaders(simulator, { method: 'POST', path, data, headers: type }) : type;
    const answer = await send(simulator, path, { method: 'POST', headers, body: JSON.stringify(data) });
    expect(answer.status).toBe(status);
  });

  test.each([
    { 'content-type': 'text/plain' },
    { authorization: 'SDK-HMAC-SHA256 Access=a' },
    { 'x-security-token': 'a' },
    { 'x-project-id': 'a' },
  ])('judges the headers: %j', async (headers) => {
    expect((await ask(GOOD, headers as never)).status).toBe(400);
  });
});

test('anything else is not found, in the shape of the gateway', async () => {
  for (const [method, target] of [
    ['GET', '/'],
    ['GET', '/v5/imagecaches/'],
    ['POST', '/v5/imagecaches'],
    ['DELETE', '/v5/imagecaches'],
    ['GET', '/v3/auth/tokens'],
  ] as const) {
    const answer = await send(simulator, target, { method });
    expect(answer.status).toBe(404);
    expect(answer.json()).toMatchObject({ error_code: 'APIGW.0101', request_id: expect.any(String) });
  }
});
