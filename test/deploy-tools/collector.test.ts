import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import type { ReceivedSpan } from '../runtime/node/otlp-receiver.ts';
import { type Certificate, makeCertificate } from '../runtime/node/outbound/test-proxy.ts';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { startCold } from '../support/start-cold.ts';
import { installCollector } from './install-tools.ts';
import { type Collector, countRequests, runCollector, startCollector } from './start-collector.ts';

const SERVER = 'GET /imagecaches';
const CLIENT = 'GET /v5/imagecaches';
const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0';
const TRACE_ID = '0af7651916cd43dd8448eb211c80319c';
const PARENT_ID = 'b7ad6b7169203331';
/** A batch of so many spans is sent at once. */
const BATCH_SPANS = 512;

let program: string;
let simulator: Simulator;
let issuer: TokenIssuer;
let authorization: string;
let folder: string;
let certificate: Certificate;
const running: RunningProcess[] = [];

beforeAll(async () => {
  program = await installCollector();
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  authorization = `Bearer ${await issuer.sign()}`;
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'collector-'));
  certificate = makeCertificate(folder, []);
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
  await rm(folder, { recursive: true });
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

async function collect(more: { port?: number; receiver?: Record<string, unknown> } = {}): Promise<Collector> {
  const collector = await startCollector({ program, folder, ...more });
  running.push(collector);
  return collector;
}

interface Service extends RunningProcess {
  readonly url: string;
  /** Asks for the list with a request id and expects to get it. */
  list(id: string, headers?: Record<string, string>): Promise<void>;
  /** Fills a batch, with request ids that begin so. */
  fillBatch(prefix: string): Promise<void>;
  /** Ends it as Kubernetes does. */
  stop(): Promise<void>;
}

