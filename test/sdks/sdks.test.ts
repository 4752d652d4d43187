import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { signRequest } from '../../src/signing/sign-request.ts';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { DEFAULT_ACCESS_KEY, type Simulator, startSimulator } from '../simulator/simulator.ts';
import { buildPrograms } from './build-programs.ts';
import { createTlsFront, type TlsFront } from './tls-front.ts';

const run = promisify(execFile);
const LANGUAGES = ['python', 'go', 'java', 'node'] as const;
type Language = (typeof LANGUAGES)[number];

let programs: Awaited<ReturnType<typeof buildPrograms>>;
let simulator: Simulator;
let service: RunningProcess;
let serviceUrl: string;
let folder: string;
let tls: TlsFront;
let localKey: KeyPair;
let keyWithoutScope: KeyPair;
/** Services that answer with errors, beside the good one. */
const others: RunningProcess[] = [];
const upstreams: Server[] = [];
/** Where a caller is over its limit after the first call. */
let limitedUrl: string;
/** Whose upstream answers 400. */
let brokenUrl: string;
/** Whose upstream asks to wait. */
let throttledUrl: string;

interface KeyPair {
  readonly ak: string;
  readonly sk: string;
}

async function addKey(file: string, ...args: string[]): Promise<KeyPair> {
  const { stdout } = await run(process.execPath, [
    'src/runtime/node/keys.ts',
    'add',
    ...args,
    '--file',
    file,
  ]);
  return keyIn(stdout);
}

/** The key pair in what the keys command has printed. */
function keyIn(printed: string): KeyPair {
  const partOf = (name: string) => new RegExp(`HUAWEICLOUD_SDK_${name}=(\\S+)`).exec(printed)?.[1] ?? '';
  return { ak: partOf('AK'), sk: partOf('SK') };
}

async function startService(settings: Record<string, string>): Promise<[RunningProcess, url: string]> {
  const started = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    SDK_KEYS_FILE: join(folder, 'keys.json'),
    SHUTDOWN_DELAY_SECONDS: '0',
    ...settings,
  });
  const [, port] = await started.printed(/"port":(\d+),"upstream".*"msg":"listening"/);
  return [started, `http://127.0.0.1:${port}`];
}

/** Starts a service whose upstream always answers so. */
async function startOverUpstream(status: number, headers: Record<string, string> = {}): Promise<string> {
  const upstream = createServer((_request, response) => response.writeHead(status, headers).end());
  upstreams.push(upstream);
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const [started, url] = await startService({ CCE_ENDPOINT: `http://127.0.0.1:${port}` });
  others.push(started);
  return url;
}

beforeAll(async () => {
  programs = await buildPrograms();
  simulator = await startSimulator();
  folder = await mkdtemp(join(tmpdir(), 'imagecaches-sdks-'));
  tls = await createTlsFront(folder);
  const file = join(folder, 'keys.json');
  localKey = await addKey(file, 'billing');
  keyWithoutScope = await addKey(file, 'other', '--scope', 'something:else');
  [service, serviceUrl] = await startService({});
  const [limited, url] = await startService({ RATE_LIMIT_PER_MINUTE: '1' });
  others.push(limited);
  limitedUrl = url;
  brokenUrl = await startOverUpstream(400);
  throttledUrl = await startOverUpstream(429, { 'retry-after': '3600' });
});
afterEach(() => simulator.reset());
afterAll(async () => {
  service?.child.kill('SIGTERM');
  await service?.exited;
  await endAll(others);
  for (const upstream of upstreams) {
    upstream.closeAllConnections();
    upstream.close();
  }
  await tls?.stop();
  await simulator?.stop();
  if (folder !== undefined) await rm(folder, { recursive: true });
});

interface Report {
  readonly ok: boolean;
  readonly status: number;
  readonly names?: readonly string[];
  readonly requestId?: string;
  readonly code?: string;
  readonly message?: string;
}

/** Runs a program as its user would: nothing but the environment says whom it talks to, and as whom. */
async function listImageCaches(
  language: Language,
  url: string,
  { ak, sk, projectId }: { readonly ak: string; readonly sk: string; readonly projectId?: string },
  ...args: string[]
): Promise<Report> {
  const [file, ...first] = programs[language];
  const { stdout } = await run(file, [...first, ...args], {
    env: {
      PATH: process.env.PATH ?? '',
      HOME: folder,
      HUAWEICLOUD_SDK_AK: ak,
      HUAWEICLOUD_SDK_SK: sk,
      HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4: url,
      ...(projectId !== undefined && { HUAWEICLOUD_SDK_PROJECT_ID: projectId }),
      // The Go SDK speaks https to IAM, whatever the variable says (core/auth/internal/iam_helper.go).
      HUAWEICLOUD_SDK_IAM_ENDPOINT: language === 'go' ? await tls.urlFor(url) : url,
      SSL_CERT_FILE: tls.certificateFile,
    },
  });
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Report;
}

