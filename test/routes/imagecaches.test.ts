import { describe, expect, it } from 'vitest';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

const SANITISED = {
  id: '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0',
  name: 'web-base',
  status: 'Available',
  images: ['swr.cn-north-4.myhuaweicloud.com/team/web:1.0'],
  image_cache_size: 20,
  retention_days: 7,
  created_at: '2024-11-25T06:32:34.923248Z',
  expires_at: '2024-12-02T06:32:34.923248Z',
};

describe('GET /imagecaches', () => {
  it('ages in seconds of its own, which are not those of the time that is left', async () => {
    // A fresh life that is no whole number of seconds.
    const service = await createTestService({}, { random: () => 0.33 });
    await service.get('/imagecaches');
    const said = [];
    for (const ms of [999, 1, 999, 1]) {
      await service.clock.advance(ms);
      said.push((await service.get('/imagecaches')).headers.get('age'));
    }
    expect(said).toEqual(['0', '1', '1', '2']);
  });

  it('answers the sanitised list, with everything a cache in front needs to know', async () => {
    const service = await createTestService();
    const response = await service.get('/imagecaches');
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ image_caches: [SANITISED] });
    expect(Object.fromEntries(response.headers)).toEqual({
      age: '0',
      'cache-control': 'private, max-age=30',
      'cache-status': 'imagecaches; fwd=miss; stored',
      'content-length': '289',
      'content-type': 'application/json',
      etag: response.headers.get('etag'),
      vary: 'Authorization',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-request-id': response.headers.get('x-request-id'),
    });
  });

  it('asks upstream for the name, signed, and for nothing else', async () => {
    const service = await createTestService({ HUAWEICLOUD_SDK_PROJECT_ID: 'project-1' });
    await service.get('/imagecaches?name=web-base', {
      headers: { cookie: 'a=b', 'x-forwarded-for': '10.0.0.1' },
    });
    const [call] = service.calls;
    expect(call?.url.href).toBe('https://cce.example.test/v5/imagecaches?name=web-base');
    expect([...(call?.headers.keys() ?? [])].sort()).toEqual([
      'accept',
      'authorization',
      'x-project-id',
      'x-sdk-date',
    ]);
    expect(call?.headers.get('authorization')).toMatch(
      /^SDK-HMAC-SHA256 Access=AKTESTPLANTED0000001, SignedHeaders=host;x-project-id;x-sdk-date, Signature=[0-9a-f]{64}$/,
    );
    expect(call?.init).toMatchObject({ method: 'GET', redirect: 'manual' });
  });

  it('answers a hit from the cache, with its age', async () => {
    const service = await createTestService();
    const first = await service.get('/imagecaches');
    await service.clock.advance(12_400);
    const second = await service.get('/imagecaches');
    expect(service.calls).toHaveLength(1);
    expect(second.headers.get('age')).toBe('12');
    expect(second.headers.get('cache-control')).toBe('private, max-age=17');
    expect(second.headers.get('cache-status')).toBe('imagecaches; hit; ttl=17');
    expect(await second.text()).toBe(await first.text());
  });

  it('shares one entry between the spellings of a name, and keeps names apart', async () => {
    const service = await createTestService();
    await service.get('/imagecaches?name=a');
    await service.get('/imagecaches?name=%61');
    expect(service.calls).toHaveLength(1);
    await service.get('/imagecaches?name=b');
    expect(service.calls.map(({ url }) => url.search)).toEqual(['?name=a', '?name=b']);
  });

  it('gives every authorised caller the same bytes', async () => {
    const service = await createTestService();
    const texts = new Set<string>();
    for (const sub of ['a', 'b', undefined]) {
      const authorization = `Bearer ${await service.token({ sub })}`;
      texts.add(await (await service.get('/imagecaches', { headers: { authorization } })).text());
    }
    expect(texts.size).toBe(1);
    expect(service.calls).toHaveLength(1);
  });

  it('answers 304 to callers that hold the representation', async () => {
    const service = await createTestService();
    const first = await service.get('/imagecaches');
    const etag = first.headers.get('etag') as string;
    for (const ifNoneMatch of [etag, `W/${etag}`, '*', `"x", ${etag}`]) {
      const response = await service.get('/imagecaches', { headers: { 'if-none-match': ifNoneMatch } });
      expect(response.status).toBe(304);
      expect(await response.text()).toBe('');
      expect(response.headers.get('etag')).toBe(etag);
      expect(response.headers.get('cache-control')).toBe('private, max-age=30');
      expect(response.headers.get('vary')).toBe('Authorization');
      expect(response.headers.get('content-type')).toBeNull();
    }
    expect((await service.get('/imagecaches', { headers: { 'if-none-match': '"other"' } })).status).toBe(200);
  });

  it('answers HEAD as GET, without the body', async () => {
    const service = await createTestService();
    const get = await service.get('/imagecaches');
    const head = await service.get('/imagecaches', { method: 'HEAD' });
    expect(head.status).toBe(200);
    expect(await head.text()).toBe('');
    expect(head.headers.get('content-length')).toBe(String((await get.arrayBuffer()).byteLength));
    expect(head.headers.get('etag')).toBe(get.headers.get('etag'));
    const etag = get.headers.get('etag') as string;
    expect(
      (await service.get('/imagecaches', { method: 'HEAD', headers: { 'if-none-match': etag } })).status,
    ).toBe(304);
  });

  it('makes one upstream call for many who ask at once, and does not need the first one to stay', async () => {
    const service = await createTestService();
    let release: (response: Response) => void = () => {};
    service.upstream = () => new Promise((resolve) => (release = resolve));
    const leaving = new AbortController();
    // Signed before: with a token of its own each would come when that is signed.
    const headers = { authorization: `Bearer ${await service.token()}` };
    const first = service.get('/imagecaches', { headers, signal: leaving.signal });
    const rest = Array.from({ length: 100 }, () => service.get('/imagecaches', { headers }));
    await service.arrived(1);
    leaving.abort();
    release(vendorList(vendorEntry()));
    const responses = await Promise.all([first, ...rest]);
    expect(new Set(responses.map(({ status }) => status))).toEqual(new Set([200]));
    expect(service.calls).toHaveLength(1);
    expect(responses[5]?.headers.get('cache-status')).toBe('imagecaches; fwd=miss; collapsed');
  });

  it('drops an entry that breaks the model, serves the rest, and logs where but not what', async () => {
    const service = await createTestService();
    service.upstream = () =>
      vendorList(
        vendorEntry('a'),
        vendorEntry('b', { image_cache_size: 'PLANTED' }),
        'PLANTED',
        vendorEntry('c'),
      );
    const body = (await (await service.get('/imagecaches')).json()) as { image_caches: { name: string }[] };
    expect(body.image_caches.map(({ name }) => name)).toEqual(['a', 'c']);
    const line = service.logger.lines.find(({ message }) => message.includes('dropped'));
    expect(line?.fields).toEqual({
      dropped: 2,
      members: { image_cache_size: 1, entry: 1 },
      first: [
        { index: 1, member: 'image_cache_size' },
        { index: 2, member: 'entry' },
      ],
    });
    expect(JSON.stringify(service.logger.lines)).not.toContain('PLANTED');
  });

  it('keeps an empty answer for 5 seconds only', async () => {
    const service = await createTestService();
    service.upstream = () => Response.json({ image_caches: null });
    const response = await service.get('/imagecaches?name=soon');
    expect(await response.json()).toEqual({ image_caches: [] });
    expect(response.headers.get('cache-control')).toBe('private, max-age=5');
    await service.clock.advance(5000);
    service.upstream = () => vendorList(vendorEntry('soon'));
    // The first one after that is answered at once and starts the refresh.
    const stale = await service.get('/imagecaches?name=soon');
    expect(stale.headers.get('cache-control')).toBe('private, max-age=0');
    await Promise.all(service.background);
    expect(await (await service.get('/imagecaches?name=soon')).json()).toMatchObject({
      image_caches: [{ name: 'soon' }],
    });
  });

  it.each([
    '?name=a&name=b',
    '?NAME=a',
    '?name=',
    '?_=1',
    `?name=${'a'.repeat(10_240)}`,
    '?name=a%00',
    '?name=%1b[0m',
    '?name=%zz',
    '?name=%',
    '?name=a%ff',
  ])('answers 400 to %.30j without an upstream call', async (query) => {
    const service = await createTestService();
    const response = await service.get(`/imagecaches${query}`);
    expect(response.status).toBe(400);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({
      code: 'invalid_query',
      detail: expect.stringMatching(/parameter/),
    });
    expect(service.calls).toHaveLength(0);
  });

  it('looks at the token before the query', async () => {
    const service = await createTestService();
    expect((await service.app.request('/imagecaches?bad=1')).status).toBe(401);
  });
});

