import { describe, expect, it } from 'vitest';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import { signRequest } from '../../src/signing/sign-request.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

/** The same whatever is asked, so that errors can be compared. */
const REQUEST_ID = 'an-id';
const WEB_ID = '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0';
const OTHER_ID = '11111111-2222-3333-4444-555555555555';
const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
const READER = { accessKeyId: 'LKNOSCOPE0001', secretAccessKey: 'a-third-secret-0123456789abcdefghijklm' };
const SDK_KEYS = JSON.stringify({
  keys: [
    { ...KEY, subject: 'billing' },
    { ...READER, subject: 'other', scopes: ['something:else'] },
  ],
});

const createService = (environment: Record<string, string> = {}, overrides = {}) =>
  createTestService({ SDK_KEYS, ...environment }, overrides);

/** Signed as the vendor's SDKs do. */
async function signedGet(service: TestService, path: string, key = KEY): Promise<Response> {
  const url = new URL(path, 'https://bff.example.test');
  const { headers } = await signRequest({ method: 'GET', url }, key, { nowMs: service.clock.now() });
  return service.app.request(url.href, { headers: { ...headers, 'x-request-id': REQUEST_ID } });
}

function ask(service: TestService, path: string, init: RequestInit = {}): Promise<Response> {
  return service.get(path, { ...init, headers: { 'x-request-id': REQUEST_ID, ...init.headers } });
}

const lastLine = ({ logger }: TestService) =>
  logger.lines.findLast(({ message }) => message === 'request')?.fields;

/** The form that the vendor's SDKs read, with the request id in the header that they read. */
async function expectVendorError(response: Response, status: number, code: string, message: string) {
  expect(response.status).toBe(status);
  expect(response.headers.get('x-request-id')).toBe(REQUEST_ID);
  expect(response.headers.get('content-type')).toBe('application/json');
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect(await response.json()).toEqual({ error_code: code, error_msg: message, request_id: REQUEST_ID });
}