async function startService(endpoint: string, more: Record<string, string> = {}): Promise<Service> {
  const started = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '0',
    SHUTDOWN_DELAY_SECONDS: '0',
    SHUTDOWN_GRACE_SECONDS: '5',
    OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
    ...more,
  });
  running.push(started);
  const url = await startCold(simulator, async () => {
    const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
    while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200);
    return `http://127.0.0.1:${port}`;
  });
  const list = async (id: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}/imagecaches`, {
      headers: { authorization, 'x-request-id': id, ...headers },
    });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
  };
  return {
    ...started,
    url,
    list,
    fillBatch: async (prefix) => {
      for (let sent = 0; sent < BATCH_SPANS; sent += 16)
        await Promise.all(Array.from({ length: 16 }, (_, index) => list(`${prefix}-${sent + index}`)));
    },
    stop: async () => {
      started.child.kill('SIGTERM');
      expect(await started.exited).toBe(0);
      expect(started.stdout()).toContain('"msg":"stopped"');
    },
  };
}

/** What a collector has kept of a request and its one call. */
function expectTrace(spans: readonly ReceivedSpan[]): void {
  const server = spans.find(({ name }) => name === SERVER) as ReceivedSpan;
  const client = spans.find(({ name, parentSpanId }) => name === CLIENT && parentSpanId) as ReceivedSpan;
  expect(server).toMatchObject({ traceId: TRACE_ID, parentSpanId: PARENT_ID, kind: 2, status: 0 });
  expect(server.attributes).toEqual({
    'http.request.method': 'GET',
    'http.route': '/imagecaches',
    'http.response.status_code': 200,
    'imagecaches.request_id': 'mine',
    'network.protocol.version': '1.1',
    'url.path': '/imagecaches',
    'url.scheme': 'http',
  });
  expect(client).toMatchObject({ traceId: TRACE_ID, parentSpanId: server.spanId, kind: 3, status: 0 });
  expect(client.attributes).toEqual({
    'http.request.method': 'GET',
    'http.response.status_code': 200,
    'imagecaches.request_id': 'mine',
    'network.protocol.version': '1.1',
    'server.address': '127.0.0.1',
    'server.port': simulator.port,
    'url.full': `${simulator.url}/v5/imagecaches`,
  });
  for (const { schemaUrls, resource } of [server, client]) {
    expect(schemaUrls).toEqual([SCHEMA_URL, SCHEMA_URL]);
    expect(resource).toMatchObject({
      'service.name': 'imagecaches-bff',
      'service.version': expect.stringMatching(/^\d+\.\d+\.\d+/),
      'service.instance.id': expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-/),
      'deployment.environment.name': 'staging',
    });
  }
}

describe('an OpenTelemetry collector', () => {
  it.each(['http/protobuf', 'http/json'])(
    'takes all spans by %s, plain, gzipped and by TLS',
    async (protocol) => {
      const settings = {
        OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
        OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=staging',
      };
      const traceparent = `00-${TRACE_ID}-${PARENT_ID}-01`;
      const tls = { cert_file: certificate.file, key_file: join(folder, 'key.pem') };
      for (const [receiver, scheme, more] of [
        [{}, 'http', {}],
        [{}, 'http', { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' }],
        [{ tls }, 'https', { OTEL_EXPORTER_OTLP_CERTIFICATE: certificate.file }],
      ] as const) {
        await rm(join(folder, 'spans.jsonl'), { force: true });
        const collector = await collect({ receiver });
        const service = await startService(collector.url.replace('http', scheme), { ...settings, ...more });
        await service.list('mine', { traceparent });
        await service.stop();
        const spans = await collector.received(1, 'mine');
        expectTrace(spans);
        expect(await collector.counts()).toEqual({ accepted: spans.length, refused: 0 });
        expect(service.stdout()).not.toContain('traces cannot be exported');
      }
    },
  );

  it('with the configuration that is shipped hands them on', async () => {
    const backend = await collect();
    const port = await freePort();
    const shipped = await readFile(
      new URL('../../deploy/otel-collector/imagecaches-bff.yaml', import.meta.url),
      'utf8',
    );
    const config = join(folder, 'shipped.yaml');
    await writeFile(
      config,
      shipped
        .replace('0.0.0.0:4318', `127.0.0.1:${port}`)
        .replace('/etc/otelcol/tls/otel.example.com.pem', certificate.file)
        .replace('/etc/otelcol/tls/otel.example.com.key', join(folder, 'key.pem'))
        .replace('https://traces.example.com', backend.url)
        // Its own metrics would take a fixed port.
        .replace(/^service:$/m, 'service:\n  telemetry: { metrics: { level: none } }'),
    );
    running.push(await runCollector(program, config));
    const service = await startService(`https://127.0.0.1:${port}`, {
      OTEL_EXPORTER_OTLP_CERTIFICATE: certificate.file,
      OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=staging',
    });
    await service.list('mine', { traceparent: `00-${TRACE_ID}-${PARENT_ID}-01` });
    await service.stop();
    expectTrace(await backend.received(1, 'mine'));
  });

  it('that takes no gzip is told of with its status, and callers see nothing', async () => {
    const collector = await collect({ receiver: { compression_algorithms: [''] } });
    const service = await startService(collector.url, { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' });
    await service.fillBatch('mine');
    await service.printed(/"status":400,.*"msg":"traces cannot be exported"/);
    await service.stop();
    expect(await collector.counts()).toEqual({ accepted: 0, refused: 0 });
  });

  it('that is killed and restarted lacks only what was given up meanwhile', async () => {
    const first = await collect();
    // Long for the collector to take a batch, on a machine that is busy too; what it does not take is given up after it.
    const service = await startService(first.url, { OTEL_EXPORTER_OTLP_TIMEOUT: '10000' });
    await service.fillBatch('before');
    await first.received(BATCH_SPANS, 'before');
    first.child.kill('SIGKILL');
    await first.exited;
    await service.fillBatch('meanwhile');
    await service.printed(/"msg":"traces cannot be exported"/);
    const second = await collect({ port: Number(new URL(first.url).port) });
    await service.fillBatch('after');
    await service.printed(/"msg":"traces are exported again"/);
    await service.stop();
    const spans = await second.received(BATCH_SPANS, 'after');
    expect(['before', 'after'].map((prefix) => countRequests(spans, prefix))).toEqual([
      BATCH_SPANS,
      BATCH_SPANS,
    ]);
    expect(countRequests(spans, 'meanwhile')).toBeLessThan(BATCH_SPANS);
  });

  it('that is back within the time of an export lacks nothing', async () => {
    const first = await collect();
    const service = await startService(first.url, { OTEL_EXPORTER_OTLP_TIMEOUT: '30000' });
    first.child.kill('SIGKILL');
    await first.exited;
    // In its place something that cuts every connection.
    const tried = Promise.withResolvers<void>();
    const cutting = createServer((socket) => {
      socket.destroy();
      tried.resolve();
    });
    const port = Number(new URL(first.url).port);
    await new Promise<void>((resolve) => cutting.listen(port, '127.0.0.1', resolve));
    await service.fillBatch('meanwhile');
    await tried.promise;
    await new Promise((resolve) => cutting.close(resolve));
    const second = await collect({ port });
    const spans = await second.received(BATCH_SPANS, 'meanwhile');
    await service.stop();
    expect(countRequests(spans, 'meanwhile')).toBe(BATCH_SPANS);
    expect(service.stdout()).not.toContain('traces cannot be exported');
  });

  it.each(['SIGKILL', 'SIGSTOP'] as const)(
    'after %s holds up no caller, and the stop for 2 seconds',
    async (signal) => {
      const collector = await collect();
      // The exporter would try for ten minutes, as long as a test may take.
      const service = await startService(collector.url, { OTEL_EXPORTER_OTLP_TIMEOUT: '600000' });
      await service.fillBatch('before');
      await collector.received(1, 'before');
      collector.child.kill(signal);
      if (signal === 'SIGKILL') await collector.exited;
      await service.fillBatch('meanwhile');
      await service.stop();
      expect(service.stdout()).toMatch(/"timeoutMs":2000.*"msg":"the last traces were not exported in time"/);
    },
  );
});
