import * as oauth from 'oauth4webapi';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { signRequest } from '../../src/signing/sign-request.ts';
import { createTestKey, signTestToken, TEST_ISSUER } from '../support/test-keys.ts';
import { createTestService, TEST_ENVIRONMENT, type TestService } from '../support/test-service.ts';

const PUBLIC_URL = 'https://imagecaches.example.com';
const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const METADATA = `resource_metadata="${PUBLIC_URL}${WELL_KNOWN}"`;
const NO_TOKEN = 'Bearer realm="imagecaches"';
const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
const SDK_KEYS = JSON.stringify({ keys: [{ ...KEY, subject: 'billing' }] });

const challengeOf = async (service: TestService, path: string, headers: Record<string, string> = {}) => {
  const response = await service.app.request(path, { headers });
  expect(response.status).toBe(401);
  return response.headers.get('www-authenticate');
};

async function documentOf(service: TestService, path = WELL_KNOWN): Promise<unknown> {
  const response = await service.app.request(path);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('application/json');
  return response.json();
}

describe('the document of the protected resource', () => {
  it('names the service, its issuers and its scopes, to anyone, for 5 minutes', async () => {
    const service = await createTestService({ PUBLIC_URL });
    expect(await documentOf(service)).toEqual({
      resource: PUBLIC_URL,
      resource_name: 'imagecaches-bff',
      authorization_servers: [TEST_ISSUER],
      scopes_supported: ['imagecaches:read', 'imagecaches:refresh'],
      bearer_methods_supported: ['header'],
    });
    const response = await service.app.request(WELL_KNOWN);
    expect(response.headers.get('cache-control')).toBe('public, max-age=300');
    const head = await service.app.request(WELL_KNOWN, { method: 'HEAD' });
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([
      200,
      response.headers.get('content-length'),
      '',
    ]);
    const posted = await service.app.request(WELL_KNOWN, { method: 'POST' });
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });

  it('has all issuers, each scope once, and no member without a value', async () => {
    const issuers = [
      { issuer: 'https://a.example/', audiences: ['x'], requiredScopes: ['a.read', 'imagecaches:read'] },
      { issuer: 'https://b.example', audiences: ['x'], requiredScopes: [], allowedSubjects: ['a*'] },
    ];
    const several = await createTestService({ PUBLIC_URL, AUTH_ISSUERS: JSON.stringify({ issuers }) });
    expect(await documentOf(several)).toMatchObject({
      authorization_servers: [TEST_ISSUER, 'https://a.example/', 'https://b.example'],
      scopes_supported: ['imagecaches:read', 'a.read', 'imagecaches:refresh'],
    });
    const noAuth = { AUTH_ISSUER: undefined, AUTH_AUDIENCE: undefined, AUTH_JWKS_URL: undefined };
    const none = await createTestService({ PUBLIC_URL, SDK_KEYS, ...noAuth });
    expect(Object.keys((await documentOf(none)) as object)).not.toContain('authorization_servers');
  });

  it.each([
    ['https://gateway.example.com/team/images', '/team/images'],
    ['https://gateway.example.com/team/images/', '/team/images'],
    ['https://gateway.example.com:8443/imagecaches', '/imagecaches'],
    ['https://GATEWAY.example.com/', ''],
  ])('of a service at %s is where RFC 9728 looks for it', async (publicUrl, suffix) => {
    const service = await createTestService({ PUBLIC_URL: publicUrl });
    const { origin } = new URL(publicUrl);
    expect(await challengeOf(service, '/imagecaches')).toBe(
      `${NO_TOKEN}, resource_metadata="${origin}${WELL_KNOWN}${suffix}"`,
    );
    for (const path of [WELL_KNOWN, WELL_KNOWN + suffix])
      expect(await documentOf(service, path)).toMatchObject({ resource: origin + suffix });
    expect((await service.app.request(`${WELL_KNOWN}/other`)).status).toBe(404);
  });

  it.each([
    'https://a"b.example.com',
    "https://a'b.example.com",
    'https://*.example.com',
    'https://a$(id).example.com',
  ])('is not of %s: a URL has such hosts, and a challenge has no room for them', async (publicUrl) => {
    await expect(createTestService({ PUBLIC_URL: publicUrl })).rejects.toThrow(
      'PUBLIC_URL: must be an https URL',
    );
  });

  it.each([
    ['https://[2001:DB8::1]:443', 'https://[2001:db8::1]'],
    ['https://a_b.example.com', 'https://a_b.example.com'],
    ['https://büro.example.com', 'https://xn--bro-hoa.example.com'],
  ])('of %s names the resource %s', async (publicUrl, resource) => {
    const service = await createTestService({ PUBLIC_URL: publicUrl });
    expect(await documentOf(service, WELL_KNOWN)).toMatchObject({ resource });
  });

  it('leads oauth4webapi from a bare 401 to the issuer', async () => {
    for (const publicUrl of [PUBLIC_URL, `${PUBLIC_URL}/`, `${PUBLIC_URL}/imagecaches`]) {
      const service = await createTestService({ PUBLIC_URL: publicUrl });
      service.issuer = () => Response.json({ issuer: TEST_ISSUER, token_endpoint: `${TEST_ISSUER}/token` });
      // What stands between the client and the service; the client's request has no token.
      const send = { [oauth.customFetch]: async (url: string) => service.app.request(url) };
      const asked = oauth.protectedResourceRequest(
        'none',
        'GET',
        new URL('/imagecaches', publicUrl),
        undefined,
        null,
        send,
      );
      const error: oauth.WWWAuthenticateChallengeError = await asked.then(
        () => expect.unreachable(),
        (thrown) => thrown,
      );
      expect(error).toBeInstanceOf(oauth.WWWAuthenticateChallengeError);
      expect(error.cause).toHaveLength(1);
      const { resource_metadata: location, ...others } = error.cause[0]?.parameters ?? {};
      expect(others).toEqual({ realm: 'imagecaches' });

      const resource = new URL(publicUrl);
      const response = await service.app.request(location as string);
      const metadata = await oauth.processResourceDiscoveryResponse(resource, response);
      // The client finds it by the URL of the service as well.
      const found = await oauth.resourceDiscoveryRequest(resource, send);
      expect(await oauth.processResourceDiscoveryResponse(resource, found)).toEqual(metadata);

      const issuer = new URL(metadata.authorization_servers?.[0] as string);
      const atIssuer = { [oauth.customFetch]: async (url: string) => service.issuer(url) };
      const server = await oauth.processDiscoveryResponse(
        issuer,
        await oauth.discoveryRequest(issuer, atIssuer),
      );
      expect(server.token_endpoint).toBe(`${TEST_ISSUER}/token`);
    }
  });

  it('is not there without PUBLIC_URL, nor is its place in any challenge', async () => {
    const service = await createTestService({ SDK_KEYS });
    expect((await service.app.request(WELL_KNOWN)).status).toBe(404);
    expect(await challengeOf(service, '/imagecaches')).toBe(NO_TOKEN);
    expect(await challengeOf(service, '/v5/imagecaches', { 'x-auth-token': 'x' })).not.toContain('metadata');
    expect(await challengeOf(service, '/v5/imagecaches', { authorization: 'SDK-HMAC-SHA256 x' })).toBe(
      'SDK-HMAC-SHA256',
    );
  });
});