describe('GET /v5/imagecaches/{id}', () => {
  it('is answered from the whole list, by one call for all ids, names and lists', async () => {
    const service = await createService();
    service.upstream = () => vendorList(vendorEntry('web-base'), vendorEntry('other', { id: OTHER_ID }));
    const shown = await ask(service, `/v5/imagecaches/${WEB_ID}`);
    expect(shown.status).toBe(200);
    expect(shown.headers.get('cache-status')).toBe('imagecaches; fwd=miss; stored');
    const { image_caches: list } = (await (await ask(service, '/v5/imagecaches')).json()) as {
      image_caches: { id: string }[];
    };
    expect(list.map(({ id }) => id)).toEqual([WEB_ID, OTHER_ID]);
    expect(await shown.json()).toEqual({ image_cache: list[0] });
    const other = await signedGet(service, `/v5/imagecaches/${OTHER_ID}`);
    expect(other.headers.get('cache-status')).toBe('imagecaches; hit; ttl=30; detail=derived');
    expect(await other.json()).toEqual({ image_cache: list[1] });
    expect(service.calls.map(({ url }) => url.pathname + url.search)).toEqual(['/v5/imagecaches']);
    expect(lastLine(service)).toMatchObject({
      route: '/v5/imagecaches/:id',
      cache: 'derived',
      subject: 'billing',
    });
  });

  it('shows no more of an image cache than the list', async () => {
    const service = await createService();
    const text = await (await ask(service, `/v5/imagecaches/${WEB_ID}`)).text();
    expect(text).not.toMatch(/building_config|cluster|pull|message/);
  });

  it('is 404 for an id that is not in the list, whatever it is, and the id goes nowhere', async () => {
    const service = await createService();
    await ask(service, '/v5/imagecaches');
    for (const id of [
      'planted',
      OTHER_ID,
      'web-base',
      '__proto__',
      '%2e%2e%2fplanted',
      'planted%00',
      'a'.repeat(5000),
    ]) {
      const message = 'Not found: no image cache has this id';
      await expectVendorError(await ask(service, `/v5/imagecaches/${id}`), 404, 'CCE.01404001', message);
      expect(lastLine(service)).toMatchObject({
        route: '/v5/imagecaches/:id',
        code: 'not_found',
        status: 404,
      });
    }
    expect(service.calls.map(({ url }) => url.search)).toEqual(['']);
    const written = JSON.stringify(service.logger.lines);
    for (const part of ['planted', OTHER_ID, '__proto__', 'aaaa']) expect(written).not.toContain(part);
  });

  it('adds nothing to what is held', async () => {
    let held = () => ({ entries: -1, bytes: -1 });
    const metrics = {
      ...NO_METRICS,
      forTarget: () => ({
        ...NO_METRICS.forTarget(undefined),
        observeCache: (of: typeof held) => (held = of),
      }),
    };
    const service = await createService({}, { metrics });
    await ask(service, '/v5/imagecaches');
    const { entries, bytes } = held();
    for (let index = 0; index < 50; index += 1) await ask(service, `/v5/imagecaches/planted-${index}`);
    await ask(service, `/v5/imagecaches/${WEB_ID}`);
    expect([held().entries, held().bytes]).toEqual([entries, bytes]);
    expect(entries).toBe(1);
  });

  it('goes with the ages of the list: stale at once with one refresh, then stale only in an outage', async () => {
    const service = await createService();
    await ask(service, `/v5/imagecaches/${WEB_ID}`);
    await service.clock.advance(31_000);
    service.upstream = () => vendorList(vendorEntry('web-base', { status: 'Deleting' }));
    const stale = await ask(service, `/v5/imagecaches/${WEB_ID}`);
    expect(stale.headers.get('cache-status')).toBe('imagecaches; hit; ttl=-1; detail=stale-while-revalidate');
    expect(stale.headers.get('age')).toBe('31');
    expect(await stale.json()).toMatchObject({ image_cache: { status: 'Available' } });
    await service.clock.advance(0);
    await Promise.all(service.background);
    expect(service.calls).toHaveLength(2);
    const fresh = await ask(service, `/v5/imagecaches/${WEB_ID}`);
    expect(await fresh.json()).toMatchObject({ image_cache: { status: 'Deleting' } });
    service.upstream = () => new Response('', { status: 404 });
    await service.clock.advance(331_000);
    const kept = await ask(service, `/v5/imagecaches/${WEB_ID}`);
    expect(kept.status).toBe(200);
    expect(kept.headers.get('cache-status')).toContain('detail=stale-if-error');
  });

  it('knows what a newer load has said of a name: new, changed, gone, and back again', async () => {
    const service = await createService();
    const token = await service.token({ scope: 'imagecaches:read imagecaches:refresh' });
    const force = async (...entries: unknown[]) => {
      await service.clock.advance(1100);
      service.upstream = () => vendorList(...entries);
      const headers = { authorization: `Bearer ${token}`, 'cache-control': 'no-cache' };
      const response = await ask(service, '/v5/imagecaches?name=web-base', { headers });
      expect(response.headers.get('cache-status')).toContain('fwd=request');
    };
    const statusOf = async (id: string) => {
      const response = await ask(service, `/v5/imagecaches/${id}`);
      const { image_cache: entry } = (await response.json()) as { image_cache?: { status: string } };
      return [response.status, entry?.status];
    };
    await ask(service, '/v5/imagecaches');
    expect(await statusOf(WEB_ID)).toEqual([200, 'Available']);
    await force(vendorEntry('web-base', { status: 'Failed' }));
    expect(await statusOf(WEB_ID)).toEqual([200, 'Failed']);
    await force(vendorEntry('web-base', { id: OTHER_ID, status: 'Creating' }));
    expect([await statusOf(WEB_ID), await statusOf(OTHER_ID)]).toEqual([
      [404, undefined],
      [200, 'Creating'],
    ]);
    await force();
    expect([await statusOf(WEB_ID), await statusOf(OTHER_ID)]).toEqual([
      [404, undefined],
      [404, undefined],
    ]);
    await force(vendorEntry('web-base'));
    expect([await statusOf(WEB_ID), await statusOf(OTHER_ID)]).toEqual([
      [200, 'Available'],
      [404, undefined],
    ]);
  });

  it('can be forced to ask, by callers that may', async () => {
    const service = await createService();
    await ask(service, `/v5/imagecaches/${WEB_ID}`);
    await service.clock.advance(1100);
    const asking = (scope: string) => async () => {
      const authorization = `Bearer ${await service.token({ scope })}`;
      const headers = { authorization, 'cache-control': 'no-cache' };
      return (await ask(service, `/v5/imagecaches/${WEB_ID}`, { headers })).headers.get('cache-status');
    };
    expect(await asking('imagecaches:read')()).toContain('hit');
    expect(await asking('imagecaches:read imagecaches:refresh')()).toBe('imagecaches; fwd=request; stored');
    expect(service.calls).toHaveLength(2);
  });

  it('has a strong ETag of its own, and HEAD has the headers of GET', async () => {
    const service = await createService();
    await ask(service, '/v5/imagecaches');
    const path = `/v5/imagecaches/${WEB_ID}`;
    const get = await ask(service, path);
    const etag = get.headers.get('etag') as string;
    expect(etag).not.toBe((await ask(service, '/v5/imagecaches')).headers.get('etag'));
    const unchanged = await ask(service, path, { headers: { 'if-none-match': etag } });
    expect([unchanged.status, await unchanged.text()]).toEqual([304, '']);
    const head = await ask(service, path, { method: 'HEAD' });
    expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(get.headers));
    expect(await head.text()).toBe('');
  });

  it('takes no parameters', async () => {
    const service = await createService();
    const message = "Invalid query: unknown parameter 'name'; there is none at this path";
    const response = await ask(service, `/v5/imagecaches/${WEB_ID}?name=web-base`);
    await expectVendorError(response, 400, 'IMAGECACHES.invalid_query', message);
    expect(service.calls).toEqual([]);
  });

  it('is there for the vendor’s clients only', async () => {
    const service = await createService();
    const response = await ask(service, `/imagecaches/${WEB_ID}`);
    expect(response.status).toBe(404);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
  });
});

