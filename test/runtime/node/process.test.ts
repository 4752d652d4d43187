import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { makeImageCaches } from '../../simulator/image-cache-data.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { startCold } from '../../support/start-cold.ts';
import { endAll, type RunningProcess, startProcess } from './running-process.ts';

const ENTRY = 'src/runtime/node.ts';
const PLANTED_ACCESS_KEY_ID = 'AKPLANTED00000000001';
const PLANTED_SECRET = 'PLANTEDsecret+access/key=0000000000000001';
const PLANTED_TOKEN = 'PLANTEDsecurityToken000000000000000000001';

let simulator: Simulator;
let issuer: TokenIssuer;
const running: RunningProcess[] = [];

beforeAll(async () => {
  simulator = await startSimulator({
    accessKeys: [
      { accessKeyId: PLANTED_ACCESS_KEY_ID, secretAccessKey: PLANTED_SECRET, securityToken: PLANTED_TOKEN },
    ],
  });
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    PORT: '0',
    METRICS_PORT: '0',
    CCE_ENDPOINT: simulator.url,
    HUAWEICLOUD_SDK_AK: PLANTED_ACCESS_KEY_ID,
    HUAWEICLOUD_SDK_SK: PLANTED_SECRET,
    HUAWEICLOUD_SDK_SECURITY_TOKEN: PLANTED_TOKEN,
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SHUTDOWN_DELAY_SECONDS: '0',
    SHUTDOWN_GRACE_SECONDS: '5',
    ...more,
  };
}

function start(script: string, args: string[] = [], more: Record<string, string> = {}): RunningProcess {
  const started = startProcess(script, args, more);
  running.push(started);
  return started;
}

async function startService(more: Record<string, string> = {}): Promise<RunningProcess & { url: string }> {
  const started = start(ENTRY, [], environment(more));
  return startCold(simulator, async () => {
    const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
    const url = `http://127.0.0.1:${port}`;
    // Ready comes a moment after listening: each probe is answered, so this asks as fast as it is answered.
    while ((await fetch(`${url}/readyz`)).status !== 200);
    return { ...started, url };
  });
}

/** All bytes of one answer, head included, as they came over the socket. */
function rawExchange(url: string, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    let received = '';
    socket.setEncoding('latin1');
    socket.on('data', (text) => {
      received += text;
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(received));
    socket.write(request);
  });
}

