import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { endAll, type RunningProcess, startProcess, watchProcess } from '../runtime/node/running-process.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { type DeployTools, installTools } from './install-tools.ts';
import { startLoad } from './steady-load.ts';

const run = promisify(execFile);
const DEPLOY = new URL('../../deploy/', import.meta.url);
type Ports = readonly [number, number];

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
});
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await endAll(running);
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
  await rm(folder, { recursive: true, force: true });
});

interface Replica {
  readonly port: number;
  readonly process: RunningProcess;
}

/** Resolves when it is ready. */
async function startReplica(port: number, changes: Record<string, string> = {}): Promise<Replica> {
  const started = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: String(port),
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    TRUSTED_PROXIES: '127.0.0.1',
    RATE_LIMIT_PER_MINUTE: '0',
    ...changes,
  });
  running.push(started);
  await started.printed(/"msg":"listening"/);
  while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200);
  return { port, process: started };
}

/** The ports of two places that are one and the same replica. */
async function startAlone(changes: Record<string, string> = {}): Promise<Ports> {
  const { port } = await startReplica(await freePort(), changes);
  return [port, port];
}

interface Stub {
  readonly port: number;
  isReady: boolean;
  /** Requests so far, without those for its readiness. */
  seen: number;
}

/** What stands in for a replica, ready until it is told otherwise. */
async function startStub(
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void,
): Promise<Stub> {
  const server = createServer((incoming, outgoing) => {
    if (incoming.url === '/readyz') {
      outgoing.writeHead(stub.isReady ? 200 : 503).end();
      return;
    }
    stub.seen += 1;
    answer(incoming, outgoing);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  closing.push(async () => {
    server.closeAllConnections();
    server.close();
  });
  const stub: Stub = { port: (server.address() as AddressInfo).port, isReady: true, seen: 0 };
  return stub;
}

/** Ends every connection without an answer; the projects it answers 503. */
function answerNothing(incoming: IncomingMessage, outgoing: ServerResponse): void {
  if (incoming.url === '/v3/projects') outgoing.writeHead(503, { connection: 'close' }).end();
  else incoming.socket.destroy();
}

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

function get(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    https
      .request({ method, port, path, headers, rejectUnauthorized: false, host: '127.0.0.1' }, (response) => {
        let body = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body }),
        );
      })
      .on('error', reject)
      .end();
  });
}

