import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener, type Http2Bindings, type HttpBindings } from '@hono/node-server';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { HitRequest } from '../../src/hits.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { TraceDecision } from '../../src/observability/tracing.ts';
import type { Platform } from '../../src/platform/platform.ts';
import { compress } from '../../src/runtime/node/platform/compress.ts';
import { answerHit, type TraceDecisions } from '../../src/runtime/node/server/answer-hit.ts';
import { checkTarget } from '../../src/runtime/node/server/check-target.ts';
import { createRecordingTracer, RECORDED_SPAN_ID } from '../support/recording-tracer.ts';
import { createTestKey, signTestToken } from '../support/test-keys.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

interface Sent {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Record<string, string | string[]>;
}

interface Answered {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
  /** What was counted for it. */
  readonly counted: readonly unknown[];
  /** Its log lines. */
  readonly logged: readonly unknown[];
}

/** Enough for a list that is worth compressing. */
const IMAGES = Array.from({ length: 30 }, (_, index) => `swr.cn-north-4.myhuaweicloud.com/team/web:${index}`);
const ORIGIN = 'https://app.example.com';

/** One app behind two servers: one that asks for hits first, and one that only knows the app. */
class TwoWays {
  readonly service: TestService;
  readonly authorization: string;
  readonly #counted: unknown[];
  readonly #servers: Server[];
  hits = 0;

