import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { createPrometheusMetrics } from '../../../src/runtime/node/telemetry/metrics.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { freePort } from '../../support/free-port.ts';
import { parseSamples } from '../../support/parse-samples.ts';
import { startCold } from '../../support/start-cold.ts';
import { vendorEntry } from '../../support/test-service.ts';
import { endAll, type RunningProcess, startProcess } from './running-process.ts';

let simulator: Simulator;
let issuer: TokenIssuer;
const running: RunningProcess[] = [];

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

function listenOn(port: number): Promise<net.Server> {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function start(more: Record<string, string>): RunningProcess {
  const started = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SHUTDOWN_DELAY_SECONDS: '0',
    ...more,
  });
  running.push(started);
  return started;
}

async function portOf(service: RunningProcess): Promise<number> {
  const [, port] = await service.printed(/"port":(\d+),"upstream".*"msg":"listening"/);
  while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200);
  return Number(port);
}

describe('the Prometheus metrics', () => {
  it('count and measure what the core reports, in base units', async () => {
    const { metrics, render } = createPrometheusMetrics('1.2.3');
    const target = metrics.forTarget(undefined);
    metrics.requestAnswered('/imagecaches', 'GET', 200, 3);
    metrics.requestAnswered('/imagecaches', 'GET', 200, 700);
    metrics.requestAnswered('unmatched', 'BREW', 404, 1);
    target.cacheAnswered('hit', 12_000);
    target.upstreamAnswered('upstream_timeout', 5000);
    target.upstreamRetried();
    target.upstreamInFlight(1);
    target.breakerChanged('open');
    target.entriesDropped('created_at', 3);
    target.clockSkewMeasured(-90_500);
    target.credentialLoaded(1_767_323_045_000);
    target.observeCache(() => ({ entries: 7, bytes: 4096 }));
    const lines = (await render()).split('\n');
    for (const line of [
      'imagecaches_build_info{version="1.2.3"} 1',
      'imagecaches_http_request_duration_seconds_count{route="/imagecaches",method="GET",status="200"} 2',
      'imagecaches_http_request_duration_seconds_sum{route="/imagecaches",method="GET",status="200"} 0.703',
      'imagecaches_http_request_duration_seconds_count{route="unmatched",method="OTHER",status="404"} 1',
      'imagecaches_cache_answers_total{outcome="hit"} 1',
      'imagecaches_cache_age_seconds_sum 12',
      'imagecaches_upstream_call_duration_seconds_sum{result="upstream_timeout"} 5',
      'imagecaches_upstream_retries_total 1',
      'imagecaches_upstream_calls_in_flight 1',
      'imagecaches_upstream_breaker_state{state="open"} 1',
      'imagecaches_upstream_breaker_state{state="closed"} 0',
      'imagecaches_entries_dropped_total{member="created_at"} 3',
      'imagecaches_entries_dropped_total{member="entry"} 0',
      'imagecaches_clock_skew_seconds -90.5',
      'imagecaches_credential_expiry_timestamp_seconds 1767323045',
      'imagecaches_cache_entries 7',
      'imagecaches_cache_bytes 4096',
    ]) {
      expect(lines).toContain(line);
    }
    target.credentialLoaded(undefined);
    expect(await render()).toContain('imagecaches_credential_expiry_timestamp_seconds +Inf');
  });

  it('add up the caches of a target, and keep targets apart', async () => {
    const { metrics, render } = createPrometheusMetrics('1.2.3');
    const [first, second] = [metrics.forTarget('eu-1'), metrics.forTarget('eu-2')];
    first.observeCache(() => ({ entries: 7, bytes: 4096 }));
    first.observeCache(() => ({ entries: 2, bytes: 100 }));
    second.observeCache(() => ({ entries: 1, bytes: 50 }));
    const lines = (await render()).split('\n');
    expect(lines).toContain('imagecaches_cache_entries{target="eu-1"} 9');
    expect(lines).toContain('imagecaches_cache_bytes{target="eu-1"} 4196');
    expect(lines).toContain('imagecaches_cache_entries{target="eu-2"} 1');
  });

  it('have no more label values than the code knows, whatever methods are made up', async () => {
    const { metrics, render } = createPrometheusMetrics('1.2.3');
    for (let index = 0; index < 1000; index += 1) metrics.requestAnswered('unmatched', `M${index}`, 405, 1);
    const lines = (await render())
      .split('\n')
      .filter((line) => line.startsWith('imagecaches_http_request_duration_seconds_count'));
    expect(lines).toEqual([
      'imagecaches_http_request_duration_seconds_count{route="unmatched",method="OTHER",status="405"} 1000',
    ]);
  });
});