describe('GET /v3/auth/domains', () => {
  it('has one domain, always the same', async () => {
    const service = await createService();
    const response = await ask(service, '/v3/auth/domains');
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toBe('private, no-store');
    const body = await response.json();
    expect(body).toEqual({
      domains: [
        {
          id: expect.stringMatching(/^[0-9a-f]{32}$/),
          name: 'imagecaches-bff',
          enabled: true,
          description: '',
        },
      ],
      links: {},
    });
    expect(await (await signedGet(service, '/v3/auth/domains')).json()).toEqual(body);
    expect(service.calls).toEqual([]);
  });

  it('has it by the name that is asked for, as older releases of Terraform’s client do', async () => {
    const service = await createService();
    const named = await (await signedGet(service, '/v3/auth/domains?name=hid_example')).json();
    const [domain] = (named as { domains: unknown[] }).domains;
    const [unnamed] = ((await (await ask(service, '/v3/auth/domains')).json()) as { domains: object[] })
      .domains;
    expect(domain).toEqual({ ...unnamed, name: 'hid_example' });
    for (const query of ['?name=', '?name=%3Cb%3E', '?name=a&name=b', '?page=1', `?name=${'a'.repeat(65)}`]) {
      const message =
        "Invalid query: only the parameter 'name' is allowed, once: 1 to 64 letters, digits and '_.@-'";
      const response = await ask(service, `/v3/auth/domains${query}`);
      await expectVendorError(response, 400, 'IMAGECACHES.invalid_query', message);
    }
  });

  it('is there without key pairs too, as the projects are: callers may send tokens', async () => {
    const service = await createTestService();
    for (const path of ['/v3/auth/domains', '/v3/projects?name=cn-north-4'])
      expect((await ask(service, path)).status).toBe(200);
  });
});

describe('the vendor’s paths that are not served', () => {
  it.each([
    ['GET', '/v5'],
    ['GET', '/v5/'],
    ['GET', '/v5/imagecaches/'],
    ['GET', `/v5/imagecaches/${WEB_ID}/images`],
    ['GET', '/v5/clusters'],
    ['POST', '/v5/package-products/subscribe'],
    ['GET', '/v3'],
    ['POST', '/v3/auth/tokens'],
    ['GET', '/v3/auth/catalog'],
    ['GET', '/v3/projects/0123456789abcdef0123456789abcdef'],
    ['PROPFIND', '/v5/anything'],
    // API v3 of CCE, and IAM: where the environment leads other calls of the same SDKs.
    ['GET', '/api/v3/projects/0123456789abcdef0123456789abcdef/clusters'],
    ['POST', '/v3.0/OS-AUTH/id-token/tokens'],
  ])('%s %s is 404 in the vendor’s shape', async (method, path) => {
    const service = await createService();
    const message = 'Not found: there is nothing at this path';
    await expectVendorError(await ask(service, path, { method }), 404, 'APIGW.0101', message);
    expect(lastLine(service)).toMatchObject({ route: 'unmatched', code: 'not_found' });
  });

  it.each([
    ['POST', '/v5/imagecaches'],
    ['DELETE', `/v5/imagecaches/${WEB_ID}`],
    ['PUT', `/v5/imagecaches/${WEB_ID}`],
    ['POST', '/v3/projects'],
    ['POST', '/v3/auth/domains'],
    ['OPTIONS', '/v5/imagecaches'],
  ])('%s %s is 405 in the vendor’s shape', async (method, path) => {
    const service = await createService();
    const response = await ask(service, path, { method });
    expect(response.headers.get('allow')).toBe('GET, HEAD');
    const message = 'Method not allowed: only GET and HEAD are allowed here';
    await expectVendorError(response, 405, 'IMAGECACHES.method_not_allowed', message);
    expect(lastLine(service)).toMatchObject({ route: 'unmatched', code: 'method_not_allowed' });
  });

  it.each(['/v50/imagecaches', '/v5imagecaches', '/v4/imagecaches', '/a/v5/imagecaches', '/imagecaches/v5'])(
    '%s is none of them',
    async (path) => {
      const service = await createService();
      expect(await (await ask(service, path)).json()).toMatchObject({
        code: 'not_found',
        instance: REQUEST_ID,
      });
    },
  );
});

