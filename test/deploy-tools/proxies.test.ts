import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { type DeployTools, installTools } from './install-tools.ts';

const run = promisify(execFile);
const DEPLOY = new URL('../../deploy/', import.meta.url);
/** What a client says of itself; nobody may believe it. */
const FORGED = '203.0.113.9';

let tools: DeployTools;
let simulator: Simulator;
let issuer: TokenIssuer;
let folder: string;
const running: RunningProcess[] = [];
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  tools = await installTools();
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  folder = await mkdtemp(join(tmpdir(), 'proxy-'));
  execFileSync(
    'openssl',
    'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=imagecaches.example.com'.split(
      ' ',
    ),
    { cwd: folder, stdio: 'ignore' },
  );
}, 900_000);
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await endAll(running);
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
  await rm(folder, { recursive: true, force: true });
});

async function startService(): Promise<number> {
  const started = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    TRUSTED_PROXIES: '127.0.0.1',
    AUTH_FAILURES_PER_MINUTE: '3',
  });
  running.push(started);
  const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
  while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200);
  return Number(port);
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function get(port: number, path: string, headers: Record<string, string> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    https
      .get({ port, path, headers, rejectUnauthorized: false, host: '127.0.0.1' }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      })
      .on('error', reject);
  });
}

async function startNginx(servicePort: number): Promise<number> {
  const port = await freePort();
  const site = (await readFile(new URL('nginx/imagecaches-bff.conf', DEPLOY), 'utf8'))
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`)
    .replace(/^\s*listen \[::\]:443 ssl;$/m, '')
    .replace('server 127.0.0.1:8080', `server 127.0.0.1:${servicePort}`)
    .replace('/etc/nginx/tls/imagecaches.example.com.pem', join(folder, 'cert.pem'))
    .replace('/etc/nginx/tls/imagecaches.example.com.key', join(folder, 'key.pem'));
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  const file = join(folder, 'nginx.conf');
  await writeFile(
    file,
    `daemon off;\npid ${join(folder, 'nginx.pid')};\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n${paths.join('\n')}\n${site}\n}\n`,
  );
  const check = await run('nginx', ['-t', '-c', file, '-p', folder]);
  expect(check.stderr).toContain('test is successful');
  expect(check.stderr).not.toContain('[warn]');
  const child = spawn('nginx', ['-c', file, '-p', folder], { stdio: 'ignore' });
  closing.push(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
  });
  return untilListening(port);
}

async function startEnvoy(servicePort: number): Promise<number> {
  const port = await freePort();
  const config = (await readFile(new URL('envoy/imagecaches-bff.yaml', DEPLOY), 'utf8'))
    .replace('address: 0.0.0.0, port_value: 443', `address: 127.0.0.1, port_value: ${port}`)
    .replace('port_value: 8080', `port_value: ${servicePort}`)
    .replace('/etc/envoy/tls/imagecaches.example.com.pem', join(folder, 'cert.pem'))
    .replace('/etc/envoy/tls/imagecaches.example.com.key', join(folder, 'key.pem'));
  const file = join(folder, 'envoy.yaml');
  await writeFile(file, config);
  const args = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  const { stdout } = await run(tools.envoy, ['--mode', 'validate', '-c', file, ...args]);
  expect(stdout).toContain('OK');
  const child = spawn(tools.envoy, ['-c', file, ...args], { stdio: 'ignore' });
  closing.push(async () => {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  });
  return untilListening(port);
}

async function untilListening(port: number): Promise<number> {
  for (;;) {
    const isUp = await get(port, '/').then(
      () => true,
      () => false,
    );
    if (isUp) return port;
  }
}

describe.each([
  ['nginx', startNginx],
  ['Envoy', startEnvoy],
])('%s in front', (_name, start) => {
  it('hands on what callers need, and nothing of the inside', async () => {
    const port = await start(await startService());
    const token = await issuer.sign();
    const first = await get(port, '/imagecaches', { authorization: `Bearer ${token}` });
    expect(first.status).toBe(200);
    expect(JSON.parse(first.body).image_caches).toHaveLength(50);
    expect(first.headers['cache-status']).toContain('imagecaches');
    const etag = first.headers.etag as string;
    const again = await get(port, '/imagecaches?name=media-web-06', { authorization: `Bearer ${token}` });
    expect(again.status).toBe(200);
    const unchanged = await get(port, '/imagecaches', {
      authorization: `Bearer ${token}`,
      'if-none-match': etag,
    });
    expect(unchanged.status).toBe(304);
    // Each caller proves itself: nothing is kept on the way.
    expect((await get(port, '/imagecaches')).status).toBe(401);
    for (const path of ['/livez', '/readyz', '/metrics', '/', '/imagecaches/', '/v3/other'])
      expect((await get(port, path)).status, path).toBe(404);
  });

  it('tells the address of the client, and not the one that it claims', async () => {
    const port = await start(await startService());
    const attempt = (claimed: string) =>
      get(port, '/imagecaches', { authorization: 'Bearer x.y.z', 'x-forwarded-for': claimed });
    // Three failures of one address, whatever it claims to be; then it has to wait.
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await attempt(`${FORGED}${count}`)).status);
    expect(statuses).toEqual([401, 401, 401, 429]);
  });

  it('takes a token of nearly 16 KiB', async () => {
    const port = await start(await startService());
    const { status, body } = await get(port, '/imagecaches', {
      authorization: `Bearer ${'a'.repeat(16_000)}`,
    });
    expect([status, JSON.parse(body).code]).toEqual([401, 'unauthenticated']);
  });
});