async function startNginx(ports: Ports): Promise<number> {
  const port = await freePort();
  const site = (await readFile(new URL('nginx/imagecaches-bff.conf', DEPLOY), 'utf8'))
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`)
    .replace(/^\s*listen \[::\]:443 ssl;$/m, '')
    .replaceAll('server 127.0.0.1:8080', `server 127.0.0.1:${ports[0]}`)
    .replaceAll('server 127.0.0.1:8081', `server 127.0.0.1:${ports[1]}`)
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
  return untilListening(port, startProxy('nginx', ['-c', file, '-p', folder], 'SIGTERM'));
}

async function startEnvoy(ports: Ports): Promise<number> {
  const port = await freePort();
  const config = (await readFile(new URL('envoy/imagecaches-bff.yaml', DEPLOY), 'utf8'))
    .replace('address: 0.0.0.0, port_value: 443', `address: 127.0.0.1, port_value: ${port}`)
    .replace('port_value: 8080', `port_value: ${ports[0]}`)
    .replace('port_value: 8081', `port_value: ${ports[1]}`)
    .replace('/etc/envoy/tls/imagecaches.example.com.pem', join(folder, 'cert.pem'))
    .replace('/etc/envoy/tls/imagecaches.example.com.key', join(folder, 'key.pem'));
  const file = join(folder, 'envoy.yaml');
  await writeFile(file, config);
  const args = ['--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'];
  const { stdout } = await run(tools.envoy, ['--mode', 'validate', '-c', file, ...args]);
  expect(stdout).toContain('OK');
  return untilListening(port, startProxy(tools.envoy, ['-c', file, ...args], 'SIGKILL'));
}

/** Starts a proxy that ends with the test, by this signal. */
function startProxy(program: string, args: readonly string[], endsBy: 'SIGTERM' | 'SIGKILL'): RunningProcess {
  const started = watchProcess(spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }));
  closing.push(async () => {
    started.child.kill(endsBy);
    await started.exited;
  });
  return started;
}

async function untilListening(port: number, { exited, stderr }: RunningProcess): Promise<number> {
  let end: number | string | undefined;
  void exited.then((code) => {
    end = code;
  });
  while (end === undefined) {
    const isUp = await get(port, '/').then(
      () => true,
      () => false,
    );
    if (isUp) return port;
  }
  throw new Error(`the proxy ended with ${end}: ${stderr()}`);
}

describe.each([
  ['nginx', startNginx],
  ['Envoy', startEnvoy],
])('%s in front', (_name, start) => {
  it('hands on what callers need, and nothing of the inside', async () => {
    const port = await start(await startAlone());
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
    const port = await start(await startAlone({ AUTH_FAILURES_PER_MINUTE: '3' }));
    const attempt = (claimed: string) =>
      get(port, '/imagecaches', { authorization: 'Bearer x.y.z', 'x-forwarded-for': claimed });
    // Three failures of one address, whatever it claims to be; then it has to wait.
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push((await attempt(`${FORGED}${count}`)).status);
    expect(statuses).toEqual([401, 401, 401, 429]);
  });

  it('takes a token of nearly 16 KiB', async () => {
    const port = await start(await startAlone());
    const { status, body } = await get(port, '/imagecaches', {
      authorization: `Bearer ${'a'.repeat(16_000)}`,
    });
    expect([status, JSON.parse(body).code]).toEqual([401, 'unauthenticated']);
  });

  it('passes the pages, the API document and what SDKs ask for first', async () => {
    const keys = join(folder, 'sdk-keys.json');
    await run(process.execPath, ['src/runtime/node/keys.ts', 'add', 'billing', '--file', keys]);
    const port = await start(await startAlone({ CONSOLE: 'on', SDK_KEYS_FILE: keys }));
    for (const path of ['/console', '/console/console.js', '/docs', '/docs/start.js', '/openapi.json'])
      expect((await get(port, path)).status, path).toBe(200);
    expect((await get(port, '/v3/projects')).status).toBe(401);
    for (const path of ['/console/a/b', '/docs/', '/openapi_json', '/consoles'])
      expect((await get(port, path)).status, path).toBe(404);
    const refused = await get(port, '/imagecaches', {}, 'POST');
    expect([refused.status, refused.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  it('tries GET and HEAD at the other replica, nothing else, and no answer', async () => {
    const [one, other] = [await startStub(answerNothing), await startStub(answerNothing)];
    const port = await start([one.port, other.port]);
    const asked = async (path: string, method: string) => {
      for (const stub of [one, other]) stub.seen = 0;
      const { status } = await get(port, path, {}, method);
      expect([502, 503]).toContain(status);
      return [one.seen, other.seen].sort();
    };
    expect(await asked('/imagecaches', 'PUT')).toEqual([0, 1]);
    expect(await asked('/docs', 'DELETE')).toEqual([0, 1]);
    expect(await asked('/v3/projects', 'GET')).toEqual([0, 1]);
    // By nginx one of them a second time, when both fail. Nor does it answer by itself when both have failed for long.
    for (const method of ['GET', 'HEAD', 'GET', 'HEAD', 'GET', 'HEAD'])
      expect([
        [1, 1],
        [1, 2],
      ]).toContainEqual(await asked('/imagecaches', method));
  });

  it.each([
    ['after it was unready for 5 seconds', '5'],
    ['at once', '0'],
  ])('answers every request while one replica after the other ends %s', async (_how, delay) => {
    const settings = { SHUTDOWN_DELAY_SECONDS: delay };
    const ports: Ports = [await freePort(), await freePort()];
    const replicas = [await startReplica(ports[0], settings), await startReplica(ports[1], settings)];
    const port = await start(ports);
    const load = startLoad(port, await issuer.sign());
    await load.answered(500);
    for (const replica of replicas) {
      replica.process.child.kill('SIGTERM');
      expect(await replica.process.exited).toBe(0);
      await load.answered(500);
      const successor = await startReplica(replica.port, settings);
      // Without that delay the next one ends only when this one is asked again.
      if (delay === '0') await successor.process.printed(/"route":"\/imagecaches"/);
      await load.answered(500);
    }
    const outcomes = await load.stop();
    expect(Object.keys(outcomes)).toEqual(['200']);
  });
});

describe('Envoy in front', () => {
  it('asks nothing of a replica that says that it is not ready, until it is again', async () => {
    const answer = (_incoming: IncomingMessage, outgoing: ServerResponse) => void outgoing.end();
    const [leaving, staying] = [await startStub(answer), await startStub(answer)];
    const port = await startEnvoy([leaving.port, staying.port]);
    /** How many of 20 requests, all of which are answered, come to the first one. */
    const askedOfTwenty = async () => {
      const before = leaving.seen;
      for (let count = 0; count < 20; count += 1) expect((await get(port, '/imagecaches')).status).toBe(200);
      return leaving.seen - before;
    };
    expect(await askedOfTwenty()).toBeGreaterThan(0);
    leaving.isReady = false;
    while ((await askedOfTwenty()) > 0);
    leaving.isReady = true;
    while ((await askedOfTwenty()) === 0);
  });
});