describe('what a caller is told on the vendor’s paths', () => {
  const PATHS = [
    '/v5/imagecaches',
    `/v5/imagecaches/${WEB_ID}`,
    '/v3/projects?name=cn-north-4',
    '/v3/auth/domains',
  ];

  it.each(PATHS)('%s: who sends nothing learns both ways in', async (path) => {
    const service = await createService();
    const init = { headers: { 'x-request-id': REQUEST_ID } };
    const message =
      'Authentication required: sign the request with a key pair of this service, or send a token in the header Authorization: Bearer <token>';
    await expectVendorError(await service.app.request(path, init), 401, 'APIGW.0301', message);
  });

  it.each(PATHS)('%s: a key pair lacks its own scope, a token its own', async (path) => {
    const service = await createService();
    const bySignature = await signedGet(service, path, READER);
    expect(bySignature.headers.get('www-authenticate')).toBe('SDK-HMAC-SHA256');
    const lacks = (who: string) => `Forbidden: the ${who} lacks the scope 'imagecaches:read'`;
    await expectVendorError(bySignature, 403, 'APIGW.0302', lacks('key pair'));
    const headers = { authorization: `Bearer ${await service.token({ scope: 'other' })}` };
    const byToken = await ask(service, path, { headers });
    expect(byToken.headers.get('www-authenticate')).toBe(
      'Bearer realm="imagecaches", error="insufficient_scope", scope="imagecaches:read"',
    );
    await expectVendorError(byToken, 403, 'APIGW.0302', lacks('token'));
  });

  it.each(PATHS)('%s: a signed request has the limit of its key pair', async (path) => {
    const service = await createService({ RATE_LIMIT_PER_MINUTE: '1' });
    await signedGet(service, '/v5/imagecaches');
    const limited = await signedGet(service, path);
    expect(limited.headers.get('retry-after')).toBe('60');
    const message = 'Too many requests: more than 1 requests a minute';
    await expectVendorError(limited, 429, 'APIGW.0308', message);
    expect((await ask(service, path)).status).toBe(200);
  });

  it('is counted and logged by route, whatever the answer', async () => {
    const counted: unknown[] = [];
    const metrics = { ...NO_METRICS, requestAnswered: (route: string) => counted.push(route) };
    const service = await createService({}, { metrics });
    const routes = ['/v5/imagecaches', '/v5/imagecaches/:id', '/v3/projects', '/v3/auth/domains'];
    for (const path of PATHS) await signedGet(service, path);
    for (const path of PATHS) await service.app.request(path);
    for (const path of PATHS) await ask(service, `${path}${path.includes('?') ? '&' : '?'}planted=1`);
    expect(counted).toEqual([...routes, ...routes, ...routes]);
  });

  it('says so where no key pairs are accepted, with and without them configured', async () => {
    const message =
      'requests signed with a key pair are not accepted here: send a token in the header Authorization: Bearer <token>';
    const without = await createTestService();
    const response = await signedGet(without, '/v5/imagecaches');
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="imagecaches"');
    await expectVendorError(response, 401, 'APIGW.0301', `Authentication required: ${message}`);
    const own = await signedGet(await createService(), '/imagecaches');
    expect(own.status).toBe(401);
    expect(await own.json()).toMatchObject({ code: 'unauthenticated', detail: message });
  });

  it.each([
    ['upstream_rejected', 502, 401, 'The cloud refused this service'],
    ['upstream_failed', 502, 400, 'The cloud gave no usable answer'],
    ['upstream_throttled', 503, 429, 'The cloud is throttling this service'],
  ])('of %s', async (code, status, upstreamStatus, message) => {
    const service = await createService();
    service.upstream = () => new Response('', { status: upstreamStatus, headers: { 'retry-after': '60' } });
    const response = await signedGet(service, `/v5/imagecaches/${WEB_ID}`);
    await expectVendorError(response, status, `IMAGECACHES.${code}`, message);
  });
});
