import { execFile, spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { hasChromium, launchChromium, openPage } from '../support/chromium.ts';
import { freePort } from '../support/free-port.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const EXAMPLES = join(ROOT, 'docs/examples');

/** An empty project with nothing in it but the package and what the examples use. */
let project: string;
let tarball: string;
let environment: Record<string, string>;
const running: RunningProcess[] = [];

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'package-'));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', project], { cwd: ROOT });
  const [packed] = Object.values(JSON.parse(stdout.slice(stdout.search(/^[[{]/m)))) as { filename: string }[];
  tarball = join(project, packed?.filename as string);
  await writeFile(join(project, 'package.json'), '{"private":true,"type":"module"}');
  const packages = ['hono@4', 'express@5', '@types/express@5', '@types/node@24', 'typescript@7'];
  await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', tarball, ...packages], {
    cwd: project,
  });
  await cp(EXAMPLES, join(project, 'examples'), { recursive: true });

  const port = await freePort();
  const demo = startProcess('deploy/demo/demo.ts', ['--json', '--port', String(port)]);
  running.push(demo);
  const [line] = await demo.printed(/^\{"url".*\}$/m);
  const { url, token } = JSON.parse(line) as { url: string; token: string };
  environment = {
    PATH: process.env.PATH ?? '',
    HOME: process.env.HOME ?? '',
    IMAGECACHES_URL: new URL(url).origin,
    IMAGECACHES_TOKEN: token,
  };
});
afterAll(async () => {
  await endAll(running);
  await rm(project, { recursive: true, force: true });
});

async function script(text: string): Promise<string> {
  const file = join(project, `script-${Math.random()}.mjs`);
  await writeFile(file, text);
  return (await run(process.execPath, [file], { cwd: project, env: environment })).stdout;
}

describe('the package', () => {
  it('has the client and nothing else', async () => {
    const { stdout } = await run('tar', ['-tzf', tarball]);
    const files = stdout
      .trim()
      .split('\n')
      .map((file) => file.replace('package/', ''));
    expect(files.filter((file) => !file.startsWith('dist/client/')).sort()).toEqual([
      'LICENSE',
      'README.md',
      'README.zh-CN.md',
      'package.json',
    ]);
    expect(
      files.filter((file) => file.startsWith('dist/client/')).every((file) => /\.(?:js|d\.ts)$/.test(file)),
    ).toBe(true);
  });

  it('is put together as packages should be', async () => {
    const data = await readFile(tarball);
    const { messages } = await publint({
      pack: { tarball: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) },
    });
    expect(messages.filter(({ type }) => type !== 'suggestion')).toEqual([]);
    const checked = await checkPackage(createPackageFromTarballData(data));
    // CommonJS cannot require it, and the oldest resolution has no exports: both are meant.
    const meant = ['CJSResolvesToESM', 'NoResolution'];
    const problems = checked.types === false ? [checked] : checked.problems;
    expect(problems.filter((problem) => !('kind' in problem && meant.includes(problem.kind)))).toEqual([]);
  });

  it('imports nothing but itself', async () => {
    const folder = join(project, 'node_modules/imagecaches-bff/dist/client');
    for (const file of await readdir(folder)) {
      const text = await readFile(join(folder, file), 'utf8');
      for (const [, source] of text.matchAll(/from '([^']+)'/g))
        expect(source).toMatch(/^\.\/[\w-]+\.(?:js|ts)$/);
      if (file.endsWith('.js')) expect(text).not.toContain(".ts'");
    }
  });

  it('runs in an empty project, against the service', async () => {
    const output = await script(`import { createClient } from 'imagecaches-bff/client';
const client = createClient({ baseUrl: process.env.IMAGECACHES_URL, token: process.env.IMAGECACHES_TOKEN });
const { imageCaches } = await client.list();
const again = await client.list();
console.log(imageCaches.length, again.imageCaches === imageCaches, (await client.get('media-web-06')).status);`);
    expect(output).toBe('50 true Available\n');
  });
});

