import { describe, expect, it, vi } from 'vitest';
import { buildDocument } from '../../src/pages/api/build-document.ts';
import committed from '../../src/pages/api/openapi.json' with { type: 'json' };
import type { Platform } from '../../src/platform/platform.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';
import { type ApiDocument, createDocumented } from './documented.ts';

const document = buildDocument() as unknown as ApiDocument;
const documented = createDocumented(document);

const SDK_KEYS = JSON.stringify({
  keys: [{ accessKeyId: 'IMAGECACHESTESTAK0001', secretAccessKey: 'a'.repeat(40), subject: 'billing' }],
});

interface Scenario {
  readonly status: number;
  readonly query?: string;
  readonly headers?: Record<string, string>;
  readonly settings?: Record<string, string>;
  readonly deps?: Partial<Platform>;
  readonly arrange?: (service: TestService) => unknown;
  /** Default: that of an image cache. */
  readonly id?: string;
  /** The paths that it is for. Default: all below /v5 and /v3, and the list. */
  readonly paths?: readonly string[];
}

const KNOWN_ID = '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0';

const LISTS = ['/imagecaches', '/v5/imagecaches'];
const BY_ID = '/v5/imagecaches/{id}';
const FROM_LIST = [...LISTS, BY_ID];

/** Every way to every documented status. */
const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'a list': { status: 200 },
  'an empty list': {
    status: 200,
    paths: LISTS,
    arrange: (service) => {
      service.upstream = () => vendorList();
    },
  },
  'an unknown id': { status: 404, id: '00000000-0000-0000-0000-000000000000', paths: [BY_ID] },
  'an unchanged list': { status: 304, paths: FROM_LIST, headers: { 'if-none-match': '*' } },
  'a bad query': { status: 400, query: '?page=1' },
  'no token': { status: 401, headers: { authorization: 'Basic x' } },
  'a bad token': { status: 401, headers: { authorization: 'Bearer x' } },
  'no scope': {
    status: 403,
    arrange: async (service) => ({ authorization: `Bearer ${await service.token({ scope: 'other' })}` }),
  },
  'too many requests': {
    status: 429,
    settings: { RATE_LIMIT_PER_MINUTE: '1' },
    arrange: async (service) => {
      await service.get('/imagecaches');
    },
  },
  'a fault of ours': {
    status: 500,
    deps: {
      metrics: new Proxy({} as Platform['metrics'], {
        get: (_target, name, metrics) => () => {
          if (name === 'requestAnswered') return;
          if (name === 'forTarget') return metrics;
          if (name === 'cacheAnswered') throw new Error('broken');
        },
      }),
    },
    paths: FROM_LIST,
  },
  'a refused credential': {
    status: 502,
    paths: FROM_LIST,
    arrange: (service) => {
      service.upstream = () => Response.json({ error_code: 'APIGW.0301' }, { status: 401 });
    },
  },
  'a fault upstream': {
    status: 502,
    paths: FROM_LIST,
    arrange: (service) => {
      service.upstream = () => new Response('<html>', { status: 200 });
    },
  },
  'an issuer that is down': {
    status: 503,
    arrange: (service) => {
      service.issuer = () => new Response('', { status: 500 });
    },
  },
  'a throttled account': {
    status: 503,
    paths: FROM_LIST,
    arrange: (service) => {
      service.upstream = () => new Response('', { status: 429, headers: { 'retry-after': '60' } });
    },
  },
  'a slow upstream': {
    status: 504,
    paths: FROM_LIST,
    arrange: (service) => {
      service.upstream = () => new Promise<Response>(() => undefined);
    },
  },
};

const seen = new Set<string>();

function serviceFor({ settings = {}, deps = {} }: Scenario): Promise<TestService> {
  return createTestService(
    { SDK_KEYS, SDK_KEYS_FILE: '/keys.json', PUBLIC_URL: 'https://imagecaches.example.com', ...settings },
    deps,
  );
}

async function ask(method: string, path: string, scenario: Scenario): Promise<Response> {
  const service = await serviceFor(scenario);
  const arranged = (await scenario.arrange?.(service)) as Record<string, string> | undefined;
  const query = scenario.query ?? (path === '/v3/projects' ? '?name=cn-north-4' : '');
  const asked = service.get(`${path.replace('{id}', scenario.id ?? KNOWN_ID)}${query}`, {
    method,
    headers: { ...scenario.headers, ...arranged },
  });
  if (scenario.status === 504) {
    await service.arrived(1);
    await service.clock.advance(10_000);
  }
  return asked;
}