  constructor(service: TestService, authorization: string, counted: unknown[]) {
    this.service = service;
    this.authorization = authorization;
    this.#counted = counted;
    // As http-server.ts does it.
    const fetch = (request: Request, env: HttpBindings | Http2Bindings) =>
      service.app.fetch(request, { ...env, httpVersion: env.incoming.httpVersion });
    const toApp = getRequestListener(fetch, {
      hostname: '127.0.0.1',
      errorHandler: () => new Response('not a request', { status: 400 }),
    });
    const decisions: TraceDecisions = new WeakMap();
    this.#servers = [true, false].map((asksForHits) =>
      createServer({ joinDuplicateHeaders: true }, (incoming, outgoing) => {
        if (checkTarget(incoming) !== undefined) outgoing.writeHead(400).end('not a request');
        else if (asksForHits && answerHit(service.app.hits, incoming, outgoing, decisions)) this.hits += 1;
        else void toApp(incoming, outgoing);
      }),
    );
  }

  static async create(
    environment: Record<string, string> = {},
    parts: Pick<Partial<Platform>, 'tracer' | 'limitRate'> = {},
  ): Promise<TwoWays> {
    const counted: unknown[] = [];
    const metrics = {
      ...NO_METRICS,
      requestAnswered: (...values: unknown[]) => counted.push(['request', ...values]),
      cacheAnswered: (...values: unknown[]) => counted.push(['cache', ...values]),
      forTarget: () => metrics,
    };
    const service = await createTestService(
      { RATE_LIMIT_PER_MINUTE: '0', ...environment },
      { compress, metrics, ...parts },
    );
    service.upstream = ({ url }) =>
      url.searchParams.has('name')
        ? vendorList(vendorEntry('db'))
        : vendorList(vendorEntry('web-base', { images: IMAGES }), vendorEntry('db'));
    const token = await service.token({ exp: service.clock.now() / 1000 + 86_400 });
    const ways = new TwoWays(service, `Bearer ${token}`, counted);
    for (const server of ways.#servers)
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
    closing.push(...ways.#servers);
    return ways;
  }

  /** Verifies the token, loads the list, and compresses it, as other requests have done before a hit. */
  async warm(): Promise<void> {
    for (const target of ['/imagecaches', '/imagecaches?name=db'])
      for (const coding of ['identity', 'gzip', 'br'])
        await this.#send(1, { target, headers: { ...this.#authorized(), 'accept-encoding': coding } });
  }

  #authorized(): { authorization: string } {
    return { authorization: this.authorization };
  }

  /** The same request both ways, which have to agree; returns the answer and whether it was a hit. */
  async ask(sent: Sent): Promise<Answered & { readonly isHit: boolean }> {
    const before = this.hits;
    const first = await this.#send(0, sent);
    const isHit = this.hits > before;
    expect(first).toEqual(await this.#send(1, sent));
    return { ...first, isHit };
  }

  /** The same with the token. */
  asCaller(sent: Sent = {}): Promise<Answered & { readonly isHit: boolean }> {
    return this.ask({ ...sent, headers: { ...this.#authorized(), ...sent.headers } });
  }

  async #send(
    server: 0 | 1,
    { method = 'GET', target = '/imagecaches', headers = {} }: Sent,
  ): Promise<Answered> {
    const { port } = (this.#servers[server] as Server).address() as AddressInfo;
    this.#counted.length = 0;
    this.service.logger.lines.length = 0;
    const options = {
      host: '127.0.0.1',
      port,
      method,
      path: target,
      headers: { host: 'a.test', 'x-request-id': 'the-same-for-both', ...headers },
    };
    return new Promise((resolve, reject) => {
      const sent = request(options, (response) => {
        let body = '';
        response.setEncoding('latin1').on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => {
          const { date: _date, ...others } = response.headers;
          const counted = [...this.#counted];
          const logged = [...this.service.logger.lines];
          resolve({ status: response.statusCode, headers: others, body, counted, logged });
        });
      });
      sent.on('error', reject).end();
    });
  }
}

const closing: Server[] = [];
let ways: TwoWays;
beforeAll(async () => {
  ways = await TwoWays.create();
  await ways.warm();
});
afterAll(async () => {
  for (const server of closing) await new Promise((resolve) => server.close(resolve));
});

describe('a hit is answered as the app would', () => {
  it('with all headers, every byte, its metrics and its log line', async () => {
    const answer = await ways.asCaller();
    expect(answer).toMatchObject({ isHit: true, status: 200 });
    expect(answer.headers).toMatchObject({
      'cache-status': expect.stringMatching(/^imagecaches; hit; ttl=\d+$/),
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(answer.body)),
      'x-request-id': 'the-same-for-both',
      vary: 'Authorization, Accept-Encoding',
    });
    expect(JSON.parse(answer.body)).toMatchObject({ image_caches: [{ name: 'web-base' }, { name: 'db' }] });
    expect(answer.counted).toEqual([
      ['cache', 'hit', 0],
      ['request', '/imagecaches', 'GET', 200, 0],
    ]);
    expect(answer.logged).toMatchObject([
      {
        level: 'info',
        message: 'request',
        fields: { requestId: 'the-same-for-both', route: '/imagecaches', access: 'granted', cache: 'hit' },
      },
    ]);
  });

  it.each<[name: string, sent: Sent, status: number, isHit: boolean]>([
    ['HEAD', { method: 'HEAD' }, 200, true],
    ['a name', { target: '/imagecaches?name=db' }, 200, true],
    ['what the caller holds', { headers: { 'if-none-match': '*' } }, 304, true],
    ['HEAD of what the caller holds', { method: 'HEAD', headers: { 'if-none-match': '*' } }, 304, true],
    ['another tag', { headers: { 'if-none-match': '"x", W/"y"' } }, 200, true],
    ['no list of tags', { headers: { 'if-none-match': '*, "x"' } }, 200, true],
    ['brotli', { headers: { 'accept-encoding': 'gzip, br' } }, 200, true],
    ['gzip', { headers: { 'accept-encoding': 'gzip' } }, 200, true],
    ['an unknown coding', { headers: { 'accept-encoding': 'zstd' } }, 200, true],
    ['the vendor path', { target: '/v5/imagecaches' }, 200, true],
    ['X-Auth-Token, which means nothing there', { headers: { 'x-auth-token': 'x' } }, 200, true],
    [
      'two tokens at the vendor path',
      { target: '/v5/imagecaches', headers: { 'x-auth-token': 'x' } },
      401,
      false,
    ],
    ['no token twice', { target: '/v5/imagecaches', headers: { 'x-auth-token': '' } }, 200, false],
    ['an id that is none', { headers: { 'x-request-id': 'the-same-for-both' } }, 200, true],
    ['another cache directive', { headers: { 'cache-control': 'max-age=0' } }, 200, true],
    ['no-cache without the scope', { headers: { 'cache-control': 'no-cache' } }, 200, false],
    ['a name that no list has', { target: '/imagecaches?name=nothing' }, 200, false],
    ['a bad query', { target: '/imagecaches?name=A' }, 400, false],
    ['an empty name', { target: '/imagecaches?name=' }, 400, false],
    ['an empty query', { target: '/imagecaches?' }, 200, false],
    ['a name twice', { target: '/imagecaches?name=db&name=db' }, 400, false],
    ['an unknown parameter', { target: '/imagecaches?names=db' }, 400, false],
    ['two tokens', { headers: { authorization: ['Bearer a.b.c', 'Bearer a.b.c'] } }, 401, false],
    ['another scheme', { headers: { authorization: 'Basic x' } }, 401, false],
    ['a bad token', { headers: { authorization: 'Bearer x' } }, 401, false],
    ['the probe', { target: '/livez' }, 200, false],
    ['an escape in the query', { target: '/imagecaches?name=%64b' }, 200, false],
    ['an escape in the path', { target: '/image%63aches' }, 200, false],
    ['a dot segment', { target: '/x/../imagecaches' }, 200, false],
    ['a fragment', { target: '/imagecaches#x' }, 400, false],
    ['an absolute target', { target: 'http://a.test/imagecaches' }, 200, false],
    ['another method', { method: 'POST' }, 405, false],
    ['another path', { target: '/imagecaches/' }, 404, false],
    ['a member of every object', { target: '/constructor' }, 404, false],
    ['a host with capitals', { headers: { host: 'A.test' } }, 200, true],
    ['a host that is none', { headers: { host: 'a b' } }, 400, false],
  ])('for %s', async (_name, sent, status, isHit) => {
    expect(await ways.asCaller(sent)).toMatchObject({ status, isHit });
  });

  it('at the vendor path with a Vary of its own, whichever path was asked for before', async () => {
    const headers = { 'x-auth-token': ways.authorization.slice(7) };
    for (const [target, vary] of [
      ['/imagecaches', 'Authorization, Accept-Encoding'],
      ['/v5/imagecaches', 'Authorization, Accept-Encoding, X-Auth-Token'],
      ['/imagecaches', 'Authorization, Accept-Encoding'],
    ] as const) {
      const plain = await ways.asCaller({ target });
      expect(plain).toMatchObject({ status: 200, isHit: true, headers: { vary } });
      const { headers: held } = await ways.asCaller({ target, headers: { 'if-none-match': '*' } });
      expect(held.vary).toBe(vary);
    }
    // The token twice is for the app, and the same answer.
    const twice = await ways.asCaller({ target: '/v5/imagecaches', headers });
    expect(twice).toMatchObject({ status: 200, isHit: false });
    expect(twice.headers.vary).toBe('Authorization, Accept-Encoding, X-Auth-Token');
    expect(await ways.ask({ target: '/v5/imagecaches', headers })).toMatchObject({ status: 200 });
  });

  it('and an app that is asked without a token answers 401', async () => {
    expect(await ways.ask({})).toMatchObject({ status: 401, isHit: false });
    expect(await ways.ask({ method: 'HEAD' })).toMatchObject({ status: 401, isHit: false });
  });

  it('for any target, host and method', async () => {
    const piece = fc.constantFrom(
      ...[
        '/',
        '.',
        '..',
        'imagecaches',
        'v5',
        'livez',
        '?',
        '&',
        'name',
        '=',
        'a',
        'A',
        '%61',
        '%',
        '+',
        '#',
        ';',
      ],
      ...['\\', '"', '~', '_', '-', ':', '@', '//', 'http:', 'a.test', '/imagecaches', '?name=db'],
    );
    const target = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
    const hosts = ['a.test', 'a.test:8080', 'a.test:80', 'a.test:', 'A', '[::1]:8080', '127.1', 'a_b', 'a@b'];
    await fc.assert(
      fc.asyncProperty(
        target,
        fc.constantFrom(...hosts),
        fc.constantFrom('GET', 'HEAD', 'OPTIONS'),
        async (path, host, method) => {
          await ways.asCaller({ target: path, method, headers: { host } });
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('a hit needs a token that was verified lately', () => {
  it('not one that has expired, whose scope is another, or whose issuer is another', async () => {
    const { service } = ways;
    const soon = `Bearer ${await service.token({ exp: service.clock.now() / 1000 + 20 })}`;
    expect(await ways.asCaller({ headers: { authorization: soon } })).toMatchObject({
      isHit: false,
      status: 200,
    });
    expect(await ways.asCaller({ headers: { authorization: soon } })).toMatchObject({
      isHit: true,
      status: 200,
    });
    const other = `Bearer ${await service.token({ scope: 'other', exp: service.clock.now() / 1000 + 86_400 })}`;
    for (const isHit of [false, false])
      expect(await ways.asCaller({ headers: { authorization: other } })).toMatchObject({
        isHit,
        status: 403,
      });
    const foreign = await signTestToken(await createTestKey(), service.clock.now());
    const authorization = `Bearer ${foreign}`;
    expect(await ways.asCaller({ headers: { authorization } })).toMatchObject({ isHit: false, status: 401 });
  });

  it('within 60 seconds', async () => {
    const own = await TwoWays.create({ CACHE_TTL_SECONDS: '3600' });
    await own.warm();
    await own.service.clock.advance(59_999);
    expect(await own.asCaller()).toMatchObject({ isHit: true, status: 200 });
    await own.service.clock.advance(1);
    expect(await own.asCaller()).toMatchObject({ isHit: false, status: 200 });
    expect(await own.asCaller()).toMatchObject({ isHit: true, status: 200 });
  });
});

describe('a hit starts no load', () => {
  it('a stale list is one while its refresh is under way or paused', async () => {
    const own = await TwoWays.create();
    await own.warm();
    const { service } = own;
    await service.clock.advance(31_000);
    const answer = Promise.withResolvers<Response>();
    service.upstream = () => answer.promise;
    const before = service.calls.length;
    // The first request of a stale list starts its refresh, so it is one for the app.
    await own.service.app.request('/imagecaches', { headers: { authorization: own.authorization } });
    await service.arrived(before + 1);
    const stale = await own.asCaller();
    expect(stale).toMatchObject({ isHit: true, status: 200 });
    expect(stale.headers['cache-status']).toMatch(/; detail=stale-while-revalidate$/);
    answer.resolve(new Response('', { status: 404 }));
    await Promise.allSettled(service.background);
    const paused = await own.asCaller();
    expect(paused).toMatchObject({ isHit: true, status: 200 });
    expect(service.calls).toHaveLength(before + 1);
  });
});

describe('a request that is no hit has used up nothing', () => {
  it('of the rate limit, which a hit uses like any other request', async () => {
    const own = await TwoWays.create({ RATE_LIMIT_PER_MINUTE: '12' });
    // Six requests of the twelve.
    await own.warm();
    expect(await own.asCaller()).toMatchObject({ isHit: true, status: 200 });
    expect(await own.asCaller({ target: '/imagecaches?name=A' })).toMatchObject({
      isHit: false,
      status: 400,
    });
    // Two by the hit and its twin, two by the bad query and its twin: two are left.
    expect(await own.asCaller()).toMatchObject({ isHit: true, status: 200 });
    expect(await own.asCaller()).toMatchObject({ isHit: false, status: 429 });
  });
});

it('there are no hits where the platform limits principals, since it answers with a promise', async () => {
  let isWithin = true;
  const own = await TwoWays.create({}, { limitRate: async () => isWithin });
  await own.warm();
  expect(await own.asCaller()).toMatchObject({ isHit: false, status: 200 });
  isWithin = false;
  expect(await own.asCaller()).toMatchObject({ isHit: false, status: 429 });
});

describe('with CORS origins', () => {
  it.each<[origin: string | undefined, allowed: string | undefined]>([
    [ORIGIN, ORIGIN],
    ['https://elsewhere.example.com', undefined],
    ['null', undefined],
    [undefined, undefined],
  ])('a hit for %s carries the headers itself', async (origin, allowed) => {
    const own = await TwoWays.create({ CORS_ORIGINS: `${ORIGIN},https://other.example.com` });
    await own.warm();
    const headers: Record<string, string> = origin === undefined ? {} : { origin };
    for (const sent of [{ headers }, { headers: { ...headers, 'if-none-match': '*' } }]) {
      const answer = await own.asCaller(sent);
      expect(answer.isHit).toBe(true);
      expect(answer.headers['access-control-allow-origin']).toBe(allowed);
      expect(answer.headers['access-control-expose-headers']).toContain('etag');
      expect(answer.headers.vary).toBe('Authorization, Accept-Encoding, Origin');
      const { headers: vendor } = await own.asCaller({ ...sent, target: '/v5/imagecaches' });
      expect(vendor.vary).toBe('Authorization, Accept-Encoding, X-Auth-Token, Origin');
    }
  });
});

describe('without tracing', () => {
  it.each([
    ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00', '0af7651916cd43dd8448eb211c80319c'],
    ['0af7651916cd43dd8448eb211c80319c', undefined],
  ])('the log line of a hit with the traceparent %s has the trace %s', async (traceparent, traceId) => {
    const answer = await ways.asCaller({ headers: { traceparent } });
    expect(answer.isHit).toBe(true);
    expect(answer.logged).toMatchObject([{ fields: { trace_id: traceId, span_id: undefined } }]);
  });
});

describe('with tracing', () => {
  const request = (headers: Readonly<Record<string, string>>): HitRequest => ({
    method: 'GET',
    target: '/imagecaches',
    get: (name) => headers[name] ?? null,
  });

  async function traced(isSampled: boolean, environment: Record<string, string> = {}) {
    const { tracer, spans } = createRecordingTracer();
    const decisions: TraceDecision[] = [];
    const decide = () => {
      const decision = { isSampled, traceId: `${decisions.length}`.padStart(32, '0'), isContinued: false };
      decisions.push(decision);
      return decision;
    };
    const own = await TwoWays.create(environment, { tracer: { ...tracer, decide } });
    await own.warm();
    spans.length = 0;
    decisions.length = 0;
    return { own, spans, decisions };
  }

  it.each(['GET', 'HEAD'])('a %s that is traced has the span that the app would give it', async (method) => {
    const { own, spans, decisions } = await traced(true);
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    for (const sent of [{}, { 'if-none-match': '*' }]) {
      spans.length = 0;
      const answer = await own.asCaller({ method, headers: { traceparent, ...sent } });
      expect(answer.isHit).toBe(true);
      expect(spans).toHaveLength(2);
      expect(spans[0]).toEqual(spans[1]);
      expect(spans[0]).toMatchObject({ name: `${method} /imagecaches`, traceparent, isEnded: true });
      expect(spans[0]?.attributes).toMatchObject({
        'imagecaches.request_id': 'the-same-for-both',
        'network.protocol.version': '1.1',
        'url.path': '/imagecaches',
        'url.scheme': 'http',
      });
      expect(answer.logged).toMatchObject([
        { fields: { trace_id: '0af7651916cd43dd8448eb211c80319c', span_id: RECORDED_SPAN_ID } },
      ]);
    }
    // One for each hit: the server that only knows the app asks for none.
    expect(decisions).toHaveLength(2);
  });

  it('a hit of a name has the name as its query', async () => {
    const { own, spans } = await traced(true);
    expect((await own.asCaller({ target: '/imagecaches?name=db' })).isHit).toBe(true);
    expect(spans).toHaveLength(2);
    expect(spans[0]).toEqual(spans[1]);
    expect(spans[0]?.attributes).toMatchObject({ 'url.path': '/imagecaches', 'url.query': 'name=db' });
  });

  it('a request that the limit leaves to the app brings its decision', async () => {
    // The requests that warm up, and one.
    const { own, spans, decisions } = await traced(true, { RATE_LIMIT_PER_MINUTE: '7' });
    const wanted = request({ authorization: own.authorization });
    expect(own.service.app.hits(wanted)?.status).toBe(200);
    expect(own.service.app.hits(wanted)).toBeUndefined();
    expect(spans).toHaveLength(1);
    expect(decisions).toHaveLength(2);
    expect(wanted.traceDecision).toBe(decisions[1]);
  });

  it('any other is a hit, without a span', async () => {
    const { own, spans, decisions } = await traced(false);
    expect(own.service.app.hits(request({ authorization: own.authorization }))?.status).toBe(200);
    expect(spans).toEqual([]);
    expect(decisions).toHaveLength(1);
    const { fields } = own.service.logger.lines.at(-1) ?? {};
    expect(fields).toMatchObject({ trace_id: decisions[0]?.traceId, span_id: undefined });
  });

  it('what cannot be a hit is not decided on', async () => {
    const { own, decisions } = await traced(true);
    for (const headers of [
      {},
      { authorization: 'Bearer x' },
      { authorization: own.authorization, 'cache-control': 'no-cache' },
    ])
      expect(own.service.app.hits(request(headers))).toBeUndefined();
    expect(decisions).toEqual([]);
  });
});