describe('when the list is no longer fresh', () => {
  it('says in Cache-Status, Age and Cache-Control what the caller got', async () => {
    const service = await createTestService();
    const status = async (path: string, headers: Record<string, string> = {}) => {
      const response = await service.get(path, { headers });
      await Promise.all(service.background);
      const {
        age,
        'cache-control': control,
        'cache-status': cacheStatus,
      } = Object.fromEntries(response.headers);
      return [response.status, age, control, cacheStatus];
    };
    expect(await status('/imagecaches')).toEqual([
      200,
      '0',
      'private, max-age=30',
      'imagecaches; fwd=miss; stored',
    ]);
    expect(await status('/imagecaches?name=web-base')).toEqual([
      200,
      '0',
      'private, max-age=30',
      'imagecaches; hit; ttl=30; detail=derived',
    ]);
    service.upstream = () => new Response('', { status: 404 });
    await service.clock.advance(31_000);
    expect(await status('/imagecaches')).toEqual([
      200,
      '31',
      'private, max-age=0',
      'imagecaches; hit; ttl=-1; detail=stale-while-revalidate',
    ]);
    await service.clock.advance(300_000);
    expect(await status('/imagecaches')).toEqual([
      200,
      '331',
      'private, max-age=0',
      'imagecaches; fwd=stale; ttl=-301; detail=stale-if-error',
    ]);
    expect((await status('/imagecaches'))[3]).toBe('imagecaches; hit; ttl=-301; detail=stale-if-error');
    await service.clock.advance(60_000);
    service.upstream = () => vendorList(vendorEntry());
    expect((await status('/imagecaches'))[3]).toBe('imagecaches; fwd=stale; stored');
    await service.clock.advance(31_000 + 300_000 + 3_600_000);
    service.upstream = () => new Response('', { status: 404 });
    expect((await status('/imagecaches'))[0]).toBe(502);
  });

  it('lets a caller with the scope force a refresh, and nobody else', async () => {
    const service = await createTestService();
    await service.get('/imagecaches');
    await service.clock.advance(2000);
    const ask = async (scope: string, cacheControl: string) => {
      const authorization = `Bearer ${await service.token({ scope })}`;
      const response = await service.get('/imagecaches', {
        headers: { authorization, 'cache-control': cacheControl },
      });
      return response.headers.get('cache-status');
    };
    expect(await ask('imagecaches:read', 'no-cache')).toBe('imagecaches; hit; ttl=28');
    const both = 'imagecaches:read imagecaches:refresh';
    for (const other of ['max-age=0', 'x-no-cache', 'no-cache-ever', 'no-store']) {
      expect(await ask(both, other)).toBe('imagecaches; hit; ttl=28');
    }
    expect(await ask(both, 'max-age=0, No-Cache')).toBe('imagecaches; fwd=request; stored');
    expect(await ask(both, 'no-cache')).toBe('imagecaches; hit; ttl=30');
    expect(service.calls).toHaveLength(2);
    expect(
      (
        await service.get('/imagecaches', {
          headers: { authorization: `Bearer ${await service.token({ scope: 'imagecaches:refresh' })}` },
        })
      ).status,
    ).toBe(403);
  });

  it('reports a fault of ours that no caller is told of', async () => {
    const service = await createTestService();
    await service.get('/imagecaches');
    await service.clock.advance(31_000);
    service.upstream = () =>
      ({
        status: 200,
        headers: new Headers(),
        get body() {
          throw new Error('PLANTED');
        },
      }) as unknown as Response;
    expect((await service.get('/imagecaches')).status).toBe(200);
    await Promise.all(service.background);
    expect(JSON.stringify(service.logger.lines)).not.toContain('PLANTED');
  });
});

