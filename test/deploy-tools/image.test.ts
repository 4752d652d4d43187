import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DockerfileParser } from 'dockerfile-ast';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import packageJson from '../../package.json' with { type: 'json' };
import { endAll, type RunningProcess } from '../runtime/node/running-process.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { type BuiltImage, createImageEngine, hasImageEngine, type ImageEngine } from './image-engine.ts';
import { type DeployTools, installTools } from './install-tools.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const DOCKERFILE = join(ROOT, 'deploy/Dockerfile');

let tools: DeployTools;
let text: string;
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

beforeAll(async () => {
  tools = await installTools();
  text = await readFile(DOCKERFILE, 'utf8');
});
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

/** The time of the commit, as docs/operate.md gives it. */
const EPOCH_SECONDS = 1_700_000_000;

describe.skipIf(!hasImageEngine())('the image, built by buildah and run by podman', () => {
  let engine: ImageEngine;
  let image: BuiltImage;
  let simulator: Simulator;
  let issuer: TokenIssuer;
  const running: RunningProcess[] = [];

  beforeAll(async () => {
    engine = await createImageEngine();
    image = await engine.build('first', ROOT, [`SOURCE_DATE_EPOCH=${EPOCH_SECONDS}`]);
    await engine.load('first');
    simulator = await startSimulator();
    issuer = await startTokenIssuer();
  });
  afterEach(() => endAll(running));
  afterAll(async () => {
    await Promise.all([simulator?.stop(), issuer?.stop(), engine?.remove()]);
  });

  function start(options: readonly string[], command?: readonly string[]): RunningProcess {
    const started = engine.start('first', options, command);
    running.push(started);
    return started;
  }

  function settings(changes: Record<string, string> = {}): string[] {
    const environment = {
      ...simulator.environment,
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      HOST: '127.0.0.1',
      SHUTDOWN_DELAY_SECONDS: '0',
      ...changes,
    };
    return Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]);
  }

  /** What a script prints that runs in the image. */
  async function evaluate(script: string): Promise<unknown> {
    const started = start([], ['node', '--input-type=module', '--eval', script]);
    expect(await started.exited, started.stderr()).toBe(0);
    return JSON.parse(started.stdout());
  }

  it('has a layer of the application that a second build makes again, from other times and modes', async () => {
    const context = await temporaryFolder();
    await run('cp', ['-r', 'package.json', 'package-lock.json', 'src', '.dockerignore', 'deploy', context], {
      cwd: ROOT,
    });
    await run('chmod', ['-R', 'g-rwx,o-rwx', context]);
    const second = await engine.build('second', context, [`SOURCE_DATE_EPOCH=${EPOCH_SECONDS}`]);
    // The base, and what the Dockerfile puts on it.
    expect(image.layers).toHaveLength(2);
    expect(second.layers).toEqual(image.layers);
  });

  it('holds the program and its production dependencies, with one time, for anyone to read', async () => {
    const found = (await evaluate(`
      import { readdirSync, lstatSync } from 'node:fs';
      const paths = ['/app', ...readdirSync('/app', { recursive: true }).map((path) => '/app/' + path)];
      const stats = paths.map((path) => lstatSync(path)).filter((stat) => !stat.isSymbolicLink());
      console.log(JSON.stringify({
        root: readdirSync('/app').sort(),
        packages: readdirSync('/app/node_modules'),
        times: [...new Set(stats.map((stat) => stat.mtimeMs))],
        modes: [...new Set(stats.map((stat) => (stat.mode & 0o777).toString(8)))].sort(),
        owners: [...new Set(stats.map((stat) => stat.uid))],
      }));`)) as Record<string, string[]>;
    expect(found.root).toEqual(['node_modules', 'package-lock.json', 'package.json', 'src']);
    for (const name of Object.keys(packageJson.dependencies))
      expect(found.packages).toContain(name.split('/')[0]);
    for (const name of ['vitest', 'typescript', 'node', 'wrangler', '@biomejs', 'autocannon'])
      expect(found.packages).not.toContain(name);
    expect([found.times, found.modes, found.owners]).toEqual([[EPOCH_SECONDS * 1000], ['644', '755'], [0]]);
  });

  it('runs as a user without a name or rights, who can write nowhere', async () => {
    expect(image.config.User).toBe('65532:65532');
    const found = await evaluate(`
      import { readFileSync, writeFileSync } from 'node:fs';
      const write = (path) => { try { writeFileSync(path, ''); return 'written'; } catch ({ code }) { return code; } };
      const status = readFileSync('/proc/self/status', 'utf8');
      console.log(JSON.stringify({
        user: process.getuid(),
        // Root in there is this user outside.
        root: Number(readFileSync('/proc/self/uid_map', 'utf8').trim().split(/ +/)[1]),
        capabilities: /CapEff:\\s*(\\w+)/.exec(status)[1],
        written: ['/app/x', '/tmp/x', '/x', '/etc/x'].map(write),
      }));`);
    expect(found).toEqual({
      user: 65_532,
      root: 65_534,
      capabilities: '0000000000000000',
      written: ['EROFS', 'EROFS', 'EROFS', 'EROFS'],
    });
  });

  it('answers a list, is healthy by its own check, and ends as asked', async () => {
    const port = String(await freePort());
    const metricsPort = String(await freePort());
    const checkHealth = () => {
      const [, ...check] = image.config.Healthcheck?.Test ?? [];
      return start(settings({ PORT: port }), check).exited;
    };
    const service = start(settings({ PORT: port, METRICS_PORT: metricsPort }));
    await service.printed(/"msg":"listening"/);
    expect(await checkHealth()).toBe(0);
    const answer = await fetch(`http://127.0.0.1:${port}/imagecaches`, {
      headers: { authorization: `Bearer ${await issuer.sign()}` },
    });
    expect(answer.status).toBe(200);
    expect(((await answer.json()) as { image_caches: unknown[] }).image_caches).toHaveLength(50);
    service.child.kill('SIGTERM');
    expect(await service.exited).toBe(0);
    expect(service.stdout()).toContain('"msg":"stopped"');
    expect(await checkHealth()).toBe(1);
  });

  it('has the doctor', async () => {
    const ports = { PORT: '0', METRICS_PORT: '0' };
    const doctor = start(settings(ports), ['node', 'src/runtime/node/doctor.ts', '--json']);
    expect(await doctor.exited, doctor.stdout() + doctor.stderr()).toBe(0);
    const sick = start(settings({ ...ports, HUAWEICLOUD_SDK_SK: 'another' }), [
      'node',
      'src/runtime/node/doctor.ts',
    ]);
    expect(await sick.exited).toBe(1);
    expect(sick.stdout()).toContain('✗ signature');
  });

  it('makes key pairs into a folder that is mounted', async () => {
    const folder = await engine.sharedFolder();
    // The user that starts it, whose folder it is.
    const keys = (...command: string[]) =>
      start(
        ['--user', '0', '--volume', `${folder}:/keys`],
        ['node', 'src/runtime/node/keys.ts', ...command, '--file', '/keys/sdk-keys.json'],
      );
    const added = keys('add', 'billing');
    expect(await added.exited, added.stderr()).toBe(0);
    const listed = keys('list');
    expect(await listed.exited).toBe(0);
    expect(listed.stdout()).toContain('billing');
    const { keys: pairs } = JSON.parse(await readFile(join(folder, 'sdk-keys.json'), 'utf8'));
    expect(added.stdout()).toContain(pairs[0].secretAccessKey);
    expect(listed.stdout()).not.toContain(pairs[0].secretAccessKey);
  });
});