describe('npm start', () => {
  it('refuses to start without a configuration: one message, exit code 78, no secret', async () => {
    const started = start(ENTRY, [], { HUAWEICLOUD_SDK_SK: `${PLANTED_SECRET} x`, PORT: 'PLANTED' });
    expect(await started.exited).toBe(78);
    expect(started.stdout()).toBe('');
    const message = started.stderr();
    for (const name of [
      'CCE_REGION',
      'HUAWEICLOUD_SDK_AK',
      'HUAWEICLOUD_SDK_SK',
      'AUTH_ISSUER',
      'AUTH_AUDIENCE',
      'PORT',
    ]) {
      expect(message).toContain(`  ${name}: `);
    }
    expect(message).not.toContain('PLANTED');
  });

  it('validates and exits with --check', async () => {
    const good = start(ENTRY, ['--check'], environment());
    expect(await good.exited).toBe(0);
    expect(good.stdout()).toContain('The configuration is valid.');
    expect(good.stdout() + good.stderr()).not.toContain('PLANTED');
    expect(good.stdout()).toContain('Credentials: a key pair of the settings (static).\n');
    const agency = {
      HUAWEICLOUD_ASSUME_AGENCY_URN: 'PLANTED',
      HUAWEICLOUD_SDK_STS_ENDPOINT: 'https://sts.test',
    };
    const assumed = start(ENTRY, ['--check'], environment(agency));
    expect(await assumed.exited).toBe(0);
    expect(assumed.stdout()).toContain(
      'Credentials: the agency of HUAWEICLOUD_ASSUME_AGENCY_URN, assumed by a key pair of the settings (static).\n',
    );
    const bad = start(ENTRY, ['--check'], environment({ AUTH_ISSUER: '' }));
    expect(await bad.exited).toBe(78);
    const unknown = start(ENTRY, ['--chekc'], environment());
    expect(await unknown.exited).toBe(64);
  });

  it('says with --check why the node is asked for credentials', async () => {
    const { HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, HUAWEICLOUD_SDK_SECURITY_TOKEN, ...keyless } =
      environment();
    const byDefault = start(ENTRY, ['--check'], keyless);
    expect(await byDefault.exited).toBe(0);
    expect(byDefault.stdout()).toContain(
      'Credentials: the agency of the node (metadata), since no other source is configured: none of ' +
        'HUAWEICLOUD_OIDC_PROVIDER_URN, HUAWEICLOUD_OIDC_AGENCY_URN, HUAWEICLOUD_OIDC_TOKEN_FILE, HUAWEICLOUD_OIDC_ID_TOKEN, ' +
        'HUAWEICLOUD_OIDC_SESSION_NAME, HUAWEICLOUD_OIDC_DURATION_SECONDS, HUAWEICLOUD_OIDC_POLICY, ' +
        'HUAWEICLOUD_OIDC_POLICY_IDS (oidc) and none of HUAWEICLOUD_SDK_AK, CLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, CLOUD_SDK_SK, ' +
        'HUAWEICLOUD_SDK_SECURITY_TOKEN (static) and none of CCE_AUTH_TOKEN_FILE (token) and none of ' +
        'HUAWEICLOUD_SDK_CREDENTIALS_FILE (profile) and none of HC_CONTAINER_CREDENTIALS_FULL_URI, HC_CONTAINER_AUTHORIZATION_TOKEN_FILE (pod) is set.\n',
    );
    const named = start(ENTRY, ['--check'], { ...keyless, HUAWEICLOUD_CREDENTIALS: 'metadata' });
    expect(await named.exited).toBe(0);
    expect(named.stdout()).toContain(
      'Credentials: the agency of the node (metadata), which HUAWEICLOUD_CREDENTIALS names.\n',
    );
  });

  it('names settings that have no effect, with --check, beside faults and in one line at the start', async () => {
    const useless = {
      CACHE_TTL_SECOND: 'PLANTED',
      HUAWEICLOUD_SDK_DOMAIN_ID: 'PLANTED',
      KUBERNETES_PORT: 'a',
    };
    const [nearMiss, ofVendor] = [
      'CACHE_TTL_SECOND has no effect: did you mean CACHE_TTL_SECONDS?',
      'HUAWEICLOUD_SDK_DOMAIN_ID has no effect: this service does not read it',
    ];
    const warnings = `Warning: ${nearMiss}\nWarning: ${ofVendor}\n`;
    const check = start(ENTRY, ['--check'], environment(useless));
    expect(await check.exited).toBe(0);
    expect(check.stdout()).toContain('The configuration is valid.');
    expect(check.stderr()).toBe(warnings);

    const bad = start(ENTRY, [], environment({ ...useless, AUTH_ISSUER: '' }));
    expect(await bad.exited).toBe(78);
    expect(bad.stderr()).toMatch(/AUTH_ISSUER: is missing/);
    expect(bad.stderr().endsWith(warnings)).toBe(true);

    const service = await startService(useless);
    const lines = service
      .stdout()
      .split('\n')
      .filter((line) => line.includes('no effect'));
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] as string)).toMatchObject({
      level: 'warn',
      msg: 'settings have no effect',
      unused: [
        { setting: 'CACHE_TTL_SECOND', reason: 'did you mean CACHE_TTL_SECONDS?' },
        { setting: 'HUAWEICLOUD_SDK_DOMAIN_ID', reason: 'this service does not read it' },
      ],
    });
    for (const { stdout, stderr } of [check, bad, service])
      expect(stdout() + stderr()).not.toMatch(/PLANTED|KUBERNETES/);
  });

  it('reads secrets from files, and says which file it cannot read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'imagecaches-'));
    try {
      await writeFile(join(folder, 'ak'), `${PLANTED_ACCESS_KEY_ID}\n`);
      await writeFile(join(folder, 'sk'), `${PLANTED_SECRET}\n`);
      const files = { HUAWEICLOUD_SDK_AK: '', HUAWEICLOUD_SDK_SK: '' };
      const service = await startService({
        ...files,
        HUAWEICLOUD_SDK_AK_FILE: join(folder, 'ak'),
        HUAWEICLOUD_SDK_SK_FILE: join(folder, 'sk'),
      });
      const response = await fetch(`${service.url}/imagecaches`, {
        headers: { authorization: `Bearer ${await issuer.sign()}` },
      });
      expect(response.status).toBe(200);

      const missing = start(
        ENTRY,
        ['--check'],
        environment({ ...files, HUAWEICLOUD_SDK_AK_FILE: join(folder, 'none') }),
      );
      expect(await missing.exited).toBe(78);
      expect(missing.stderr()).toContain(
        'HUAWEICLOUD_SDK_AK_FILE: names a file that cannot be read (ENOENT)',
      );
      const both = start(ENTRY, ['--check'], environment({ HUAWEICLOUD_SDK_SK_FILE: join(folder, 'sk') }));
      expect(await both.exited).toBe(78);
      expect(both.stderr()).toContain('HUAWEICLOUD_SDK_SK_FILE: contradicts HUAWEICLOUD_SDK_SK');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it('says so when the port is taken', async () => {
    const service = await startService();
    const second = start(ENTRY, [], environment({ PORT: new URL(service.url).port }));
    expect(await second.exited).toBe(1);
    expect(second.stderr()).toContain('EADDRINUSE');
  });

  it('names an IPv6 address in brackets when it cannot listen there', async () => {
    const service = start(ENTRY, [], environment({ HOST: '2001:db8::1', PORT: '18080' }));
    expect(await service.exited).toBe(1);
    expect(service.stderr()).toBe('Cannot listen on [2001:db8::1]:18080 (EADDRNOTAVAIL).\n');
  });

  it('gets the list with a signature that the stand-in accepts, over one connection', async () => {
    const service = await startService();
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    type List = { image_caches: { name: string }[] };
    const get = async (path: string) => (await (await fetch(service.url + path, { headers })).json()) as List;
    const name = makeImageCaches()[7]?.name as string;
    // In this order: once the list is held, names are answered from it.
    const one = await get(`/imagecaches?name=${name}`);
    const all = await get('/imagecaches');
    expect(all.image_caches).toHaveLength(50);
    expect(one.image_caches).toEqual(all.image_caches.filter((imageCache) => imageCache.name === name));
    expect(simulator.requests.map(({ authentication }) => authentication)).toEqual(['accepted', 'accepted']);
    expect(simulator.connectionCount).toBe(1);
    const hosts = simulator.requests.map(
      ({ headers }) => headers.find(([header]) => header.toLowerCase() === 'host')?.[1],
    );
    expect(hosts).toEqual([`127.0.0.1:${simulator.port}`, `127.0.0.1:${simulator.port}`]);
  });
});