describe('the API document', () => {
  it('is what the schemas make today', () => {
    expect(committed).toEqual(JSON.parse(JSON.stringify(document)));
  });

  it('has examples that its own schemas take', () => {
    expect(documented.badExamples()).toEqual([]);
  });

  const cases = Object.entries(SCENARIOS).flatMap(([name, scenario]) =>
    (scenario.paths ?? [...FROM_LIST, '/v3/projects', '/v3/auth/domains']).flatMap((path) =>
      ['GET', 'HEAD'].map((method) => [method, path, name, scenario] as const),
    ),
  );
  it.each(cases)('has the answer to %s %s: %s', async (method, path, _name, scenario) => {
    const response = await ask(method, path, scenario);
    expect(response.status).toBe(scenario.status);
    seen.add(`${method} ${path} ${response.status}`);
    expect(await documented.faultsOf(method, path, response)).toEqual([]);
  });

  it.each(['GET', 'HEAD'])('has the answers to %s when this service itself is at fault', async (method) => {
    const waitUntil = (promise: Promise<unknown>) => {
      promise.catch(() => undefined);
      throw new Error('broken');
    };
    // Not warmed: the keys are not there, and the probe tries to load them.
    const broken = await serviceFor({ status: 500, deps: { waitUntil } });
    const readiness = await broken.app.request('/readyz', { method });
    const service = await serviceFor({ status: 500 });
    const authorization = `Bearer ${await service.token()}`;
    // Verified before the digest that the answer needs breaks.
    await service.get('/v3/projects?name=cn-north-4', { headers: { authorization } });
    const digest = vi.spyOn(crypto.subtle, 'digest').mockRejectedValue(new Error('broken'));
    const init = { method, headers: { authorization } };
    const projects = await service.get('/v3/projects?name=cn-north-4', init);
    const domains = await service.get('/v3/auth/domains', init);
    digest.mockRestore();
    for (const [path, response] of [
      ['/readyz', readiness],
      ['/v3/projects', projects],
      ['/v3/auth/domains', domains],
    ] as const) {
      expect(response.status).toBe(500);
      seen.add(`${method} ${path} 500`);
      expect(await documented.faultsOf(method, path, response)).toEqual([]);
    }
  });

  it.each(['GET', 'HEAD'])('has the answers to %s of the probes', async (method) => {
    const service = await serviceFor({ status: 200 });
    await service.app.warm();
    for (const [path, lifecycle, status] of [
      ['/.well-known/oauth-protected-resource', 'serving', 200],
      ['/livez', 'serving', 200],
      ['/readyz', 'serving', 200],
      ['/readyz', 'draining', 503],
    ] as const) {
      service.lifecycle = lifecycle;
      const response = await service.app.request(path, { method });
      expect(response.status).toBe(status);
      seen.add(`${method} ${path} ${status}`);
      expect(await documented.faultsOf(method, path, response)).toEqual([]);
    }
  });

  it('has no answer that was not seen here', () => {
    expect([...documented.all].filter((answer) => !seen.has(answer))).toEqual([]);
  });

  it('would refuse an answer that it does not have', async () => {
    const faults = (response: Response) => documented.faultsOf('GET', '/imagecaches', response);
    expect(await faults(new Response('', { status: 418 }))).toHaveLength(1);
    const good = await ask('GET', '/imagecaches', { status: 200 });
    const body = await good.clone().text();
    expect(
      await faults(new Response(body, { headers: { ...Object.fromEntries(good.headers), 'x-extra': '1' } })),
    ).toEqual(['the header x-extra']);
    const leaky = body.replace('"id"', '"building_config":{},"id"');
    expect((await faults(new Response(leaky, { headers: good.headers })))[0]).toContain(
      'additional properties',
    );
    const headers = new Headers(good.headers);
    headers.delete('etag');
    expect(await faults(new Response(body, { headers }))).toEqual(['no header ETag']);
  });
});

describe('GET /openapi.json', () => {
  it('serves the document, with an ETag, to anyone', async () => {
    const service = await serviceFor({ status: 200 });
    const response = await service.app.request('/openapi.json');
    expect(response.headers.get('content-type')).toBe('application/json');
    expect(await response.json()).toEqual(committed);
    const etag = response.headers.get('etag') as string;
    const again = await service.app.request('/openapi.json', { headers: { 'if-none-match': etag } });
    expect(again.status).toBe(304);
    expect((await service.app.request('/openapi.json', { method: 'POST' })).status).toBe(405);
  });

  it('leaves out what the configuration does not serve', async () => {
    const service = await createTestService();
    const served = (await (await service.app.request('/openapi.json')).json()) as ApiDocument;
    expect(Object.keys(served.paths).sort()).toEqual([
      '/imagecaches',
      '/livez',
      '/readyz',
      '/v3/auth/domains',
      '/v3/projects',
      '/v5/imagecaches',
      '/v5/imagecaches/{id}',
    ]);
    expect(JSON.stringify(served)).not.toContain('signature');
    expect(JSON.stringify(served)).not.toContain('ProtectedResource');
    expect(Object.keys(served.components.securitySchemes)).toEqual(['token', 'authToken']);
    for (const path of Object.keys(served.paths))
      expect((await service.app.request(path)).status).not.toBe(404);
    expect((await service.app.request('/.well-known/oauth-protected-resource')).status).toBe(404);
  });

  it('can be turned off, with its page', async () => {
    const docsFiles = { '/docs': async () => ({ body: new Uint8Array(), contentType: 'text/html' }) };
    const on = await createTestService({}, { docsFiles });
    expect((await on.app.request('/docs')).status).toBe(200);
    const off = await createTestService({ API_DOCS: 'off' }, { docsFiles });
    for (const path of ['/openapi.json', '/docs']) expect((await off.app.request(path)).status).toBe(404);
  });

  it('lists every entry as the service would', async () => {
    const service = await createTestService();
    service.upstream = () =>
      vendorList(vendorEntry('a'), vendorEntry('b', { status: 7, retention_days: null }));
    const response = await service.get('/imagecaches');
    expect(await documented.faultsOf('GET', '/imagecaches', response)).toEqual([]);
  });
});
