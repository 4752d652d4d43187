import { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { methodNotAllowed } from 'hono/method-not-allowed';
import { describe, expect, it } from 'vitest';
import type { AppEnv } from '../../src/http/env.ts';
import { observe } from '../../src/http/observe.ts';
import { answerErrors, methodNotAllowedAnswer, notFound, throwErrorsOnly } from '../../src/http/on-error.ts';
import { ProblemError } from '../../src/http/problem.ts';
import { requestId } from '../../src/http/request-id.ts';
import { securityHeaders } from '../../src/http/security-headers.ts';
import { vendorShaped } from '../../src/http/vendor-shaped.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';
import { createTestService } from '../support/test-service.ts';

/** Rooms that throw, behind the middleware of the app. */
function setUp(thrown: unknown) {
  const logger = createRecordingLogger();
  const counted: unknown[][] = [];
  const metrics = { ...NO_METRICS, requestAnswered: (...values: unknown[]) => counted.push(values) };
  const app = new Hono<AppEnv>();
  app.use(requestId(), observe({ ...createFakeClock(), logger, metrics }), securityHeaders());
  app.use(methodNotAllowed({ app, onMethodNotAllowed: methodNotAllowedAnswer }), throwErrorsOnly());
  const room = () =>
    new Hono<AppEnv>()
      .get('/now', () => {
        throw thrown;
      })
      .get('/later', async () => {
        await Promise.resolve();
        throw thrown;
      });
  app.route('/', room());
  app.route('/v5', vendorShaped(room(), logger));
  app.notFound(notFound);
  app.onError(answerErrors(logger));
  return { app, logger, counted };
}

const REQUEST = { headers: { 'x-request-id': 'an-id' } };

describe('whatever is thrown', () => {
  it.each<[name: string, thrown: unknown]>([
    ['an Error', new TypeError('PLANTED')],
    ['a text', 'PLANTED'],
    ['undefined', undefined],
    ['null', null],
    ['an object', { status: 200, message: 'PLANTED' }],
    ['a Response', new Response('PLANTED')],
  ])('%s becomes a logged problem with an id', async (_name, thrown) => {
    for (const path of ['/now', '/later']) {
      const { app, logger, counted } = setUp(thrown);
      const response = await app.request(path, REQUEST);
      expect(response.status).toBe(500);
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(response.headers.get('x-request-id')).toBe('an-id');
      expect(response.headers.get('x-content-type-options')).toBe('nosniff');
      const text = await response.text();
      expect(JSON.parse(text)).toMatchObject({ code: 'internal', status: 500, instance: 'an-id' });
      expect(counted).toEqual([[path, 'GET', 500, 0]]);
      expect(logger.lines.map(({ level, message }) => [level, message])).toEqual([
        ['error', 'internal error'],
        ['warn', 'request'],
      ]);
      expect(text + JSON.stringify(logger.lines)).not.toContain('PLANTED');
    }
  });

  it.each([new Error('PLANTED'), 'PLANTED'])('has the vendor shape in its rooms: %s', async (thrown) => {
    const { app, counted } = setUp(thrown);
    const response = await app.request('/v5/later', REQUEST);
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({
      error_code: 'IMAGECACHES.internal',
      error_msg: 'Internal error',
      request_id: 'an-id',
    });
    expect(counted).toEqual([['/v5/later', 'GET', 500, 0]]);
  });
});

describe('an HTTPException', () => {
  it.each([
    [400, 'bad_request'],
    [401, 'unauthenticated'],
    [404, 'not_found'],
    [413, 'bad_request'],
    [418, 'bad_request'],
    [429, 'rate_limited'],
    [500, 'internal'],
    [503, 'internal'],
    [507, 'internal'],
  ] as const)('keeps its status %i', async (status, code) => {
    const { app } = setUp(new HTTPException(status as 400, { message: 'PLANTED' }));
    const response = await app.request('/now', REQUEST);
    expect(response.status).toBe(status);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ code, status });
    expect(text).not.toContain('PLANTED');
  });
});