describe.skipIf(!hasChromium())('the client in a browser', () => {
  it('lists, and reuses what has not changed', async () => {
    const browser = await launchChromium();
    try {
      const { page, complaints } = await openPage(browser);
      const origin = environment.IMAGECACHES_URL as string;
      // Files of the package, as a page of the same origin would have them; all else goes to the service.
      await page.route(`${origin}/app/**`, async (route) => {
        const name = new URL(route.request().url()).pathname.split('/').at(-1) as string;
        if (name === 'page')
          return route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>x</title>' });
        const path = join(project, 'node_modules/imagecaches-bff/dist/client', name);
        return route.fulfill({ contentType: 'text/javascript', path });
      });
      await page.goto(`${origin}/app/page`);
      const output = await page.evaluate(
        `import('/app/index.js').then(async ({ createClient }) => {
          const client = createClient({ baseUrl: location.origin, token: ${JSON.stringify(environment.IMAGECACHES_TOKEN)} });
          const { imageCaches } = await client.list();
          const again = await client.list();
          const problem = await client.get('Not A Name').catch((error) => error);
          return [imageCaches.length, again.imageCaches === imageCaches, problem.name, problem.code];
        })`,
      );
      expect(output).toEqual([50, true, 'ImageCachesProblem', 'invalid_query']);
      // The browser says of every 400 that it is one.
      expect(complaints.filter((text) => !text.includes('400'))).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});

describe('the examples', () => {
  it('in TypeScript are typed right, as strict as can be', async () => {
    await writeFile(
      join(project, 'tsconfig.json'),
      JSON.stringify({
        compilerOptions: {
          target: 'es2023',
          module: 'nodenext',
          strict: true,
          exactOptionalPropertyTypes: true,
          noUncheckedIndexedAccess: true,
          noEmit: true,
          types: ['node'],
        },
        include: ['examples/*.ts'],
      }),
    );
    const { stdout } = await run(join(project, 'node_modules/.bin/tsc'), [], { cwd: project }).catch(
      (error: { stdout: string }) => error,
    );
    expect(stdout).toBe('');
  });

  it('for Next.js answers as a route handler does', async () => {
    const output = await script(`import { GET } from './examples/next-route.ts';
const one = await (await GET(new Request('http://next.example/api?name=media-web-06'))).json();
const bad = await GET(new Request('http://next.example/api?name=Bad'));
console.log(one.imageCaches.length, bad.status, JSON.stringify(await bad.json()));`);
    expect(output).toBe('1 400 {"code":"invalid_query"}\n');
  });

  it('for Express answers', async () => {
    const port = await freePort();
    const child = spawn(process.execPath, ['examples/express.ts'], {
      cwd: project,
      env: { ...environment, PORT: String(port) },
    });
    try {
      const ask = () => fetch(`http://127.0.0.1:${port}/names`).catch(() => undefined);
      let response = await ask();
      while (response === undefined && child.exitCode === null) response = await ask();
      expect(await response?.json()).toContain('media-web-06');
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('for Hono answers', async () => {
    const output = await script(`import app from './examples/hono.ts';
for (const name of ['media-web-06', 'nobody-has-it'])
  console.log(await (await app.request('/ready/' + name, {}, process.env)).text());`);
    expect(output).toBe('{"ready":true}\n{"ready":false}\n');
  });

  it.each([
    ['curl', 'sh', ['examples/list.sh']],
    ['Python', 'python3', ['examples/list.py']],
    ['Go', 'go', ['run', 'examples/list.go']],
  ])('for %s lists', async (_name, program, args) => {
    const options = { cwd: project, env: { ...process.env, ...environment }, maxBuffer: 1 << 26 };
    const { stdout } = await run(program, args, options);
    expect(stdout).toContain('media-web-06');
    const refused = { ...options, env: { ...options.env, IMAGECACHES_TOKEN: 'bad' } };
    const error = await run(program, args, refused).catch(
      (thrown: { stdout: string; stderr: string }) => thrown,
    );
    expect(`${error.stdout}${error.stderr}`).toContain('unauthenticated');
    expect(error).toHaveProperty('code');
  });
});
