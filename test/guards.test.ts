import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);

interface Outcome {
  readonly code: number;
  readonly output: string;
}

async function outcomeOf(command: string, args: string[]): Promise<Outcome> {
  try {
    const { stdout, stderr } = await run(join(ROOT, 'node_modules/.bin', command), args, { cwd: ROOT });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

/** Type-checks a line as if it stood in the core. */
async function typecheckInCore(line: string): Promise<Outcome> {
  const folder = await mkdtemp(join(ROOT, 'src/guard-'));
  try {
    await writeFile(join(folder, 'sample.ts'), line);
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: '../../tsconfig.json', include: ['sample.ts'] }),
    );
    return await outcomeOf('tsc', ['-p', folder]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Lints a file as if it belonged to the core. */
async function lintInCore(text: string): Promise<Outcome> {
  const folder = await mkdtemp(join(ROOT, 'src/guard-'));
  try {
    await writeFile(join(folder, 'sample.ts'), text);
    return await outcomeOf('biome', ['lint', folder]);
  } finally {
    await rm(folder, { recursive: true });
  }
}

describe('the core knows no runtime', () => {
  it.each([
    'process.exit();',
    'export const a = Buffer.alloc(1);',
    "import 'node:fs';\nimport fs from 'node:fs';\nfs.rmSync('a');",
  ])('it cannot be compiled with %j', async (line) => {
    expect((await typecheckInCore('export const fine = new TextEncoder();\n')).code).toBe(0);
    const outcome = await typecheckInCore(`${line}\nexport {};\n`);
    expect(outcome.code).not.toBe(0);
    expect(outcome.output).toMatch(/TS2580|TS2304|TS2307|TS2591|TS2882/);
  });

  it.each([
    ["import fs from 'node:fs';\nexport const a = fs;\n", 'noNodejsModules'],
    ['export const a = process;\n', 'noRestrictedGlobals'],
    ['export const a = Buffer;\n', 'noRestrictedGlobals'],
    ["import pino from 'pino';\nexport const a = pino;\n", 'noRestrictedImports'],
    ["import * as undici from 'undici';\nexport const a = undici;\n", 'noRestrictedImports'],
    ["import * as api from '@opentelemetry/api';\nexport const a = api;\n", 'noRestrictedImports'],
    ["import * as redis from '@redis/client';\nexport const a = redis;\n", 'noRestrictedImports'],
    ["import * as server from '@hono/node-server';\nexport const a = server;\n", 'noRestrictedImports'],
  ])('it cannot be linted with %j', async (line, rule) => {
    const outcome = await lintInCore(line);
    expect(outcome.output).toContain(rule);
    expect(outcome.code).not.toBe(0);
  });
});

/**
 * The rooms of src from top to bottom: a file imports from its own room and from rooms further down. `client` is given
 * away, so it stands alone.
 */
const ROOMS = [
  'runtime',
  'app.ts',
  'hits.ts',
  'pages',
  'imagecaches',
  'composition',
  'auth',
  'limits',
  'http',
  'cache',
  'upstream',
  'credentials',
  'outbound',
  'platform',
  'fleet',
  'config',
  'observability',
  'signing',
  'vendor',
  'time',
];

const FREE_ROOMS = ['client'];

function roomOf(path: string): string {
  return path.split('/')[0] as string;
}

describe('imports point down only', () => {
  it('in every file of src', async () => {
    const source = join(ROOT, 'src');
    const files = (await readdir(source, { recursive: true })).filter((file) => file.endsWith('.ts'));
    expect(files.length).toBeGreaterThan(100);
    const upward: string[] = [];
    for (const file of files) {
      const text = await readFile(join(source, file), 'utf8');
      const targets = [...text.matchAll(/(?:from|import\() ?'(\.{1,2}\/[^']+)'/g)].map(
        ([, target]) => target as string,
      );
      for (const target of targets) {
        const resolved = new URL(target, `file:///${file}`).pathname.slice(1);
        const [from, to] = [roomOf(file), roomOf(resolved)];
        if (from === to || to === 'package.json') continue;
        const isDown = ROOMS.includes(to) && ROOMS.indexOf(from) < ROOMS.indexOf(to) && ROOMS.includes(from);
        if (!isDown) upward.push(`${file} imports ${resolved}`);
      }
    }
    expect(upward).toEqual([]);
  });

  it('and every file is in a room', async () => {
    const entries = await readdir(join(ROOT, 'src'));
    expect(entries.filter((entry) => !ROOMS.includes(entry) && !FREE_ROOMS.includes(entry))).toEqual([]);
  });
});

/**
 * Members that begin with an underscore, bindings and hand-made requests: none of it is documented by Node or a library, but
 * for `_default` of zod/mini.
 */
const UNDOCUMENTED =
  /\._(?!default\()[A-Za-z]\w*|\[['"]_\w|\b_(?:header|events|handle|httpMessage)\b|process\.binding|assignSocket|new (?:ServerResponse|IncomingMessage)\(/;

describe('documented interfaces only', () => {
  it('of Node and of every library, in every file of src and deploy', async () => {
    const found: string[] = [];
    for (const folder of ['src', 'deploy']) {
      const files = (await readdir(join(ROOT, folder), { recursive: true })).filter((file) =>
        /\.(ts|js)$/.test(file),
      );
      for (const file of files)
        if (UNDOCUMENTED.test(await readFile(join(ROOT, folder, file), 'utf8')))
          found.push(`${folder}/${file}`);
    }
    expect(found).toEqual([]);
  });

  it.each([
    'outgoing._header = text;',
    "outgoing['_header']",
    '{ _httpMessage: 1 }',
    "process.binding('http_parser')",
    'outgoing.assignSocket(socket)',
    'new ServerResponse(incoming)',
  ])('it would find %s', (line) => {
    expect(line).toMatch(UNDOCUMENTED);
  });
});

/** A Worker's bundle keeps no names of functions and classes, so what reads them would log others there. */
const NAMED_BY_CLASS =
  /\bconstructor\??\.name\b|class \w+ extends \w*Error\b(?![^{]*\{[^}]*? readonly name = ')/;

describe('names do not depend on those of functions and classes', () => {
  it('in any file of src', async () => {
    const files = (await readdir(join(ROOT, 'src'), { recursive: true })).filter((file) =>
      file.endsWith('.ts'),
    );
    const found: string[] = [];
    for (const file of files)
      if (NAMED_BY_CLASS.test(await readFile(join(ROOT, 'src', file), 'utf8'))) found.push(file);
    expect(found).toEqual([]);
  });

  it.each([
    'error.constructor.name',
    'class OddError extends Error {}',
    'class Odd extends TypeError { code = 1; }',
  ])('it would find %s', (line) => {
    expect(line).toMatch(NAMED_BY_CLASS);
    expect("class OddError extends Error {\n  override readonly name = 'OddError';\n}").not.toMatch(
      NAMED_BY_CLASS,
    );
  });
});

/** Two files stand at the root of src; every other file is in a room. */
describe('the root of src', () => {
  it('holds the app and the one way past it', async () => {
    const entries = await readdir(join(ROOT, 'src'), { withFileTypes: true });
    const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    expect(files.sort()).toEqual(['app.ts', 'hits.ts']);
  });
});