describe('errors of ours', () => {
  it('bring their headers', async () => {
    const { app, logger } = setUp(
      new ProblemError('rate_limited', { retryAfterSeconds: 2.5, headers: { ratelimit: 'x' } }),
    );
    const response = await app.request('/now', REQUEST);
    expect(response.status).toBe(429);
    expect(response.headers.get('retry-after')).toBe('3');
    expect(response.headers.get('ratelimit')).toBe('x');
    expect(logger.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('and upstream faults are no internal errors', async () => {
    const { app, logger } = setUp(new UpstreamError('upstream_failed', { reason: 'truncated' }));
    expect((await app.request('/now')).status).toBe(502);
    expect(logger.lines).toMatchObject([{ fields: { code: 'upstream_failed', reason: 'truncated' } }]);
  });
});

describe('a path that is not served, or not to this method', () => {
  it('is unmatched for log and metrics, and keeps the security headers', async () => {
    const { app, counted } = setUp(undefined);
    const missing = await app.request('/nothing', REQUEST);
    expect(missing.status).toBe(404);
    expect(await missing.json()).toMatchObject({ code: 'not_found', instance: 'an-id' });
    const refused = await app.request('/now', { method: 'DELETE', ...REQUEST });
    expect(refused.status).toBe(405);
    expect(refused.headers.get('allow')).toBe('GET, HEAD');
    expect(refused.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(refused.headers.get('content-length')).toBe(String((await refused.text()).length));
    await app.request('/v5/nothing');
    expect(counted.map(([route, method, status]) => [route, method, status])).toEqual([
      ['unmatched', 'GET', 404],
      ['unmatched', 'DELETE', 405],
      ['unmatched', 'GET', 404],
    ]);
  });
});

describe('HEAD', () => {
  it.each(['/imagecaches', '/imagecaches?name=A', '/nothing', '/livez', '/readyz', '/openapi.json'])(
    'of %s has the headers of GET, its length too',
    async (path) => {
      const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' });
      // The first is the miss.
      await service.get('/imagecaches');
      const headers = { 'x-request-id': 'the-same' };
      const get = await service.get(path, { headers });
      const head = await service.get(path, { method: 'HEAD', headers });
      expect(head.status).toBe(get.status);
      expect(Object.fromEntries(head.headers)).toEqual(Object.fromEntries(get.headers));
      expect(head.headers.get('content-length')).toBe(String((await get.arrayBuffer()).byteLength));
      expect(await head.text()).toBe('');
    },
  );
});

describe('a fault before any route', () => {
  it('is a problem too, for a server that asks the app', async () => {
    const service = await createTestService(
      {},
      {
        metrics: {
          ...NO_METRICS,
          requestAnswered: () => {
            throw new Error('PLANTED');
          },
        },
      },
    );
    const request = new Request('http://a.test/livez', { headers: { 'x-request-id': 'an-id' } });
    const response = await service.app.fetch(request);
    expect(response.status).toBe(500);
    expect(response.headers.get('x-request-id')).toBe('an-id');
    expect(await response.json()).toMatchObject({ code: 'internal', instance: 'an-id' });
  });
});

describe('a preflight of a configured origin', () => {
  it('is answered, with an id and the security headers, and observed', async () => {
    const counted: unknown[][] = [];
    const metrics = { ...NO_METRICS, requestAnswered: (...values: unknown[]) => counted.push(values) };
    const service = await createTestService({ CORS_ORIGINS: 'https://app.example.com' }, { metrics });
    const response = await service.app.request('/imagecaches', {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example.com', 'access-control-request-method': 'GET' },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    expect(response.headers.get('access-control-allow-methods')).toBe('GET,HEAD');
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(counted).toEqual([['unmatched', 'OPTIONS', 204, 0]]);
  });

  it('and its errors carry the CORS headers, so that a page can read them', async () => {
    const service = await createTestService({ CORS_ORIGINS: 'https://app.example.com' });
    const response = await service.app.request('/imagecaches', {
      headers: { origin: 'https://app.example.com' },
    });
    expect(response.status).toBe(401);
    expect(response.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
    expect(response.headers.get('vary')).toContain('Origin');
  });
});
