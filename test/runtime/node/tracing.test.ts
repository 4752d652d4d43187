import http from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import type { TracingConfig } from '../../../src/config/config.ts';
import { createConnector } from '../../../src/runtime/node/platform/outbound/connector.ts';
import { createNodeTracing } from '../../../src/runtime/node/telemetry/tracer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { freePort } from '../../support/free-port.ts';
import { createRecordingLogger } from '../../support/recording-logger.ts';
import { startCold } from '../../support/start-cold.ts';
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from './otlp-receiver.ts';
import { endAll, type RunningProcess, startProcess } from './running-process.ts';

const ENTRY = 'src/runtime/node.ts';
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';
const TRACEPARENT = `00-${TRACE_ID}-${PARENT_ID}-01`;
/** The SDK sends a batch as soon as it holds so many spans. */
const BATCH_SPANS = 512;

const chooseProxy = () => undefined;
const DIRECT = { chooseProxy, connectTimeoutMs: 2000, connect: createConnector({ timeoutMs: 2000 }) };

const ACCESS_KEY_ID = 'AKPLANTED00000000001';
const SECRET_ACCESS_KEY = 'PLANTEDsecret+access/key=0000000000000001';
const SECURITY_TOKEN = 'PLANTEDsecurityToken000000000000000000001';

let simulator: Simulator;
let issuer: TokenIssuer;
let receiver: OtlpReceiver;
let token: string;
const running: RunningProcess[] = [];

