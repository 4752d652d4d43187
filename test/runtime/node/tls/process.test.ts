import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../../deploy/demo/token-issuer.ts';
import { signRequest } from '../../../../src/signing/sign-request.ts';
import { type Simulator, startSimulator } from '../../../simulator/simulator.ts';
import { freePort } from '../../../support/free-port.ts';
import { exchangeRaw } from '../../../support/raw-connection.ts';
import { createCertificate, createExpiredCertificate } from '../../../support/test-certificates.ts';
import { endAll, type RunningProcess, startProcess } from '../running-process.ts';

const ENTRY = 'src/runtime/node.ts';
const HEALTH = 'src/runtime/node/check-health.ts';
const DOCTOR = 'src/runtime/node/doctor.ts';
const HOST = '127.0.0.1';

const certificate = createCertificate();
const other = createCertificate('other');
const expired = createExpiredCertificate();
const clients = createCertificate('clients');
const billing = createCertificate('billing', clients);
const trust = { ca: certificate.cert };

let simulator: Simulator;
let issuer: TokenIssuer;
let folder: string;
const running: RunningProcess[] = [];

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  folder = await mkdtemp(join(tmpdir(), 'tls-process-'));
  const texts = {
    'tls.crt': certificate.cert,
    'tls.key': certificate.key,
    'other.key': other.key,
    'expired.crt': expired.cert,
    'expired.key': expired.key,
    'clients.crt': clients.cert,
    'half.crt': clients.cert.slice(0, 300),
  };
  for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, name), text);
});
afterEach(() => endAll(running));
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
  await rm(folder, { recursive: true });
});

const files = (cert = 'tls.crt', key = 'tls.key', clientCa?: string): Record<string, string> => ({
  TLS_CERT_FILE: join(folder, cert),
  TLS_KEY_FILE: join(folder, key),
  ...(clientCa !== undefined && { TLS_CLIENT_CA_FILE: join(folder, clientCa) }),
});

const withClients = () => files('tls.crt', 'tls.key', 'clients.crt');

function start(script: string, args: readonly string[], more: Record<string, string>): RunningProcess {
  const started = startProcess(script, args, {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SHUTDOWN_DELAY_SECONDS: '0',
    ...more,
  });
  running.push(started);
  return started;
}

async function serve(more: Record<string, string>): Promise<RunningProcess & { port: number }> {
  const started = start(ENTRY, [], more);
  const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
  return { ...started, port: Number(port) };
}

describe('--check', () => {
  it.each<[string, () => Record<string, string>, RegExp]>([
    [
      'a file that is missing',
      () => files('none.crt'),
      /TLS_CERT_FILE: names a file that cannot be read \(ENOENT\)/,
    ],
    [
      'a file that cannot be read',
      () => files('.'),
      /TLS_CERT_FILE: names a file that cannot be read \(EISDIR\)/,
    ],
    [
      'a key that does not fit',
      () => files('tls.crt', 'other.key'),
      /TLS_KEY_FILE: holds the key of another cert/,
    ],
    ['no certificate', () => files('tls.key'), /TLS_CERT_FILE: holds no certificate in PEM/],
    [
      'only a certificate',
      () => ({ TLS_CERT_FILE: join(folder, 'tls.crt') }),
      /TLS_KEY_FILE: is missing, and TLS_CERT_FILE/,
    ],
    [
      'half an authority',
      () => files('tls.crt', 'tls.key', 'half.crt'),
      /TLS_CLIENT_CA_FILE: .* cut off or corrupt/,
    ],
  ])('finds %s, with one fault', async (_what, more, fault) => {
    const checked = start(ENTRY, ['--check'], more());
    expect(await checked.exited).toBe(78);
    expect(checked.stderr()).toMatch(/^The configuration has a fault:\n/);
    expect(checked.stderr()).toMatch(fault);
    expect(checked.stdout()).toBe('');
  });

  it('takes files that are good, and warns of a certificate that has expired', async () => {
    const good = start(ENTRY, ['--check'], withClients());
    expect(await good.exited).toBe(0);
    expect(good.stdout()).toMatch(/^The configuration is valid\.[^\n]*\nCredentials: [^\n]*\n$/);
    const old = start(ENTRY, ['--check'], files('expired.crt', 'expired.key'));
    expect(await old.exited).toBe(0);
    expect(old.stdout()).toMatch(
      /\nWarning: TLS_CERT_FILE holds a certificate that expired at 2024-01-02T00:00:00Z\n$/,
    );
  });
});