describe('the place of the document is in each 401', () => {
  const create = (more = {}) => createTestService({ PUBLIC_URL, SDK_KEYS, ...more });
  const invalid = (fault: string) =>
    `${NO_TOKEN}, error="invalid_token", error_description="the token is ${fault}", ${METADATA}`;

  it.each(['/imagecaches', '/v5/imagecaches', '/v3/projects?name=cn-north-4'])('of %s', async (path) => {
    const service = await create();
    const seconds = Math.floor(service.clock.now() / 1000);
    expect(await challengeOf(service, path)).toBe(`${NO_TOKEN}, ${METADATA}`);
    expect(await challengeOf(service, path, { authorization: '' })).toBe(`${NO_TOKEN}, ${METADATA}`);
    const expired = await service.token({ exp: seconds - 31 });
    expect(await challengeOf(service, path, { authorization: `Bearer ${expired}` })).toBe(invalid('expired'));
    expect(await challengeOf(service, path, { authorization: 'Basic x' })).toBe(invalid('malformed'));
    expect(await challengeOf(service, path, { authorization: `Bearer MII${'x'.repeat(99)}` })).toBe(
      invalid('malformed'),
    );
  });

  it('of signed requests, also of one that another address has used up', async () => {
    let address = '192.0.2.1';
    const service = await createTestService(
      { PUBLIC_URL, SDK_KEYS, SDK_REPLAY_PROTECTION: 'on', TRUSTED_PROXIES: 'none' },
      { clientAddress: () => address },
    );
    const url = new URL('/v5/imagecaches', PUBLIC_URL);
    const signed = await signRequest({ method: 'GET', url, headers: {} }, KEY, {
      nowMs: service.clock.now(),
    });
    const headers = { host: url.host, ...signed.headers };
    expect((await service.app.request(url.href, { headers })).status).toBe(200);
    address = '192.0.2.2';
    expect(await challengeOf(service, url.href, headers)).toBe(`SDK-HMAC-SHA256 ${METADATA}`);
    const bad = { ...headers, authorization: 'SDK-HMAC-SHA256 x' };
    expect(await challengeOf(service, url.href, bad)).toBe(`SDK-HMAC-SHA256 ${METADATA}`);
  });

  it('once, for each of those who bring the same token at the same time', async () => {
    const service = await create();
    await service.app.warm();
    const token = await signTestToken(await createTestKey('RS256', 'kid-RS256'), service.clock.now());
    const challenges = await Promise.all(
      Array.from({ length: 5 }, () =>
        challengeOf(service, '/imagecaches', { authorization: `Bearer ${token}` }),
      ),
    );
    expect(new Set(challenges)).toEqual(new Set([invalid('signed with an unknown key')]));
  });

  it('and in no other answer; the log and the body are as without it', async () => {
    const service = await create();
    const headers = { authorization: `Bearer ${await service.token({ scope: 'other' })}` };
    const forbidden = await service.app.request('/imagecaches', { headers });
    expect([forbidden.status, forbidden.headers.get('www-authenticate')]).toEqual([
      403,
      `${NO_TOKEN}, error="insufficient_scope", scope="imagecaches:read"`,
    ]);
    const init = { headers: { authorization: 'Bearer x', 'x-request-id': 'same' } };
    const without = await createTestService({ SDK_KEYS });
    const bodies = [service, without].map(async (one) =>
      (await one.app.request('/imagecaches', init)).text(),
    );
    expect(await bodies[0]).toBe(await bodies[1]);
    const [line, lineWithout] = [service, without].map(({ logger }) => logger.lines.at(-1));
    expect(line).toEqual(lineWithout);
    expect(line?.fields).toMatchObject({ reason: 'not_a_compact_jws', code: 'unauthenticated' });
  });
});

describe('PUBLIC_URL', () => {
  it.each([
    'http://imagecaches.example.com',
    'http://localhost:8080',
    'https://imagecaches.example.com/?a=b',
    'https://imagecaches.example.com/#a',
    'https://user@imagecaches.example.com',
    'https://imagecaches.example.com/:id',
    'https://imagecaches.example.com/a*',
    'https://imagecaches.example.com/a%20b',
    'imagecaches.example.com',
    '/imagecaches',
  ])('cannot be %s', (url) => {
    expect(() => parseConfig({ ...TEST_ENVIRONMENT, PUBLIC_URL: url })).toThrow(
      /PUBLIC_URL: must be an https URL without user name, password, fragment or query/,
    );
  });
});
