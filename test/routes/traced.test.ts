import { describe, expect, it } from 'vitest';
import {
  createRecordingTracer,
  RECORDED_SPAN_ID,
  RECORDED_TRACE_ID,
  type RecordedSpan,
} from '../support/recording-tracer.ts';
import { createTestService, vendorEntry, vendorList } from '../support/test-service.ts';

const CALLERS_TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

async function setUp(environment: Record<string, string> = {}) {
  const { tracer, spans } = createRecordingTracer();
  const service = await createTestService(environment, { tracer });
  const named = (name: string) => spans.filter((span) => span.name === name);
  return { service, spans, named };
}

describe('the span of a request', () => {
  it('continues the trace of the caller and is the parent of the call upstream that it waits for', async () => {
    const { service, spans } = await setUp();
    await service.get('/imagecaches?name=web-base', {
      headers: { traceparent: CALLERS_TRACE, 'x-request-id': 'mine' },
    });
    expect(spans).toHaveLength(2);
    const [server, client] = spans as [RecordedSpan, RecordedSpan];
    expect(server).toEqual({
      name: 'GET /imagecaches',
      kind: 'server',
      attributes: {
        'http.request.method': 'GET',
        'http.route': '/imagecaches',
        'http.response.status_code': 200,
        'imagecaches.request_id': 'mine',
        'server.address': '127.0.0.1',
        'server.port': 8080,
        'url.path': '/imagecaches',
        'url.query': 'name=web-base',
        'url.scheme': 'http',
      },
      traceparent: CALLERS_TRACE,
      parent: undefined,
      link: undefined,
      failure: undefined,
      isEnded: true,
    });
    expect(client).toEqual({
      name: 'GET /v5/imagecaches',
      kind: 'client',
      attributes: {
        'http.request.method': 'GET',
        'server.address': 'cce.example.test',
        'server.port': 443,
        'network.protocol.version': '1.1',
        'http.response.status_code': 200,
        'imagecaches.request_id': 'mine',
        'url.full': 'https://cce.example.test/v5/imagecaches?name=web-base',
      },
      traceparent: undefined,
      parent: server,
      link: undefined,
      failure: undefined,
      isEnded: true,
    });
    expect([...(service.calls[0]?.headers.keys() ?? [])].sort()).toEqual([
      'accept',
      'authorization',
      'x-sdk-date',
    ]);
  });

  it('is all there is of a hit', async () => {
    const { service, spans } = await setUp();
    await service.get('/imagecaches');
    spans.splice(0);
    await service.get('/imagecaches');
    expect(spans.map(({ name, isEnded }) => [name, isEnded])).toEqual([['GET /imagecaches', true]]);
  });

  it('fails with a 5xx and not with a fault of the caller', async () => {
    const { service, spans, named } = await setUp();
    service.upstream = () => new Response('text of the vendor', { status: 404 });
    expect((await service.get('/imagecaches')).status).toBe(502);
    expect(named('GET /imagecaches')[0]).toMatchObject({
      failure: '502',
      attributes: { 'http.response.status_code': 502 },
    });
    expect(named('GET /v5/imagecaches')[0]).toMatchObject({
      failure: '404',
      attributes: { 'http.response.status_code': 404 },
    });
    service.upstream = () => {
      throw new TypeError('fetch failed');
    };
    await service.get('/imagecaches');
    expect(named('GET /v5/imagecaches').at(-1)).toMatchObject({ failure: 'connection' });
    spans.splice(0);
    expect((await service.get('/imagecaches', { headers: { authorization: 'Bearer x' } })).status).toBe(401);
    expect((await service.get('/imagecaches?name=')).status).toBe(400);
    expect(spans.map(({ failure }) => failure)).toEqual([undefined, undefined]);
  });

  it.each([
    ['HEAD', '/imagecaches', 'HEAD /imagecaches', 'HEAD'],
    ['POST', '/imagecaches', 'POST', 'POST'],
    ['GET', '/somewhere/else', 'GET', 'GET'],
    ['MADEUP', '/imagecaches', 'HTTP', '_OTHER'],
  ])('of %s %s is called by what is ours only', async (method, path, name, methodAttribute) => {
    const { service, spans } = await setUp();
    await service.get(path, { method });
    expect(spans[0]).toMatchObject({ name, attributes: { 'http.request.method': methodAttribute } });
    expect(spans[0]?.attributes['http.route']).toBe(path === name.split(' ')[1] ? path : undefined);
  });

  it('is left out for probes', async () => {
    const { service, spans } = await setUp();
    await service.get('/livez');
    await service.get('/readyz');
    expect(spans).toEqual([]);
  });

  it('holds no word that a caller sent but the id of the request and a valid name', async () => {
    const { service, spans } = await setUp();
    const headers = { 'x-request-id': 'planted.id', 'user-agent': 'planted-agent', baggage: 'planted=1' };
    await service.get('/imagecaches?name=PLANTED', { headers });
    await service.get('/imagecaches?name=a&name=planted', { headers });
    await service.get('/planted-path?planted=1', { headers: { host: 'planted.test' } });
    expect(spans.map(({ attributes }) => [attributes['url.path'], attributes['url.query']])).toEqual([
      ['/imagecaches', 'REDACTED'],
      ['/imagecaches', 'REDACTED'],
      ['/REDACTED', 'REDACTED'],
    ]);
    expect(JSON.stringify(spans.map(({ name, attributes }) => [name, attributes]))).not.toMatch(/planted/i);
  });
});