describe('the doctor', () => {
  it('shows the certificate, warns of one that has expired, and finds a key that does not fit', async () => {
    const examine = async (more: Record<string, string>) => {
      const doctor = start(DOCTOR, ['--json'], more);
      const code = await doctor.exited;
      const { findings } = JSON.parse(doctor.stdout()) as { findings: { name: string }[] };
      return { code, tls: findings.find(({ name }) => name === 'TLS'), findings };
    };
    // It ends within 2 days.
    expect(await examine(withClients())).toMatchObject({
      code: 0,
      tls: {
        status: 'warning',
        detail: expect.stringMatching(
          /^the certificate is for DNS:localhost, IP Address:127\.0\.0\.1, until 20\S+Z, for 1 days; clients need a certificate$/,
        ),
      },
    });
    expect(await examine(files('expired.crt', 'expired.key'))).toMatchObject({
      code: 0,
      tls: { status: 'warning', detail: expect.stringContaining('expired at 2024-01-02') },
    });
    const { code, findings } = await examine(files('tls.crt', 'other.key'));
    expect([code, findings]).toMatchObject([1, [{ name: 'configuration', status: 'failed' }]]);
  });
});

describe('a service with TLS', () => {
  it('does not start with a key that does not fit', async () => {
    const refused = start(ENTRY, [], files('tls.crt', 'other.key'));
    expect(await refused.exited).toBe(78);
    expect(refused.stderr()).toMatch(
      /^The configuration has a fault:\n {2}TLS_KEY_FILE: [^\n]*\n(?:Warning: [^\n]+\n)*$/,
    );
  });

  it('starts with an expired certificate, and says so', async () => {
    const { printed, port } = await serve(files('expired.crt', 'expired.key'));
    await printed(/"level":"warn".*"expires":"2024-01-02T00:00:00Z".*not valid at this time/);
    const text = 'GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';
    expect(await exchangeRaw(port, text, HOST, { rejectUnauthorized: false })).toContain(' 200 ');
  });

  it('ends on SIGTERM before its grace time, with a handshake that does not end and a connection that idles', async () => {
    const service = await serve(files());
    const idle = exchangeRaw(service.port, 'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n', HOST, trust);
    const silent = exchangeRaw(service.port, '');
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    await Promise.all([idle, silent]);
    expect(service.stdout()).not.toContain('the grace time is over');
  });
});

describe('a request that an SDK signed', () => {
  it('is let in over TLS, by the host that it signed', async () => {
    const pair = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
    const SDK_KEYS = JSON.stringify({ keys: [{ ...pair, subject: 'billing' }] });
    const { port } = await serve({ ...files(), SDK_KEYS });
    for (const [host, sent, status] of [
      ['localhost', 'localhost', 200],
      [`localhost:${port}`, `localhost:${port}`, 200],
      ['localhost:443', 'localhost:443', 200],
      ['localhost', 'other.test', 401],
    ] as const) {
      const url = new URL(`https://${host}/v5/imagecaches`);
      const unsigned = { method: 'GET', url, headers: { host } };
      const { headers } = await signRequest(unsigned, pair, { nowMs: Date.now() });
      const lines = Object.entries({ ...headers, host: sent }).map(([name, value]) => `${name}: ${value}`);
      const head = ['GET /v5/imagecaches HTTP/1.1', ...lines, 'Connection: close'].join('\r\n');
      const answer = await exchangeRaw(port, `${head}\r\n\r\n`, HOST, trust);
      expect([sent, answer.slice(0, 12)]).toEqual([sent, `HTTP/1.1 ${status}`]);
    }
  });
});

describe('the health check of the image', () => {
  const check = async (more: Record<string, string>) => start(HEALTH, [], more).exited;

  it.each<[string, () => Record<string, string>, boolean]>([
    ['without TLS', () => ({}), false],
    ['with TLS', () => files(), false],
    ['that wants certificates of clients, on the port of metrics', withClients, true],
    ['that wants certificates of clients and has no metrics', withClients, false],
  ])('asks a service %s', async (_what, more, hasMetrics) => {
    const settings = { ...more(), METRICS_PORT: hasMetrics ? String(await freePort()) : '0' };
    const service = await serve(settings);
    const asked = { ...settings, PORT: String(service.port) };
    expect(await check(asked)).toBe(0);
    await endAll([service]);
    expect(await check(asked)).toBe(1);
  });
});

describe('the port of metrics', () => {
  it('answers probes without TLS and without a certificate', async () => {
    const metricsPort = await freePort();
    const service = await serve({ ...withClients(), METRICS_PORT: String(metricsPort) });
    const url = `http://${HOST}:${metricsPort}`;
    while ((await fetch(`${url}/readyz`)).status !== 200);
    expect(await (await fetch(`${url}/readyz`)).json()).toEqual({ status: 'ready' });
    expect(await (await fetch(`${url}/livez`)).json()).toMatchObject({ status: 'ok' });
    const head = await fetch(`${url}/livez`, { method: 'HEAD' });
    expect([head.status, await head.text()]).toEqual([200, '']);
    expect((await fetch(`${url}/livez`, { method: 'POST' })).status).toBe(405);
    for (const path of ['/imagecaches', '/livez/', '/']) expect((await fetch(url + path)).status).toBe(404);
    const token = await issuer.sign();
    const list = `GET /imagecaches HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`;
    expect(await exchangeRaw(service.port, list, HOST, { ...trust, ...billing })).toContain(' 200 ');
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
  });
});