describe('METRICS_PORT', () => {
  it('serves what happened, on its own port only, without a secret or a name', async () => {
    const metricsPort = await freePort();
    const service = start({ METRICS_PORT: String(metricsPort) });
    const url = `http://127.0.0.1:${await startCold(simulator, () => portOf(service))}`;
    const token = await issuer.sign({ subject: 'PLANTED-subject' });
    const headers = { authorization: `Bearer ${token}` };
    expect((await fetch(`${url}/imagecaches`, { headers })).status).toBe(200);
    expect((await fetch(`${url}/imagecaches`, { headers })).status).toBe(200);
    await fetch(`${url}/imagecaches?name=planted-name`, { headers });
    await fetch(`${url}/PLANTED-path`, { headers });
    expect((await fetch(`${url}/metrics`, { headers })).status).toBe(404);

    const scrape = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
    expect(scrape.status).toBe(200);
    expect(scrape.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    const text = await scrape.text();
    expect(text).toContain('imagecaches_cache_answers_total{outcome="hit"} 1');
    expect(text).toContain('imagecaches_cache_answers_total{outcome="derived"} 1');
    expect(text).toContain('imagecaches_cache_answers_total{outcome="miss"} 1');
    expect(text).toContain('imagecaches_upstream_call_duration_seconds_count{result="ok"} 1');
    expect(text).toContain('imagecaches_cache_entries 1');
    for (const secret of ['PLANTED', 'planted', token, ...Object.values(simulator.environment)]) {
      expect(text).not.toContain(secret);
    }
    expect((await fetch(`http://127.0.0.1:${metricsPort}/`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { method: 'POST' })).status).toBe(405);
    const head = await fetch(`http://127.0.0.1:${metricsPort}/metrics`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);

    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
  });

  it('tells how connections to the vendor begin: plain, with a new TLS session or a resumed one', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'metrics-tls-'));
    const certificate = join(folder, 'cert.pem');
    execFileSync(
      'openssl',
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1'.split(
        ' ',
      ),
      { cwd: folder, stdio: 'ignore' },
    );
    const [cert, key] = await Promise.all([readFile(certificate), readFile(join(folder, 'key.pem'))]);
    // Each call needs a connection of its own. That of the start fails, so that names are asked for.
    let calls = 0;
    const gateway = https.createServer({ cert, key }, (_request, response) => {
      calls += 1;
      response.statusCode = calls === 1 ? 404 : 200;
      response.setHeader('connection', 'close').end(JSON.stringify({ image_caches: [vendorEntry()] }));
    });
    await new Promise<void>((resolve) => gateway.listen(0, '127.0.0.1', resolve));
    try {
      const metricsPort = await freePort();
      const service = start({
        METRICS_PORT: String(metricsPort),
        CCE_ENDPOINT: `https://127.0.0.1:${(gateway.address() as net.AddressInfo).port}`,
        NODE_EXTRA_CA_CERTS: certificate,
      });
      const url = `http://127.0.0.1:${await portOf(service)}`;
      const headers = { authorization: `Bearer ${await issuer.sign()}` };
      for (const name of ['a', 'b', 'c'])
        expect((await fetch(`${url}/imagecaches?name=${name}`, { headers })).status).toBe(200);
      const samples = parseSamples(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text());
      const begun = (begin: string) =>
        samples.get(`imagecaches_outbound_connections_total{begin="${begin}"}`);
      expect([begun('new_session'), begun('resumed_session')]).toEqual([1, 3]);
      // To the issuer.
      expect(begun('plain')).toBeGreaterThan(0);
    } finally {
      gateway.closeAllConnections();
      await new Promise((resolve) => gateway.close(resolve));
      await rm(folder, { recursive: true });
    }
  });

  it('can be watched during the drain', async () => {
    const metricsPort = await freePort();
    const service = start({
      METRICS_PORT: String(metricsPort),
      SHUTDOWN_GRACE_SECONDS: '60',
      UPSTREAM_ATTEMPT_TIMEOUT_MS: '60000',
      UPSTREAM_DEADLINE_MS: '60000',
    });
    const url = `http://127.0.0.1:${await startCold(simulator, () => portOf(service))}`;
    simulator.hold('slow');
    const slow = fetch(`${url}/imagecaches`, { headers: { authorization: `Bearer ${await issuer.sign()}` } });
    await simulator.arrived('slow');
    service.child.kill('SIGTERM');
    await service.printed(/"msg":"no longer accepting connections"/);
    const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(text).toContain('imagecaches_upstream_calls_in_flight 1');
    simulator.release('slow');
    expect((await slow).status).toBe(200);
    expect(await service.exited).toBe(0);
  });

  it('that is taken stops the start when it was asked for, and does not when it is the default', async () => {
    const taken = await listenOn(0);
    const { port } = taken.address() as net.AddressInfo;
    const asked = start({ METRICS_PORT: String(port) });
    expect(await asked.exited).toBe(1);
    expect(asked.stderr()).toContain(`${port} (EADDRINUSE)`);
    await new Promise((resolve) => taken.close(resolve));

    // Where the machine has something on the default port already, that will do.
    const byDefault = await listenOn(9090).catch(() => undefined);
    const service = start({});
    await service.printed(/no metrics: their default port is taken/);
    await portOf(service);
    if (byDefault !== undefined) await new Promise((resolve) => byDefault.close(resolve));
  });
});