describe('upstream faults', () => {
  it.each<[string, () => Response | Promise<Response>, number, string, number]>([
    [
      'refused credential',
      () => Response.json({ error_code: 'APIGW.0301', error_msg: 'PLANTED' }, { status: 401 }),
      502,
      'upstream_rejected',
      1,
    ],
    [
      'forbidden',
      () => Response.json({ errorCode: 'CCE.01403001', errorMessage: 'PLANTED' }, { status: 403 }),
      502,
      'upstream_rejected',
      1,
    ],
    [
      'throttled',
      () => Response.json({ error_code: 'APIGW.0308', error_msg: 'PLANTED' }, { status: 429 }),
      503,
      'upstream_throttled',
      1,
    ],
    ['not found', () => Response.json({ error_msg: 'PLANTED' }, { status: 404 }), 502, 'upstream_failed', 1],
    ['server error', () => new Response('PLANTED', { status: 500 }), 502, 'upstream_failed', 2],
    ['unavailable', () => new Response('PLANTED', { status: 503 }), 502, 'upstream_failed', 2],
    [
      'redirect',
      () => new Response(null, { status: 302, headers: { location: 'https://PLANTED.test' } }),
      502,
      'upstream_failed',
      1,
    ],
    [
      'connection',
      () => Promise.reject(new TypeError('PLANTED', { cause: new Error('PLANTED') })),
      502,
      'upstream_failed',
      2,
    ],
    ['no JSON', () => new Response('<html>PLANTED'), 502, 'upstream_failed', 2],
    ['null', () => Response.json(null), 502, 'upstream_failed', 2],
    ['an array', () => Response.json(['PLANTED']), 502, 'upstream_failed', 2],
    ['an error as 200', () => Response.json({ error_code: 'PLANTED' }), 502, 'upstream_failed', 2],
    ['not a list', () => Response.json({ image_caches: 'PLANTED' }), 502, 'upstream_failed', 2],
    ['bad UTF-8', () => new Response(new Uint8Array([0x7b, 0xff, 0x7d])), 502, 'upstream_failed', 2],
    ['more than 8 MiB', () => new Response('x'.repeat(8_388_609)), 502, 'upstream_failed', 1],
  ])('%s', async (_name, answer, status, code, calls) => {
    const service = await createTestService();
    service.upstream = answer;
    const response = await service.get('/imagecaches');
    const text = await response.text();
    expect(response.status).toBe(status);
    expect(JSON.parse(text)).toMatchObject({ code, status });
    expect(service.calls).toHaveLength(calls);
    expect(text + JSON.stringify([...response.headers]) + JSON.stringify(service.logger.lines)).not.toContain(
      'PLANTED',
    );

    // Nothing of it is stored. A key that was rejected is left alone for 5 minutes.
    await service.clock.advance(300_000);
    service.upstream = () => vendorList(vendorEntry());
    expect((await service.get('/imagecaches')).status).toBe(200);
  });

  it('passes Retry-After on, in its own way', async () => {
    const service = await createTestService();
    service.upstream = () => new Response('', { status: 429, headers: { 'retry-after': '17' } });
    const response = await service.get('/imagecaches');
    expect(response.headers.get('retry-after')).toBe('17');
  });

  it('waits for Retry-After where the deadline allows', async () => {
    const service = await createTestService();
    service.upstream = (_call, index) =>
      index === 0
        ? new Response('', { status: 429, headers: { 'retry-after': '3' } })
        : vendorList(vendorEntry());
    const pending = service.get('/imagecaches');
    await service.clock.scheduled(3000);
    await service.clock.advance(2999);
    expect(service.calls).toHaveLength(1);
    await service.clock.advance(1);
    expect((await pending).status).toBe(200);
  });

  it('signs each attempt again, with the date of its moment', async () => {
    const service = await createTestService({}, { random: () => 0.999 });
    service.upstream = (_call, index) =>
      index === 0 ? new Response('', { status: 502 }) : vendorList(vendorEntry());
    await service.clock.advance(900);
    const pending = service.get('/imagecaches');
    await service.clock.scheduled(0.999 * 200);
    await service.clock.advance(200);
    expect((await pending).status).toBe(200);
    const dates = service.calls.map(({ headers }) => headers.get('x-sdk-date'));
    expect(dates).toEqual(['20260102T030405Z', '20260102T030406Z']);
    expect(service.calls[0]?.headers.get('authorization')).not.toBe(
      service.calls[1]?.headers.get('authorization'),
    );
  });

  /** A service whose key was accepted before, and that holds nothing any more. */
  async function createKnownService(): Promise<TestService> {
    const service = await createTestService();
    expect((await service.get('/imagecaches')).status).toBe(200);
    await service.clock.advance(7_200_000);
    return service;
  }

  it('gives an attempt 5 seconds and all of them 8, heeded or not, and leaves no timer', async () => {
    const service = await createKnownService();
    service.upstream = () => new Promise(() => {});
    const pending = service.get('/imagecaches');
    await service.arrived(2);
    await service.clock.advance(4999);
    expect(service.calls).toHaveLength(2);
    await service.clock.advance(1);
    await service.arrived(3);
    await service.clock.advance(2999);
    // That of the attempt, the one that forgets the caller's token, and that of the first attempt, which is read on.
    expect(service.clock.pending).toBe(3);
    await service.clock.advance(1);
    const response = await pending;
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ code: 'upstream_timeout' });
    expect(service.calls).toHaveLength(3);
    await service.clock.advance(26_999);
    const aborted = () => service.calls.slice(1).map(({ init }) => init.signal?.aborted);
    expect(aborted()).toEqual([false, false]);
    await service.clock.advance(1);
    expect(aborted()).toEqual([true, false]);
    await service.clock.advance(3000);
    expect(aborted()).toEqual([true, true]);
    await service.clock.advance(60_000);
    expect(service.clock.pending).toBe(0);
  });

  it('counts the body into the attempt', async () => {
    const service = await createKnownService();
    service.upstream = () => new Response(new ReadableStream({ pull: () => new Promise(() => {}) }));
    const pending = service.get('/imagecaches');
    await service.arrived(2);
    await service.clock.advance(5000);
    await service.arrived(3);
    await service.clock.advance(3000);
    expect((await pending).status).toBe(504);
  });

  it('takes a sane request id and makes one otherwise', async () => {
    const service = await createTestService();
    const idFor = async (sent: string) => {
      const response = await service.app.request('/nothing', { headers: { 'x-request-id': sent } });
      const id = response.headers.get('x-request-id');
      expect(await response.json()).toMatchObject({ instance: id });
      return id;
    };
    expect(await idFor('abc-DEF_123')).toBe('abc-DEF_123');
    expect(await idFor('x'.repeat(128))).toBe('x'.repeat(128));
    for (const bad of ['', 'a b', 'a"b', 'x'.repeat(129), await service.token()]) {
      expect(await idFor(bad)).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it('answers 500 without a word when it is its own fault, and logs where', async () => {
    const service = await createTestService(
      {},
      {
        random: () => {
          throw new Error('PLANTED');
        },
      },
    );
    const response = await service.get('/imagecaches');
    expect(response.status).toBe(500);
    const body = (await response.json()) as Record<string, unknown>;
    expect(body).toMatchObject({ code: 'internal', status: 500 });
    expect(body.detail).toBeUndefined();
    const lines = JSON.stringify(service.logger.lines);
    expect(lines).toContain('imagecaches.test.ts');
    expect(lines).not.toContain('PLANTED');
  });
});

describe('health', () => {
  it('is alive in every state, and ready only while serving', async () => {
    const service = await createTestService();
    await service.app.warm();
    for (const [lifecycle, status] of [
      ['starting', 503],
      ['serving', 200],
      ['draining', 503],
    ] as const) {
      service.lifecycle = lifecycle;
      expect((await service.app.request('/livez')).status).toBe(200);
      const response = await service.app.request('/readyz');
      expect(response.status).toBe(status);
      if (status === 503)
        expect(await response.json()).toEqual({ status: 'unready', failing: ['lifecycle'] });
    }
  });

  it('is not ready without keys, and its probe brings them back without asking too often', async () => {
    const service = await createTestService();
    service.issuer = () => new Response('', { status: 500 });
    await service.app.warm();
    for (let probe = 0; probe < 10; probe += 1) {
      const response = await service.app.request('/readyz');
      expect(response.status).toBe(503);
      expect(await response.json()).toEqual({ status: 'unready', failing: ['keys'] });
    }
    expect(service.keyCalls).toHaveLength(1);
    service.issuer = () => Response.json({ keys: [service.key.publicJwk] });
    await service.clock.advance(1000);
    await service.app.request('/readyz');
    await Promise.all(service.background);
    expect((await service.app.request('/readyz')).status).toBe(200);
    // That of the start: no probe makes one.
    expect(service.calls).toHaveLength(1);
  });
});

describe('the log', () => {
  it('has one line for each request and one for each upstream call', async () => {
    const service = await createTestService();
    service.upstream = () =>
      Response.json(
        { image_caches: [] },
        { headers: { 'x-request-id': 'a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4' } },
      );
    const response = await service.get('/imagecaches?name=a', { headers: { 'x-request-id': 'mine' } });
    expect(response.headers.get('x-request-id')).toBe('mine');
    const lines = service.logger.lines.filter(({ level }) => level === 'info');
    expect(lines.map(({ message }) => message)).toEqual(['upstream call', 'request']);
    expect(lines[0]?.fields).toMatchObject({
      attempt: 1,
      status: 200,
      ms: 0,
      vendorRequestId: 'a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4',
    });
    expect(lines[1]?.fields).toMatchObject({
      requestId: 'mine',
      method: 'GET',
      route: '/imagecaches',
      status: 200,
      ms: 0,
      cache: 'miss',
      subject: 'service-a',
    });
  });
});
