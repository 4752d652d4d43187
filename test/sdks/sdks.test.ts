import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { DEFAULT_ACCESS_KEY, type Simulator, startSimulator } from '../simulator/simulator.ts';
import { buildPrograms, type Command } from './build-programs.ts';
import { createTlsFront, type TlsFront } from './tls-front.ts';

const run = promisify(execFile);
const LANGUAGES = ['python', 'go', 'java', 'node'] as const;
type Language = (typeof LANGUAGES)[number];

let programs: Readonly<Record<Language, Command>>;
let simulator: Simulator;
let service: RunningProcess;
let serviceUrl: string;
let folder: string;
let tls: TlsFront;
let localKey: { readonly ak: string; readonly sk: string };

beforeAll(async () => {
  programs = await buildPrograms();
  simulator = await startSimulator();
  folder = await mkdtemp(join(tmpdir(), 'imagecaches-sdks-'));
  tls = await createTlsFront(folder);
  const file = join(folder, 'keys.json');
  const { stdout } = await run(process.execPath, [
    'src/runtime/node/keys.ts',
    'add',
    'billing',
    '--file',
    file,
  ]);
  const [, ak = '', sk = ''] = /AK=(\S+)\n.*SK=(\S+)\n/.exec(stdout) ?? [];
  localKey = { ak, sk };
  service = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    SDK_KEYS_FILE: file,
    SHUTDOWN_DELAY_SECONDS: '0',
  });
  const [, port] = await service.printed(/"port":(\d+),"upstream".*"msg":"listening"/);
  serviceUrl = `http://127.0.0.1:${port}`;
});
afterEach(() => simulator.reset());
afterAll(async () => {
  service?.child.kill('SIGTERM');
  await service?.exited;
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

it('the secrets of local keys are in no output of the service', async () => {
  const { keys } = JSON.parse(await readFile(join(folder, 'keys.json'), 'utf8')) as {
    keys: { secretAccessKey: string }[];
  };
  const printed = service.stdout() + service.stderr();
  expect(printed).toContain('"issuer":"sdk-keys"');
  for (const { secretAccessKey } of keys) expect(printed).not.toContain(secretAccessKey);
  expect(printed).not.toContain(cloudKey.sk);
});
