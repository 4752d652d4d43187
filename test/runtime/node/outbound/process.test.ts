import { mkdtempSync, rmSync } from 'node:fs';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../../deploy/demo/token-issuer.ts';
import type { Finding } from '../../../../src/runtime/node/doctor/findings.ts';
import { type Simulator, startSimulator } from '../../../simulator/simulator.ts';
import { type OtlpReceiver, startOtlpReceiver } from '../otlp-receiver.ts';
import { endAll, type RunningProcess, startProcess } from '../running-process.ts';
import { makeCertificate, startTestProxy, type TestProxy } from './test-proxy.ts';

const CCE = 'cce.example.test:443';
const COLLECTOR = 'collector.example.test:4318';
const SECURE_COLLECTOR = 'collector.example.test:443';
const USER = 'PLANTEDuser:PLANTED%40password';

const folder = mkdtempSync(join(tmpdir(), 'proxied-'));
const certificate = makeCertificate(folder, ['cce.example.test', 'collector.example.test']);
const running: RunningProcess[] = [];
const hosts: (string | undefined)[] = [];
let simulator: Simulator;
let issuer: TokenIssuer;
let receiver: OtlpReceiver;
let fronts: https.Server[];
let proxy: TestProxy;
let secureProxy: TestProxy;

/** What ends TLS in front of a server. The Host header goes through as it came. */
async function openFront(url: string, seen: (incoming: IncomingMessage) => void): Promise<https.Server> {
  const { hostname, port } = new URL(url);
  const front = https.createServer(certificate, (incoming, outgoing) => {
    seen(incoming);
    const { method, url: path, headers } = incoming;
    const passed = http.request({ hostname, port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  return front;
}
const portOf = (server: https.Server) => (server.address() as AddressInfo).port;

beforeAll(async () => {
  [simulator, issuer, receiver] = await Promise.all([
    startSimulator(),
    startTokenIssuer(),
    startOtlpReceiver(),
  ]);
  fronts = await Promise.all([
    openFront(simulator.url, ({ headers }) => hosts.push(headers.host)),
    openFront(receiver.url, () => undefined),
  ]);
  const [cce, collector] = fronts as [https.Server, https.Server];
  const ports = {
    [CCE]: portOf(cce),
    [SECURE_COLLECTOR]: portOf(collector),
    [COLLECTOR]: Number(new URL(receiver.url).port),
  };
  proxy = await startTestProxy(ports);
  secureProxy = await startTestProxy(ports, certificate);
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
  proxy.answer = undefined;
  (proxy.tunnels as unknown[]).length = 0;
});
afterAll(async () => {
  for (const front of fronts) {
    front.closeAllConnections();
    front.close();
  }
  await Promise.all([proxy, secureProxy, simulator, issuer, receiver].map((part) => part.stop()));
  rmSync(folder, { recursive: true });
});

const proxyUrl = (host = `127.0.0.1:${proxy.port}`) => `http://${USER}@${host}`;

function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    ...simulator.environment,
    CCE_ENDPOINT: 'https://cce.example.test',
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SHUTDOWN_DELAY_SECONDS: '0',
    NODE_EXTRA_CA_CERTS: certificate.file,
    ...more,
  };
}

function start(script: string, args: readonly string[], more: Record<string, string>): RunningProcess {
  const started = startProcess(script, args, environment(more));
  running.push(started);
  return started;
}

async function startService(more: Record<string, string>) {
  const started = start('src/runtime/node.ts', [], more);
  const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
  const url = `http://127.0.0.1:${port}`;
  while ((await fetch(`${url}/readyz`)).status !== 200);
  const headers = { authorization: `Bearer ${await issuer.sign()}` };
  const output = () => started.stdout() + started.stderr();
  return { ...started, output, list: () => fetch(`${url}/imagecaches`, { headers }) };
}

describe('the service behind a proxy', () => {
  it.each([
    ['http/json', `http://${COLLECTOR}`, COLLECTOR],
    ['http/protobuf', 'https://collector.example.test', SECURE_COLLECTOR],
  ])('serves the list and exports traces as %s to %s through it', async (protocol, endpoint, authority) => {
    const exported = receiver.exports.length;
    const service = await startService({
      HTTPS_PROXY: proxyUrl(),
      HTTP_PROXY: proxyUrl(),
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
    });
    const response = await service.list();
    expect(response.status).toBe(200);
    expect(((await response.json()) as { image_caches: unknown[] }).image_caches).toHaveLength(50);
    expect(hosts.at(-1)).toBe('cce.example.test');
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    expect(receiver.exports.length).toBeGreaterThan(exported);
    // The issuer is on loopback, so it is asked directly.
    expect(new Set(proxy.tunnels.map((tunnel) => tunnel.authority))).toEqual(new Set([CCE, authority]));
    expect(service.output()).not.toContain('PLANTED');
  });

  it('trusts the certificates of NODE_EXTRA_CA_CERTS for a proxy of https too', async () => {
    const service = await startService({ https_proxy: `https://127.0.0.1:${secureProxy.port}` });
    expect((await service.list()).status).toBe(200);
    expect(secureProxy.tunnels.length).toBeGreaterThan(0);
  });

  it('says in its log that the proxy wants another password, and shows none', async () => {
    proxy.answer = 'HTTP/1.1 407 PLANTED\r\nproxy-authenticate: Basic realm="PLANTED"\r\n\r\n';
    const service = await startService({ HTTPS_PROXY: proxyUrl() });
    expect((await service.list()).status).toBe(502);
    const line = (await service.printed(/.*"msg":"upstream call".*/))[0];
    expect(line).toContain('"code":"proxy_authentication_required"');
    expect(service.output()).not.toContain('PLANTED');
  });

  it('does not start with a proxy that is none, and names the setting alone', async () => {
    const started = start('src/runtime/node.ts', [], { HTTPS_PROXY: `http://${USER}@proxy:3128/x` });
    expect(await started.exited).toBe(78);
    expect(started.stderr()).toMatch(
      /^The configuration has a fault:\n {2}HTTPS_PROXY: must be [^\n]+\n(?:Warning: [^\n]+\n)*$/,
    );
    expect(started.stderr()).not.toMatch(/PLANTED|proxy:3128/);
  });
});

describe('the doctor behind a proxy', () => {
  async function examine(more: Record<string, string>) {
    const started = start('src/runtime/node/doctor.ts', ['--json'], more);
    await started.exited;
    const { findings } = JSON.parse(started.stdout()) as { findings: Finding[] };
    expect(started.stdout()).not.toContain('PLANTED');
    return (name: string) => findings.find((finding) => finding.name === name) as Finding;
  }

  it('shows the way that is taken', async () => {
    const the = await examine({ HTTPS_PROXY: proxyUrl() });
    const way = `the proxy 127.0.0.1:${proxy.port} of HTTPS_PROXY`;
    expect(the('name of the endpoint').detail).toBe(`left to ${way}: 127.0.0.1 is 127.0.0.1`);
    expect(the('connection').detail).toMatch(
      new RegExp(
        `^cce\\.example\\.test:443 answers through ${way}; its certificate is by test, for \\d days$`,
      ),
    );
    expect(the('permission').status).toBe('ok');
    const direct = await examine({ HTTPS_PROXY: proxyUrl(), NO_PROXY: 'example.test' });
    expect(direct('name of the endpoint').detail).toBe('cce.example.test cannot be resolved (ENOTFOUND)');
  });

  it.each([
    [
      'HTTP/1.1 407 PLANTED\r\n\r\n',
      /^the proxy .* wants another user name or password \(407\)$/,
      /HTTPS_PROXY/,
    ],
    [
      'HTTP/1.1 403 PLANTED\r\n\r\n',
      /^the proxy .* refuses the connection \(proxy_status_403\)$/,
      /NO_PROXY/,
    ],
    [
      'PLANTED',
      /^the proxy .* closes the connection without an answer, or does not speak HTTP$/,
      /HTTPS_PROXY/,
    ],
    ['', /^the proxy .* does not answer in time$/, /HTTPS_PROXY/],
  ])('finds a proxy that answers %j', async (answer, detail, remedy) => {
    proxy.answer = answer;
    // An answer has all the time that a slow machine takes for it.
    const time: Record<string, string> = answer === '' ? { UPSTREAM_CONNECT_TIMEOUT_MS: '300' } : {};
    const the = await examine({ HTTPS_PROXY: proxyUrl(), ...time });
    expect(the('connection')).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(detail),
      remedy: expect.stringMatching(remedy),
    });
  });

  it('finds a proxy that is not there', async () => {
    const the = await examine({ HTTPS_PROXY: proxyUrl('127.0.0.1:1') });
    expect(the('connection').detail).toBe(
      'the proxy 127.0.0.1:1 of HTTPS_PROXY cannot be reached (ECONNREFUSED)',
    );
    const unknown = await examine({ HTTPS_PROXY: proxyUrl('no-such-proxy.invalid:1') });
    expect(unknown('name of the endpoint')).toMatchObject({
      status: 'failed',
      remedy: expect.stringContaining('Check HTTPS_PROXY'),
    });
  });
});