const wrongKey = () => ({ ...localKey, sk: `${localKey.sk}x` });

/** The list as the vendor's clients get it, without one of them. */
async function listOf(url: string, { ak, sk } = localKey): Promise<unknown> {
  const target = new URL('/v5/imagecaches', url);
  const credential = { accessKeyId: ak, secretAccessKey: sk };
  const signed = await signRequest({ method: 'GET', url: target }, credential, { nowMs: Date.now() });
  return (await fetch(target, { headers: signed.headers })).json();
}

const cloudKey = { ak: DEFAULT_ACCESS_KEY.accessKeyId, sk: DEFAULT_ACCESS_KEY.secretAccessKey };

describe.each(LANGUAGES)('the %s SDK', (language) => {
  it('lists through the service just what it lists from the cloud, whose key it does not need', async () => {
    const direct = await listImageCaches(language, simulator.url, cloudKey);
    expect(direct).toMatchObject({ ok: true, status: 200 });
    expect(direct.names).toHaveLength(50);
    expect(await listImageCaches(language, serviceUrl, localKey)).toEqual(direct);
    expect(await listImageCaches(language, serviceUrl, { ...cloudKey, projectId: 'any' })).toMatchObject({
      ok: false,
      status: 401,
    });
  });

  it('filters by name', async () => {
    expect(await listImageCaches(language, serviceUrl, localKey, 'search-worker-02')).toMatchObject({
      ok: true,
      names: ['search-worker-02'],
    });
    expect(await listImageCaches(language, serviceUrl, localKey, 'no-such-cache')).toMatchObject({
      ok: true,
      names: [],
    });
  });

  it('shows one image cache by its id, from the list that is held', async () => {
    const { image_caches: list } = (await listOf(serviceUrl)) as {
      image_caches: { id: string; name: string }[];
    };
    simulator.forgetRequests();
    const { id = '', name } = list[7] ?? {};
    expect(
      await listImageCaches(language, serviceUrl, { ...localKey, projectId: 'any' }, '--id', id),
    ).toEqual({
      ok: true,
      status: 200,
      names: [name],
    });
    expect(simulator.requests.map(({ url }) => url).filter((url) => url !== '/v5/imagecaches')).toEqual([]);
  });

  it.each<
    [status: number, code: string, message: string, at: () => string, pair: () => KeyPair, args: string[]]
  >([
    [400, 'IMAGECACHES.invalid_query', "parameter 'name' is 'A'", () => serviceUrl, () => localKey, ['A']],
    [401, 'APIGW.0301', 'the signature is not valid here', () => serviceUrl, () => wrongKey(), []],
    [403, 'APIGW.0302', 'the key pair lacks the scope', () => serviceUrl, () => keyWithoutScope, []],
    [404, 'CCE.01404001', 'no image cache has this id', () => serviceUrl, () => localKey, ['--id', 'none']],
    [429, 'APIGW.0308', 'more than 1 requests a minute', () => limitedUrl, () => localKey, []],
    [
      502,
      'IMAGECACHES.upstream_failed',
      'The cloud gave no usable answer',
      () => brokenUrl,
      () => localKey,
      [],
    ],
    [503, 'IMAGECACHES.upstream_throttled', 'throttling', () => throttledUrl, () => localKey, []],
  ])('has status, code, message and request id of a %i in its exception', async (...row) => {
    const [status, code, message, at, pair, args] = row;
    const call = () => listImageCaches(language, at(), { ...pair(), projectId: 'any' }, ...args);
    if (status === 429) await listOf(at());
    const error = await call();
    expect(error).toMatchObject({ ok: false, status });
    if (language === 'python' && status === 429) {
      // Its HTTP library takes the answer away (docs/sdk-clients.md).
      expect(error).toMatchObject({ code: '429', requestId: '' });
      return;
    }
    expect(error).toMatchObject({ code, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
    expect(error.message).toContain(message);
  });

  it('tells its user status, code, message and request id of a refused call', async () => {
    const wrongKey = { ...localKey, sk: `${localKey.sk}x` };
    const refused = await listImageCaches(language, serviceUrl, { ...wrongKey, projectId: 'any' });
    expect(refused).toMatchObject({ ok: false, status: 401, code: 'APIGW.0301' });
    expect(refused.message).toContain('the signature is not valid here');
    await service.printed(new RegExp(`"requestId":"${refused.requestId}"`));
    const invalid = await listImageCaches(language, serviceUrl, localKey, 'Not_A_Name');
    expect(invalid).toMatchObject({ ok: false, status: 400, code: 'IMAGECACHES.invalid_query' });
    expect(invalid.message).toContain("parameter 'name' is 'Not_A_Name'");
  });

  it('says the same of a project look-up that is refused, if only in words', async () => {
    const wrongKey = { ...localKey, sk: `${localKey.sk}x` };
    const { stdout, stderr } = await listImageCaches(language, serviceUrl, wrongKey).then(
      (report) => ({ stdout: JSON.stringify(report), stderr: '' }),
      (error: { stdout: string; stderr: string }) => error,
    );
    const said = stdout + stderr;
    expect(said).toContain('APIGW.0301');
    expect(said).toContain('the signature is not valid here');
    const [requestId = 'none'] = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/.exec(said) ?? [];
    await service.printed(new RegExp(`"requestId":"${requestId}"[^\n]*"route":"/v3/projects","status":401`));
  });
});

describe("Terraform's calls", () => {
  it('get what they need: project, domain, list, list by name, one by its id, and a 404 for what is not there', async () => {
    const [file] = programs.terraform;
    const { stdout } = await run(file, ['search-worker-02'], {
      env: {
        HW_ACCESS_KEY: localKey.ak,
        HW_SECRET_KEY: localKey.sk,
        HW_REGION_NAME: 'cn-north-4',
        ENDPOINT: serviceUrl,
      },
    });
    const id = expect.stringMatching(/^[0-9a-f]{32}$/);
    const entry = { id: expect.any(String), name: 'search-worker-02' };
    expect(JSON.parse(stdout)).toEqual({
      projects: [{ id, name: 'cn-north-4' }],
      domains: [{ id, name: 'imagecaches-bff' }],
      all: 50,
      one: [entry],
      shown: entry,
      missing: expect.objectContaining({
        status_code: 404,
        error_code: 'CCE.01404001',
        request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      }),
    });
  });
});

describe('global credentials', () => {
  it('are completed with the domain that the service has', async () => {
    const [file, ...args] = programs.globalCredentials;
    const { stdout } = await run(file, args, {
      env: {
        HOME: folder,
        HUAWEICLOUD_SDK_AK: localKey.ak,
        HUAWEICLOUD_SDK_SK: localKey.sk,
        HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4: serviceUrl,
        HUAWEICLOUD_SDK_IAM_ENDPOINT: serviceUrl,
      },
    });
    expect(JSON.parse(stdout)).toEqual({ domain: expect.stringMatching(/^[0-9a-f]{32}$/), count: 50 });
    await service.printed(/"route":"\/v3\/auth\/domains","status":200/);
  });
});

describe.each(['python', 'go'] as const)("the %s sample of the vendor's page", (language) => {
  it('runs with nothing set but what the keys command prints', async () => {
    const url = await tls.urlFor(serviceUrl);
    const args = ['add', 'sample', '--file', join(folder, 'keys.json'), '--url', url, '--format', 'shell'];
    const { stdout: settings } = await run(process.execPath, ['src/runtime/node/keys.ts', ...args]);
    // The service looks at its file once a second.
    await vi.waitFor(
      async () => expect(await listOf(serviceUrl, keyIn(settings))).toHaveProperty('image_caches'),
      {
        timeout: 120_000,
        interval: 500,
      },
    );
    const command = programs.samples[language].map((part) => `'${part}'`).join(' ');
    // Trust in the certificate of this test is all that is added.
    const env = { HOME: folder, SSL_CERT_FILE: tls.certificateFile, REQUESTS_CA_BUNDLE: tls.certificateFile };
    const { stdout } = await run('/bin/sh', ['-c', `${settings}exec ${command}`], {
      env,
      maxBuffer: 1 << 24,
    });
    expect(stdout).toContain('search-worker-02');
    expect(stdout).not.toMatch(/error|APIGW/i);
  });
});

describe.each(['python', 'go'] as const)('the %s example with the endpoint on one client', (language) => {
  it('needs no variable of the SDK, and asks for no project', async () => {
    const [file, ...args] = programs.oneClient[language];
    const env = {
      HOME: folder,
      IMAGECACHES_AK: localKey.ak,
      IMAGECACHES_SK: localKey.sk,
      IMAGECACHES_URL: serviceUrl,
      // What leads everything else elsewhere does not concern this client.
      HUAWEICLOUD_SDK_IAM_ENDPOINT: 'https://127.0.0.1:9',
      HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4: 'https://127.0.0.1:9',
    };
    const { stdout } = await run(file, args, { env });
    expect(stdout.trim().split('\n')).toHaveLength(50);
    expect(stdout).toMatch(/^search-worker-02 [A-Z][a-z]+$/m);
  });
});

it('the secrets of local keys are in no output of the service', async () => {
  const { keys } = JSON.parse(await readFile(join(folder, 'keys.json'), 'utf8')) as {
    keys: { secretAccessKey: string }[];
  };
  const printed = service.stdout() + service.stderr();
  expect(printed).toContain('"issuer":"sdk-keys"');
  for (const { secretAccessKey } of keys) expect(printed).not.toContain(secretAccessKey);
  expect(printed).not.toContain(cloudKey.sk);
});