describe('the request that the vendor documents', () => {
  it('is answered 200 when curl sends it, with a token of ours', async () => {
    const { url } = await startService();
    const token = await issuer.sign();
    const asDocumented = async (...more: string[]) => {
      const headers = ['Content-Type: application/json', ...more].flatMap((header) => ['-H', header]);
      const args = ['-sS', '-i', '-X', 'GET', `${url}/v5/imagecaches`, ...headers];
      return (await promisify(execFile)('curl', args)).stdout;
    };
    const answer = await asDocumented(`X-Auth-Token: ${token}`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] as string).image_caches).toHaveLength(50);
    const sameTwice = await asDocumented(`X-Auth-Token: ${token}`, `X-Auth-Token: ${token}`);
    expect(sameTwice).toMatch(/^HTTP\/1\.1 200 /);
    const other = await issuer.sign({ subject: 'somebody-else' });
    const two = await asDocumented(`X-Auth-Token: ${token}`, `X-Auth-Token: ${other}`);
    expect(two).toMatch(/^HTTP\/1\.1 401 /);
  });
});

describe('what is sent badly', () => {
  it.each([
    ['a body that nobody wants', 'Content-Length: 10000000\r\n\r\nxxxx'],
    ['a body without an end', 'Transfer-Encoding: chunked\r\n\r\n4\r\nxxxx\r\n'],
  ])('%s is not waited for: the answer ends the connection', async (_name, rest) => {
    const { url } = await startService();
    const answer = await rawExchange(url, `GET /livez HTTP/1.1\r\nHost: a\r\n${rest}`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
    expect(answer.toLowerCase()).toContain('connection: close');
  });

  it('headers of nearly 32 KiB are read, and connections stay for 65 seconds and for bodies of 64 KiB', async () => {
    const { url } = await startService();
    const agent = new http.Agent({ keepAlive: true });
    const headersFor = async (headers: Record<string, string>, body = '') => {
      const request = http.request(`${url}/livez`, { method: 'GET', headers, agent });
      request.end(body);
      const [response] = (await once(request, 'response')) as [http.IncomingMessage];
      await once(response.resume(), 'end');
      expect(response.statusCode).toBe(200);
      const { connection, 'keep-alive': keepAlive } = response.headers;
      return [connection, keepAlive];
    };
    const stays = ['keep-alive', 'timeout=65'];
    expect(await headersFor({})).toEqual(stays);
    expect(await headersFor({ 'x-a': 'x'.repeat(32_000) })).toEqual(stays);
    expect(await headersFor({ 'content-length': '65536' }, 'x'.repeat(65_536))).toEqual(stays);
    expect(await headersFor({ 'content-length': '65537' }, 'x'.repeat(65_537))).toEqual(['close', undefined]);
    agent.destroy();
  });

  it('two Authorization headers are one bad one', async () => {
    const { url } = await startService();
    const token = await issuer.sign();
    const head = (lines: string[]) =>
      `GET /imagecaches HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${lines.join('\r\n')}\r\n\r\n`;
    const good = `Authorization: Bearer ${token}`;
    expect(await rawExchange(url, head([good]))).toMatch(/^HTTP\/1\.1 200 /);
    expect(await rawExchange(url, head([good, 'Authorization: Bearer x']))).toMatch(/^HTTP\/1\.1 401 /);
    expect(await rawExchange(url, head([good, good]))).toMatch(/^HTTP\/1\.1 401 /);
  });

  it.each([
    ['a host that is none', 'GET /livez HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n', 400],
    ['no HTTP at all', 'hello\r\n\r\n', 400],
    ['a header line without a colon', 'GET /livez HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n', 400],
    ['headers over 32 KiB', `GET /livez HTTP/1.1\r\nHost: a\r\nX-A: ${'x'.repeat(40_000)}\r\n\r\n`, 431],
  ])('%s', async (_name, request, status) => {
    const { url } = await startService();
    const answer = await rawExchange(url, request);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain('application/problem+json');
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });
});

describe('secrets', () => {
  it('reach no byte of the output or of any answer, wherever they are planted', async () => {
    let service = await startService({ LOG_LEVEL: 'trace' });
    const outputs: string[] = [];
    const stopService = async () => {
      service.child.kill('SIGTERM');
      expect(await service.exited).toBe(0);
      outputs.push(service.stdout() + service.stderr());
    };
    const token = await issuer.sign();
    const answers: string[] = [];
    const ask = async (path: string, headers: Record<string, string> = {}, method = 'GET') => {
      const response = await fetch(service.url + path, { method, headers });
      answers.push(JSON.stringify([...response.headers]), await response.text());
      return response.status;
    };
    const withToken = { authorization: `Bearer ${token}` };

    // In upstream bodies and headers, of every refusal and fault that the stand-in knows.
    const planted = 'PLANTEDupstreamText';
    const vendorFaults: Parameters<Simulator['script']>[0][] = [
      { answer: { kind: 'refuse', error: 'unknown-key' } },
      { answer: { kind: 'refuse', error: 'bad-signature' } },
      { answer: { kind: 'refuse', error: 'clock' } },
      { answer: { kind: 'refuse', error: 'forbidden' } },
      { answer: { kind: 'refuse', error: 'nested-details' } },
      {
        answer: {
          kind: 'respond',
          status: 500,
          headers: [
            ['X-Request-Id', `${planted}.`],
            ['Set-Cookie', planted],
          ],
          json: { error_code: `${planted} code`, error_msg: planted, request_id: `${planted}.` },
        },
      },
      { answer: { kind: 'respond', status: 302, headers: [['Location', `http://127.0.0.1:1/${planted}`]] } },
      { answer: { kind: 'respond', status: 200, text: `{"image_caches": ${planted}` } },
      {
        answer: {
          kind: 'respond',
          status: 200,
          json: { image_caches: [{ name: planted, id: 7 }], [planted]: planted },
        },
      },
    ];
    let index = 0;
    for (const fault of vendorFaults) {
      simulator.clearScript();
      // A refused key is left alone for minutes: a new process knows nothing of that.
      if (fault.answer?.kind === 'refuse') {
        await stopService();
        service = await startService({ LOG_LEVEL: 'trace' });
      }
      simulator.script({ ...fault, times: 'always', verify: false });
      await ask(`/imagecaches?name=fault-${index++}`, withToken);
    }
    simulator.clearScript();
    expect(await ask('/imagecaches', withToken)).toBe(200);

    // In what a caller sends.
    const [header, payload, signature] = token.split('.') as [string, string, string];
    await ask('/imagecaches', { authorization: `Bearer ${header}.${payload}.PLANTED${signature.slice(7)}` });
    await ask('/imagecaches', {
      authorization: `Basic ${Buffer.from('u:PLANTEDpassword').toString('base64')}`,
    });
    await ask('/imagecaches', { ...withToken, 'x-request-id': token });
    await ask('/imagecaches', { ...withToken, cookie: 'PLANTEDcookie', 'x-security-token': 'PLANTEDheader' });
    const cloudToken = `MIIPLANTED${'cloudToken'.repeat(100)}`;
    for (const path of ['/imagecaches', '/v5/imagecaches', '/v3/projects?name=cn-north-4']) {
      for (const headers of [
        { 'x-auth-token': cloudToken },
        { authorization: `Bearer ${cloudToken}` },
        { ...withToken, 'x-auth-token': `${cloudToken}, ${cloudToken}` },
      ])
        await ask(path, headers);
    }
    await ask('/PLANTEDpath?token=PLANTEDquery', withToken);
    await ask('/imagecaches', withToken, 'POST');

    await stopService();
    const output = outputs.join('');
    expect(output.match(/"msg":"request"/g)?.length).toBeGreaterThanOrEqual(16);
    expect(output.match(/"msg":"upstream call"/g)?.length).toBeGreaterThanOrEqual(10);
    for (const text of [output, ...answers]) {
      expect(text).not.toContain('PLANTED');
      for (const part of [PLANTED_ACCESS_KEY_ID, PLANTED_SECRET, PLANTED_TOKEN, payload, signature]) {
        expect(text).not.toContain(part);
      }
    }
  });
});

/** Sends the signal when the service is about to be loaded: handlers have to be there, and nothing else is. */
const SIGNAL_WHILE_LOADING = `--import=data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({
    resolve(specifier, context, next) {
      if (specifier === './node/main.ts') process.kill(process.pid, 'SIGTERM');
      return next(specifier, context);
    },
  });
`)}`;
/** Runs a command as process 1 of a namespace of its own. */
const AS_PROCESS_1 = ['unshare', '--pid', '--fork', '--kill-child'];
const canBeProcess1 = () => spawnSync('unshare', [...AS_PROCESS_1.slice(1), 'true']).status === 0;

describe('a signal to stop', () => {
  it.each([
    ['', []],
    [' as process 1, for which the system has no default', AS_PROCESS_1],
  ])('ends a service that is still being loaded%s', async (_as, wrapper) => {
    if (wrapper.length > 0 && !canBeProcess1()) return;
    const service = startProcess(
      ENTRY,
      [],
      environment({ NODE_OPTIONS: SIGNAL_WHILE_LOADING, SHUTDOWN_DELAY_SECONDS: '600' }),
      wrapper,
    );
    running.push(service);
    expect(await service.exited).toBe(0);
    expect([service.stdout(), service.stderr()]).toEqual(['', '']);
  });

  it('during a background refresh ends it without a word of a failed call', async () => {
    const service = await startService({ CACHE_TTL_SECONDS: '1' });
    const get = async () => {
      const response = await fetch(`${service.url}/imagecaches`, {
        headers: { authorization: `Bearer ${await issuer.sign()}` },
      });
      await response.arrayBuffer();
      return response.headers.get('cache-status');
    };
    await get();
    const logOfStart = service.stdout();
    simulator.hold('hang');
    while (!(await get())?.includes('fwd=stale') && simulator.count('/v5/imagecaches') < 2);
    await simulator.arrived('hang');
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    expect(service.stdout()).toMatch(/"msg":"stopped"/);
    expect(service.stdout().slice(logOfStart.length)).not.toMatch(/"level":"(?:warn|error)"/);
    expect(service.stderr()).toBe('');
  });
});

describe('shutdown', () => {
  it('is unready first, finishes what runs, takes nothing new and exits with 0', async () => {
    const service = await startService({
      SHUTDOWN_GRACE_SECONDS: '60',
      UPSTREAM_ATTEMPT_TIMEOUT_MS: '60000',
      UPSTREAM_DEADLINE_MS: '60000',
    });
    const { hostname, port } = new URL(service.url);
    const agent = new http.Agent({ keepAlive: true });
    simulator.hold('slow');
    const slow = fetch(`${service.url}/imagecaches`, {
      headers: { authorization: `Bearer ${await issuer.sign()}` },
    });
    await simulator.arrived('slow');

    // A connection that is open before, to see readiness through it after the signal.
    const probe = () =>
      new Promise<{ status: number; connection: string | undefined }>((resolve, reject) => {
        http
          .get({ hostname, port, path: '/readyz', agent }, (response) => {
            response
              .resume()
              .on('end', () =>
                resolve({ status: response.statusCode ?? 0, connection: response.headers.connection }),
              );
          })
          .on('error', reject);
      });
    expect(await probe()).toEqual({ status: 200, connection: 'keep-alive' });
    service.child.kill('SIGTERM');
    await service.printed(/"msg":"no longer accepting connections"/);
    await expect(fetch(`${service.url}/livez`)).rejects.toThrow('fetch failed');
    simulator.release('slow');
    expect((await slow).status).toBe(200);
    expect(await service.exited).toBe(0);
    expect(service.stdout()).toContain('"msg":"stopped"');
    expect(service.stdout()).not.toContain('the grace time is over');
    agent.destroy();
  });

  it('serves on, unready, while load balancers take notice', async () => {
    const service = await startService({ SHUTDOWN_DELAY_SECONDS: '60' });
    service.child.kill('SIGINT');
    await service.printed(/"msg":"draining"/);
    const ready = await fetch(`${service.url}/readyz`);
    expect(ready.status).toBe(503);
    expect(ready.headers.get('connection')).toBe('close');
    expect(await ready.json()).toEqual({ status: 'unready', failing: ['lifecycle'] });
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    for (const [path, status] of [
      ['/livez', 200],
      ['/imagecaches', 200],
      ['/imagecaches', 200],
      ['/imagecaches?name=A', 400],
      ['/nowhere', 404],
    ] as const) {
      const served = await fetch(service.url + path, { headers });
      expect([path, served.status, served.headers.get('connection')]).toEqual([path, status, 'close']);
    }
    // The second signal means now.
    service.child.kill('SIGINT');
    expect(await service.exited).toBe(1);
  });

  it('serves on and still stops while nobody reads the log', async () => {
    const service = await startService({ RATE_LIMIT_PER_MINUTE: '0' });
    service.child.stdout?.pause();
    // Some 500 KB of lines, more than the pipe and both its ends take.
    const headers = { authorization: `Bearer ${await issuer.sign()}`, 'x-request-id': 'x'.repeat(128) };
    for (let turn = 0; turn < 30; turn += 1) {
      const ask = () => fetch(`${service.url}/imagecaches`, { headers });
      for (const { status } of await Promise.all(Array.from({ length: 50 }, ask))) expect(status).toBe(200);
    }
    service.child.kill('SIGTERM');
    const [code] = await once(service.child, 'exit');
    expect(code).toBe(0);
    service.child.stdout?.destroy();
  });

  it('cuts off what does not finish within the grace time', async () => {
    const service = await startService({ SHUTDOWN_GRACE_SECONDS: '0' });
    simulator.hold('hang');
    const hanging = fetch(`${service.url}/imagecaches`, {
      headers: { authorization: `Bearer ${await issuer.sign()}` },
    });
    const outcome = expect(hanging).rejects.toThrow();
    await simulator.arrived('hang');
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    await outcome;
  });
});

describe('npm run demo', () => {
  it('prints one JSON line with a URL and a token that work, and stops on Ctrl-C', async () => {
    const demo = start('deploy/demo/demo.ts', ['--json', '--port', '0']);
    await demo.printed(/\n/);
    const { url, token } = JSON.parse(demo.stdout()) as { url: string; token: string };
    const response = await fetch(`${url}/imagecaches`, { headers: { authorization: `Bearer ${token}` } });
    expect(response.status).toBe(200);
    expect(((await response.json()) as { image_caches: [] }).image_caches).toHaveLength(50);
    demo.child.kill('SIGINT');
    expect(await demo.exited).toBe(0);
  });

  it('prints a curl line that works as pasted', async () => {
    const demo = start('deploy/demo/demo.ts', ['--port', '0']);
    const [, authorization, url] = await demo.printed(
      /^curl -i -H 'Authorization: (Bearer [^']+)' '([^']+)'$/m,
    );
    const response = await fetch(url as string, { headers: { authorization: authorization as string } });
    expect(response.status).toBe(200);
  });

  it('explains itself when it is called badly', async () => {
    const demo = start('deploy/demo/demo.ts', ['--prot', '1']);
    expect(await demo.exited).toBe(64);
    expect(demo.stderr()).toContain('Usage: npm run demo');
  });
});