beforeAll(async () => {
  simulator = await startSimulator({
    accessKeys: [
      {
        accessKeyId: ACCESS_KEY_ID,
        secretAccessKey: SECRET_ACCESS_KEY,
        securityToken: SECURITY_TOKEN,
      },
    ],
  });
  issuer = await startTokenIssuer();
  token = await issuer.sign();
});
beforeEach(async () => {
  receiver = await startOtlpReceiver();
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
  await receiver.stop();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

interface TracedService extends RunningProcess {
  readonly url: string;
  /** A GET by an authorised caller. */
  get(path: string, headers?: Record<string, string>): Promise<Response>;
  /** Ends it as Kubernetes does. Its last spans have been sent then. */
  stop(): Promise<void>;
}

async function startService(
  more: Record<string, string> = {},
  nodeArguments: readonly string[] = [],
): Promise<TracedService> {
  const [script = ENTRY, ...args] = [...nodeArguments, ENTRY];
  const started = startProcess(script, args, {
    PORT: '0',
    METRICS_PORT: '0',
    CCE_ENDPOINT: simulator.url,
    HUAWEICLOUD_SDK_AK: ACCESS_KEY_ID,
    HUAWEICLOUD_SDK_SK: SECRET_ACCESS_KEY,
    HUAWEICLOUD_SDK_SECURITY_TOKEN: SECURITY_TOKEN,
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '0',
    SHUTDOWN_DELAY_SECONDS: '0',
    SHUTDOWN_GRACE_SECONDS: '5',
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    ...more,
  });
  running.push(started);
  const url = await startCold(simulator, async () => {
    const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
    // Ready comes a moment after listening: each probe is answered, so this asks as fast as it is answered.
    while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200);
    return `http://127.0.0.1:${port}`;
  });
  return {
    ...started,
    url,
    get: (path, headers = {}) =>
      fetch(url + path, { headers: { authorization: `Bearer ${token}`, ...headers } }),
    stop: async () => {
      started.child.kill('SIGTERM');
      expect(await started.exited).toBe(0);
    },
  };
}

/** So many hits fill a batch, which is sent at once. */
async function fillBatch(service: TracedService): Promise<void> {
  for (let sent = 0; sent < BATCH_SPANS; sent += 16) {
    const responses = await Promise.all(Array.from({ length: 16 }, () => service.get('/imagecaches')));
    for (const response of responses) {
      expect(response.status).toBe(200);
      await response.body?.cancel();
    }
  }
}

/** Without that of the one call that the start of a service makes, which nobody asked for. */
const spansOfCallers = () =>
  receiver.spans().filter(({ kind, parentSpanId }) => kind !== 3 || parentSpanId !== undefined);
const callsOfCallers = () => spansOfCallers().filter(({ name }) => name === 'GET /v5/imagecaches');
const named = (name: string) => receiver.spans().filter((span) => span.name === name);

describe('a request', () => {
  it('continues the trace of its caller, and nothing of it goes to the vendor', async () => {
    const service = await startService();
    const sent = {
      traceparent: TRACEPARENT,
      tracestate: 'vendor=PLANTED',
      baggage: 'user=PLANTED',
      'x-request-id': 'mine',
    };
    expect((await service.get('/imagecaches?name=web-base', sent)).status).toBe(200);
    await service.stop();

    const [server] = named('GET /imagecaches') as [ReceivedSpan];
    const [client] = callsOfCallers() as [ReceivedSpan];
    expect(spansOfCallers()).toHaveLength(2);
    expect(server).toMatchObject({ traceId: TRACE_ID, parentSpanId: PARENT_ID, kind: 2, status: 0 });
    expect(server.attributes).toEqual({
      'http.request.method': 'GET',
      'http.route': '/imagecaches',
      'http.response.status_code': 200,
      'imagecaches.request_id': 'mine',
      'network.protocol.version': '1.1',
      'url.path': '/imagecaches',
      'url.query': 'name=web-base',
      'url.scheme': 'http',
    });
    expect(client).toMatchObject({ traceId: TRACE_ID, parentSpanId: server.spanId, kind: 3, status: 0 });
    expect(client.attributes).toEqual({
      'http.request.method': 'GET',
      'server.address': '127.0.0.1',
      'server.port': simulator.port,
      'network.protocol.version': '1.1',
      'http.response.status_code': 200,
      'imagecaches.request_id': 'mine',
      'url.full': `${simulator.url}/v5/imagecaches?name=web-base`,
    });
    const lines = service
      .stdout()
      .split('\n')
      .filter((line) => /"msg":"(?:upstream call|request)"/.test(line) && line.includes('mine'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toMatchObject([
      { msg: 'upstream call', requestId: 'mine', trace_id: TRACE_ID, span_id: client.spanId },
      { msg: 'request', requestId: 'mine', trace_id: TRACE_ID, span_id: server.spanId },
    ]);
    expect(simulator.requests).toHaveLength(1);
    const names = simulator.requests.flatMap(({ headers }) => headers.map(([name]) => name.toLowerCase()));
    expect(names).toContain('authorization');
    for (const name of ['traceparent', 'tracestate', 'baggage']) expect(names).not.toContain(name);
  });

  it('begins a trace when its traceparent is none', async () => {
    const service = await startService();
    const malformed = [
      '',
      'PLANTED',
      `00-${'0'.repeat(32)}-${PARENT_ID}-01`,
      `00-${TRACE_ID}-${'0'.repeat(16)}-01`,
      `ff-${TRACE_ID}-${PARENT_ID}-01`,
      TRACEPARENT.toUpperCase(),
      `${TRACEPARENT}, ${TRACEPARENT}`,
      `${TRACEPARENT}-00`,
    ];
    for (const traceparent of malformed)
      expect((await service.get('/imagecaches', { traceparent })).status).toBe(200);
    expect((await service.get('/imagecaches')).status).toBe(200);
    await service.stop();
    const servers = named('GET /imagecaches');
    expect(servers.map(({ parentSpanId }) => parentSpanId)).toEqual(
      Array(malformed.length + 1).fill(undefined),
    );
    const traceIds = new Set(servers.map(({ traceId }) => traceId));
    expect(traceIds.size).toBe(servers.length);
    expect(traceIds).not.toContain(TRACE_ID);
  });

  it('has a span for each attempt, with what went wrong in our words', async () => {
    const service = await startService();
    simulator.script({ times: 2, answer: { kind: 'respond', status: 500, text: 'PLANTED' } });
    expect((await service.get('/imagecaches')).status).toBe(502);
    await service.stop();
    const [server] = named('GET /imagecaches') as [ReceivedSpan];
    expect(server).toMatchObject({
      status: 2,
      attributes: { 'http.response.status_code': 502, 'error.type': '502' },
    });
    const attempts = callsOfCallers();
    expect(attempts.map(({ status, parentSpanId }) => [status, parentSpanId])).toEqual([
      [2, server.spanId],
      [2, server.spanId],
    ]);
    expect(attempts.map(({ attributes }) => attributes['http.request.resend_count'])).toEqual([undefined, 1]);
    for (const { attributes } of attempts)
      expect(attributes).toMatchObject({ 'http.response.status_code': 500, 'error.type': '500' });
  });

  it('that joins the load of another has no part in its trace', async () => {
    const service = await startService();
    simulator.hold('slow');
    const first = service.get('/imagecaches', { traceparent: TRACEPARENT });
    await simulator.arrived('slow');
    // Node answers `100 Continue` and then, before anything else, hands the request over: it has joined by then.
    const joined = Promise.withResolvers<void>();
    const second = new Promise<http.IncomingMessage>((resolve, reject) => {
      const headers = { authorization: `Bearer ${token}`, expect: '100-continue' };
      http
        .get(`${service.url}/imagecaches`, { headers }, resolve)
        .on('continue', joined.resolve)
        .on('error', reject);
    });
    await joined.promise;
    simulator.release('slow');
    expect((await first).status).toBe(200);
    const { headers } = (await second).resume();
    expect(headers['cache-status']).toContain('collapsed');
    await service.stop();

    const servers = named('GET /imagecaches');
    const [client] = callsOfCallers() as [ReceivedSpan];
    expect(servers).toHaveLength(2);
    const [mine, other] = [
      servers.find(({ traceId }) => traceId === TRACE_ID),
      servers.find(({ traceId }) => traceId !== TRACE_ID),
    ];
    expect(client).toMatchObject({ traceId: TRACE_ID, parentSpanId: mine?.spanId });
    expect(spansOfCallers().filter(({ traceId }) => traceId === other?.traceId)).toHaveLength(1);
  });
});

describe('the resource', () => {
  it('is named by us, and by OpenTelemetry’s own variables', async () => {
    const service = await startService({ OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=staging' });
    await service.get('/imagecaches');
    await service.stop();
    expect(spansOfCallers()[0]?.resource).toMatchObject({
      'service.name': 'imagecaches-bff',
      'service.version': expect.stringMatching(/^\d+\.\d+\.\d+/),
      'service.instance.id': expect.stringMatching(
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      ),
      'deployment.environment.name': 'staging',
      'telemetry.sdk.name': 'opentelemetry',
    });
    const schemaUrl = 'https://opentelemetry.io/schemas/1.45.0';
    expect(receiver.spans()[0]?.schemaUrls).toEqual([schemaUrl, schemaUrl]);
    const renamed = await startService({
      OTEL_SERVICE_NAME: 'lists',
      OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=pod-7',
    });
    await renamed.get('/imagecaches');
    await renamed.stop();
    expect(spansOfCallers().at(-1)?.resource).toMatchObject({
      'service.name': 'lists',
      'service.instance.id': 'pod-7',
    });
  });
});

describe('secrets', () => {
  it.each([
    ['http/json', 'application/json'],
    ['http/protobuf', 'application/x-protobuf'],
  ])('are in no byte of an export by %s, wherever they are planted', async (protocol, contentType) => {
    const service = await startService({
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=PLANTEDcollectorKey',
      LOG_LEVEL: 'trace',
    });
    const planted = {
      traceparent: TRACEPARENT,
      tracestate: 'a=PLANTEDstate',
      baggage: 'a=PLANTEDbaggage',
      'user-agent': 'PLANTEDagent',
      // No id: it has a dot.
      'x-request-id': 'PLANTED.id',
      cookie: 'PLANTEDcookie',
    };
    simulator.script(
      { answer: { kind: 'respond', status: 404, headers: [['X-A', 'PLANTED']], text: 'PLANTEDbody' } },
      { answer: { kind: 'respond', status: 200, text: '{"image_caches": PLANTEDjson' }, times: 2 },
      { answer: { kind: 'respond', status: 302, headers: [['Location', 'http://127.0.0.1:1/PLANTED']] } },
    );
    for (const path of ['a', 'b', 'c', 'd'].map((name) => `/imagecaches?name=wanted-${name}`))
      await service.get(path, planted);
    await service.get('/imagecaches?PLANTEDquery=1', planted);
    await service.get('/imagecaches?name=PLANTED', planted);
    await service.get('/PLANTEDpath', planted);
    await service.get('/imagecaches', { ...planted, authorization: 'Bearer PLANTED.token.x' });
    await service.stop();

    const [first] = receiver.exports;
    expect(first).toMatchObject({
      path: '/v1/traces',
      headers: { 'content-type': contentType, 'x-collector-key': 'PLANTEDcollectorKey' },
    });
    const bytes = Buffer.concat(receiver.exports.map(({ body }) => body)).toString('latin1');
    // That something is there to be searched.
    expect(bytes).toContain('GET /v5/imagecaches');
    expect(bytes).toContain('invalid_json');
    // A valid name, which a log line has too.
    expect(bytes).toContain('name=wanted-a');
    expect(bytes.toLowerCase()).not.toContain('planted');
    for (const part of token.split('.')) expect(bytes).not.toContain(part);
    expect(service.stdout() + service.stderr()).not.toContain('PLANTEDcollectorKey');
  });
});

describe('a collector', () => {
  it('that answers 500 harms no request, is told of once, and told of again when it is well', async () => {
    const service = await startService({ OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=PLANTEDkey' });
    receiver.answer = (response) => {
      response.writeHead(500, 'PLANTED words').end('PLANTED body');
    };
    await fillBatch(service);
    await service.printed(/"status":500,.*"msg":"traces cannot be exported"/);
    const failures = receiver.exports.length;
    await fillBatch(service);
    await receiver.arrived(failures + 1);
    receiver.answer = (response) => {
      response.writeHead(200).end('{}');
    };
    await fillBatch(service);
    await service.printed(/"msg":"traces are exported again"/);
    await service.stop();
    expect(service.stdout().match(/traces cannot be exported/g)).toHaveLength(1);
    expect(service.stdout().match(/traces are exported again/g)).toHaveLength(1);
    expect(service.stdout() + service.stderr()).not.toContain('PLANTED');
  });

  it('that is full is told of with its status', async () => {
    // Given up before it is tried a second time: that would be after the exporter's time.
    receiver.answer = (response) => {
      response.writeHead(503, { 'retry-after': '3600' }).end();
    };
    const service = await startService();
    await fillBatch(service);
    await service.printed(/"status":503,.*"msg":"traces cannot be exported"/);
    await service.stop();
  });

  it('that hangs harms no request, and the stop waits for it 2 seconds', async () => {
    // The exporter's own time-out is not what ends the wait.
    const service = await startService({ OTEL_EXPORTER_OTLP_TIMEOUT: '3600000' });
    receiver.answer = () => undefined;
    await fillBatch(service);
    await receiver.arrived(1);
    expect((await service.get('/imagecaches')).status).toBe(200);
    await service.stop();
    expect(service.stdout()).toContain('the last traces were not exported in time');
    expect(service.stdout()).toContain('"msg":"stopped"');
  });

  it('that is down harms no request and no stop', async () => {
    // Nobody listens there.
    const port = await freePort();
    const service = await startService({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });
    await fillBatch(service);
    await service.stop();
    expect(service.stdout()).toContain('"msg":"stopped"');
  });

  it('for which a header is no header harms nothing, and the header stays unsaid', async () => {
    const service = await startService({ OTEL_EXPORTER_OTLP_HEADERS: 'x-collector-key=PLANTED%0Akey' });
    expect((await service.get('/imagecaches')).status).toBe(200);
    await service.stop();
    expect(receiver.exports).toEqual([]);
    expect(service.stdout()).toMatch(/"code":"ERR_INVALID_CHAR".*"msg":"traces cannot be exported"/);
    expect(service.stdout() + service.stderr()).not.toContain('PLANTED');
  });
});

describe('without OTEL_EXPORTER_OTLP_ENDPOINT', () => {
  async function modulesOf(endpoint: string): Promise<{ readonly url: string; readonly parent: string }[]> {
    const service = await startService({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, [
      '--import',
      './test/runtime/node/report-resolutions.ts',
    ]);
    expect((await service.get('/imagecaches', { traceparent: TRACEPARENT })).status).toBe(200);
    await service.stop();
    return [...service.stderr().matchAll(/^resolved (\S+) for (\S+)$/gm)].map(
      ([, url = '', parent = '']) => ({
        url,
        parent,
      }),
    );
  }

  it('nothing of OpenTelemetry is loaded by us', async () => {
    const isTracing = ({ url }: { url: string }) => /@opentelemetry|\/telemetry\/tracer\.ts/.test(url);
    // The metrics' library loads the API by itself, which does nothing without an SDK.
    const ofMetrics = ({ parent }: { parent: string }) => /prom-client|@opentelemetry\/api/.test(parent);
    const modules = await modulesOf('');
    expect(modules.length).toBeGreaterThan(50);
    expect(modules.filter((module) => isTracing(module) && !ofMetrics(module))).toEqual([]);
    expect(receiver.exports).toEqual([]);

    const traced = (await modulesOf(receiver.url)).filter(
      (module) => isTracing(module) && !ofMetrics(module),
    );
    expect(traced.map(({ url }) => url)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('/telemetry/tracer.ts'),
        expect.stringContaining('@opentelemetry/sdk-trace'),
        expect.stringContaining('@opentelemetry/exporter-trace-otlp-http'),
      ]),
    );
    // Of the two exporters only the one that is wanted.
    expect(traced.filter(({ url }) => url.includes('exporter-trace-otlp-proto'))).toEqual([]);
  });
});

describe('createNodeTracing', () => {
  async function tracing(more: Partial<TracingConfig> = {}) {
    const logger = createRecordingLogger();
    const config: TracingConfig = {
      url: `${receiver.url}/v1/traces`,
      protocol: 'http/json',
      sampler: 'parentbased_always_on',
      sampledShare: 1,
      ...more,
    };
    return { logger, ...(await createNodeTracing(config, '1.2.3', logger, DIRECT)) };
  }
  const traceparent = (flags: string) => new Headers({ traceparent: `00-${TRACE_ID}-${PARENT_ID}-${flags}` });

  it('begins a trace with a link to what caused it, and keeps what it starts inside', async () => {
    const { tracer, stop } = await tracing();
    await tracer.inSpan({ name: 'request', kind: 'server', parentHeaders: traceparent('01') }, async () => {
      const refreshed = tracer.inSpan({ name: 'refresh', kind: 'internal', beginsTrace: true }, async () => {
        await new Promise((resolve) => setImmediate(resolve));
        return tracer.inSpan({ name: 'call', kind: 'client' }, () => 7);
      });
      expect(await refreshed).toBe(7);
    });
    await stop();
    const [request, refresh, call] = ['request', 'refresh', 'call'].map((name) => named(name)[0]) as [
      ReceivedSpan,
      ReceivedSpan,
      ReceivedSpan,
    ];
    expect(refresh.traceId).not.toBe(TRACE_ID);
    expect(refresh.parentSpanId).toBeUndefined();
    expect(refresh.links).toEqual([`${TRACE_ID} ${request.spanId}`]);
    expect(call).toMatchObject({ traceId: refresh.traceId, parentSpanId: refresh.spanId, links: [] });
  });

  it('ends the span of work that throws or rejects, and passes the error on', async () => {
    const { tracer, stop } = await tracing();
    const error = new Error('PLANTED');
    expect(() =>
      tracer.inSpan({ name: 'throws', kind: 'client' }, () => {
        throw error;
      }),
    ).toThrow(error);
    await expect(
      tracer.inSpan({ name: 'rejects', kind: 'client' }, async (span) => {
        span.fail('status');
        throw error;
      }),
    ).rejects.toBe(error);
    await stop();
    expect(named('throws')).toHaveLength(1);
    expect(named('rejects')[0]).toMatchObject({ status: 2, attributes: { 'error.type': 'status' } });
    expect(receiver.exports[0]?.body.toString()).not.toContain('PLANTED');
  });

  it.each([
    ['parentbased_always_on', 1, '01', 2],
    ['parentbased_always_on', 1, '00', 1],
    ['parentbased_always_off', 1, '01', 1],
    ['parentbased_traceidratio', 0, '01', 1],
    ['parentbased_traceidratio', 1, '00', 1],
    ['always_on', 1, '00', 2],
    ['always_off', 1, '01', 0],
    ['traceidratio', 0, '01', 0],
    ['traceidratio', 1, '00', 2],
  ] as const)(
    'samples by %s %d, of a caller with flags %s and one without',
    async (sampler, share, flags, kept) => {
      const { tracer, stop } = await tracing({ sampler, sampledShare: share });
      tracer.inSpan({ name: 'request', kind: 'server', parentHeaders: traceparent(flags) }, () => undefined);
      tracer.inSpan({ name: 'request', kind: 'server', parentHeaders: new Headers() }, () => undefined);
      await stop();
      expect(receiver.spans()).toHaveLength(kept);
    },
  );
});
