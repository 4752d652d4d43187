import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, lstat, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DockerfileParser } from 'dockerfile-ast';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { freePort } from '../support/free-port.ts';
import { type DeployTools, installTools } from './install-tools.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCKERFILE = join(ROOT, 'deploy/Dockerfile');

let tools: DeployTools;
let text: string;
/** What /app of the image holds. */
let app: string;
const folders: string[] = [];

interface Instruction {
  readonly keyword: string;
  readonly text: string;
}

function instructions(): Instruction[] {
  return DockerfileParser.parse(text)
    .getInstructions()
    .map((instruction) => ({
      keyword: instruction.getKeyword(),
      text: instruction.getTextContent().slice(instruction.getKeyword().length).trim(),
    }));
}

/** Those of the last stage, which is the image. */
function ofImage(keyword: string): string[] {
  const all = instructions();
  const last = all.findLastIndex((instruction) => instruction.keyword === 'FROM');
  return all
    .slice(last)
    .flatMap((instruction) => (instruction.keyword === keyword ? [instruction.text] : []));
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'image-'));
  folders.push(folder);
  return folder;
}

/** There is no engine here, so the build's steps are done by hand, with the very commands of the file. */
async function build(epoch: number): Promise<string> {
  const folder = await temporaryFolder();
  for (const { keyword, text: rest } of instructions()) {
    const sources = rest.split(' ').slice(0, -1);
    if (keyword === 'COPY' && !rest.startsWith('--from'))
      for (const source of sources) await cp(join(ROOT, source), join(folder, source), { recursive: true });
    if (keyword !== 'RUN') continue;
    // npm is that of this machine; the image's own cache is not.
    const command = rest.replace('/root/.npm', '/nonexistent');
    await run('sh', ['-ec', command], {
      cwd: folder,
      env: { ...process.env, SOURCE_DATE_EPOCH: String(epoch) },
      maxBuffer: 1 << 26,
    });
  }
  return folder;
}

beforeAll(async () => {
  tools = await installTools();
  text = await readFile(DOCKERFILE, 'utf8');
  app = await build(1_700_000_000);
}, 900_000);
afterAll(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

describe('the Dockerfile', () => {
  it('is linted without a complaint', async () => {
    const { stdout } = await run(tools.hadolint, ['--failure-threshold', 'style', DOCKERFILE]);
    expect(stdout).toBe('');
    const bad = join(await temporaryFolder(), 'Dockerfile');
    await writeFile(bad, 'FROM node\nRUN cd /tmp && sudo ls\n');
    await expect(run(tools.hadolint, [bad])).rejects.toThrow();
  });

  it('makes an image that runs node itself as nobody', () => {
    expect(JSON.parse((ofImage('CMD')[0] as string).replaceAll(' ', ''))).toEqual([
      'node',
      'src/runtime/node.ts',
    ]);
    expect(ofImage('USER')).toEqual(['65532:65532']);
    expect(ofImage('STOPSIGNAL')).toEqual(['SIGTERM']);
    expect(ofImage('ENV').join(' ')).toContain('HOST=0.0.0.0');
    expect(ofImage('RUN')).toEqual([]);
    expect(text).toContain(`ARG VERSION=${packageJson.version}\n`);
  });

  it('is given nothing but what it copies', async () => {
    const ignored = (await readFile(join(ROOT, '.dockerignore'), 'utf8'))
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const copied = instructions()
      .filter(({ keyword, text: rest }) => keyword === 'COPY' && !rest.startsWith('--from'))
      .flatMap(({ text: rest }) => rest.split(' ').slice(0, -1));
    expect(ignored).toEqual(['*', ...copied.map((source) => `!${source}`)]);
  });
});

describe('what the image holds', () => {
  it('is the program and its production dependencies', async () => {
    expect((await readdir(app)).sort()).toEqual(['node_modules', 'package-lock.json', 'package.json', 'src']);
    const installed = await readdir(join(app, 'node_modules'));
    for (const name of Object.keys(packageJson.dependencies)) expect(installed).toContain(name.split('/')[0]);
    for (const name of ['vitest', 'typescript', 'node', 'wrangler', '@biomejs', 'autocannon'])
      expect(installed).not.toContain(name);
  });

  it('has one time', async () => {
    for (const path of ['', 'src', 'src/app.ts', 'node_modules/hono', 'node_modules/hono/package.json'])
      expect((await lstat(join(app, path))).mtimeMs).toBe(1_700_000_000_000);
  });

  it.each([
    ['as it is', {}],
    // Node's permission model refuses what is not allowed: here all writing, child processes and threads.
    ['where nothing can be written', { NODE_OPTIONS: '--permission --allow-fs-read=*' }],
  ])('starts %s, is healthy, and ends as asked', async (_how, options) => {
    const [port, metricsPort] = [await freePort(), await freePort()];
    const environment = {
      PATH: process.env.PATH ?? '',
      NODE_ENV: 'production',
      HOST: '0.0.0.0',
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      CCE_ENDPOINT: 'http://127.0.0.1:9',
      HUAWEICLOUD_SDK_AK: 'AK',
      HUAWEICLOUD_SDK_SK: 'SK',
      AUTH_ISSUER: 'http://127.0.0.1:9',
      AUTH_AUDIENCE: 'imagecaches',
      REDIS_URL: 'redis://127.0.0.1:9',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9',
      SHUTDOWN_DELAY_SECONDS: '0',
    };
    const [program, ...args] = JSON.parse((ofImage('CMD')[0] as string).replaceAll(' ', '')) as string[];
    const [, list = '[]'] = /CMD (\[.*\])$/.exec(ofImage('HEALTHCHECK')[0] as string) ?? [];
    const [checker, ...checkerArgs] = JSON.parse(list.replaceAll(' ', '')) as string[];
    const checkHealth = () =>
      run(checker as string, checkerArgs, { cwd: app, env: environment }).then(
        () => 'healthy',
        ({ code }: { code: number }) => code,
      );
    expect(await checkHealth()).toBe(1);
    const child = spawn(program as string, args, { cwd: app, env: { ...environment, ...options } });
    let output = '';
    const listening = new Promise<void>((resolve, reject) => {
      child.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
        if (output.includes('"msg":"listening"')) resolve();
      });
      child.stderr.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
      child.once('exit', () => reject(new Error(output)));
    });
    await listening;
    expect(await checkHealth()).toBe('healthy');
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(await checkHealth()).toBe(1);
  });
});