describe('the call upstream', () => {
  it('belongs to the request that made it, not to those who join it', async () => {
    const { service, named } = await setUp();
    const answer = Promise.withResolvers<Response>();
    service.upstream = () => answer.promise;
    // With a token that has been verified they join before anything else happens.
    const headers = { authorization: `Bearer ${await service.token()}` };
    const first = service.get('/imagecaches', { headers });
    await service.arrived(1);
    const others = [1, 2].map(() => service.get('/imagecaches', { headers }));
    answer.resolve(vendorList(vendorEntry()));
    await first;
    for (const other of await Promise.all(others))
      expect(other.headers.get('cache-status')).toContain('collapsed');
    const [client] = named('GET /v5/imagecaches');
    expect(named('GET /v5/imagecaches')).toHaveLength(1);
    expect(client?.parent).toBe(named('GET /imagecaches')[0]);
  });

  it('begins a trace of its own, with a link, when it refreshes what was served stale', async () => {
    const { service, spans, named } = await setUp();
    await service.get('/imagecaches');
    await service.clock.advance(31_000);
    spans.splice(0);
    await service.get('/imagecaches');
    await Promise.all(service.background);
    const [refresh] = named('refresh /imagecaches');
    expect(refresh).toMatchObject({ kind: 'internal', failure: undefined, isEnded: true });
    expect(refresh?.parent).toBeUndefined();
    expect(refresh?.link).toBe(named('GET /imagecaches')[0]);
    expect(named('GET /v5/imagecaches').map(({ parent }) => parent)).toEqual([refresh]);
  });

  it('says on its refresh why that failed', async () => {
    const { service, named } = await setUp();
    await service.get('/imagecaches');
    await service.clock.advance(31_000);
    service.upstream = () => new Response('text of the vendor', { status: 404 });
    await service.get('/imagecaches');
    await Promise.all(service.background);
    expect(named('refresh /imagecaches')[0]).toMatchObject({ failure: 'status', isEnded: true });
  });
});

describe('the log', () => {
  const linesOf = (service: Awaited<ReturnType<typeof setUp>>['service']) =>
    service.logger.lines
      .filter(({ message }) => message === 'request' || message === 'upstream call')
      .map(({ message, fields: { requestId, trace_id, span_id } }) => [
        message,
        requestId,
        trace_id,
        span_id,
      ]);
  const CALLERS_TRACE_ID = '0af7651916cd43dd8448eb211c80319c';

  it('names the request, the trace and the span in the lines of requests and of calls upstream', async () => {
    const { service } = await setUp();
    await service.get('/imagecaches', { headers: { traceparent: CALLERS_TRACE, 'x-request-id': 'mine' } });
    expect(linesOf(service)).toEqual([
      ['upstream call', 'mine', RECORDED_TRACE_ID, RECORDED_SPAN_ID],
      ['request', 'mine', CALLERS_TRACE_ID, RECORDED_SPAN_ID],
    ]);
  });

  it('names the caller’s trace where nothing is traced, of probes too', async () => {
    const service = await createTestService();
    const headers = { traceparent: CALLERS_TRACE, 'x-request-id': 'mine' };
    await service.get('/imagecaches?name=a', { headers });
    await service.get('/livez', { headers });
    await service.get('/imagecaches', { headers: { ...headers, traceparent: 'PLANTED' } });
    expect(linesOf(service)).toEqual([
      ['upstream call', 'mine', CALLERS_TRACE_ID, undefined],
      ['request', 'mine', CALLERS_TRACE_ID, undefined],
      ['request', 'mine', CALLERS_TRACE_ID, undefined],
      ['upstream call', 'mine', undefined, undefined],
      ['request', 'mine', undefined, undefined],
    ]);
  });

  it('names the first of those who wait for a call, each attempt of it, and who started a refresh', async () => {
    const service = await createTestService();
    const answer = Promise.withResolvers<Response>();
    service.upstream = (_call, index) => (index === 0 ? answer.promise : vendorList(vendorEntry()));
    const authorization = `Bearer ${await service.token()}`;
    const get = (id: string) =>
      service.get('/imagecaches', { headers: { authorization, 'x-request-id': id } });
    const first = get('first');
    await service.arrived(1);
    const second = get('second');
    answer.resolve(new Response('', { status: 500 }));
    await service.clock.advance(1000);
    await Promise.all([first, second]);
    await service.clock.advance(31_000);
    await get('third');
    await Promise.all(service.background);
    const calls = linesOf(service).filter(([message]) => message === 'upstream call');
    expect(calls.map(([, requestId]) => requestId)).toEqual(['first', 'first', 'third']);
  });
});
