/**
 * `npm run soak [-- --seconds N] [--quick] [--seed N]`: the service at full rate while upstream misbehaves at random
 * and its keys rotate. Every answer has to be right or an honest problem, and nothing may grow. Prints a table, and
 * ends with 1 when something was wrong.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { sanitiseImageCaches } from '../../src/upstream/sanitise.ts';
import { serialiseImageCaches } from '../../src/upstream/serialise.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { faultAt, UPSTREAM_TEXT } from './random-fault.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string' }, quick: { type: 'boolean' }, seed: { type: 'string' } },
});
const SECONDS = Number(values.seconds ?? (values.quick ? 20 : 180));
const SEED = Number(values.seed ?? randomInt(2 ** 31));
/** So many requests are always under way. */
const CONNECTIONS = 32;
/** Until then caches fill and code is compiled; memory is compared from here on. */
const WARM_UP_SHARE = 0.4;
const MAX_GROWTH_BYTES = 48 * 1024 * 1024;
const MAX_GROWTH_HANDLES = 50;
/** Upstream misbehaves for a while, then not, so that values grow stale, go, and come back. */
const FAULT_PHASE_MS = 3000;
const ROTATION_MS = 5000;

const NAMES = ['search-worker-02', 'media-web-06', 'no-such-cache'];
const PROBLEMS: Readonly<Record<string, number>> = {
  unauthenticated: 401,
  forbidden: 403,
  invalid_query: 400,
  upstream_rejected: 502,
  upstream_failed: 502,
  upstream_throttled: 503,
  overloaded: 503,
  upstream_timeout: 504,
};

/** Marsaglia's xorshift: the same seed, the same faults. */
function createRandom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

const random = createRandom(SEED);
const violations = new Set<string>();
const answers = new Map<string, number>();
const count = (kind: string) => answers.set(kind, (answers.get(kind) ?? 0) + 1);

/** What the body of each key has to be, byte for byte, from the stand-in's data and without the service. */
function expectedBodies(): ReadonlyMap<string, string> {
  const { imageCaches } = sanitiseImageCaches(makeImageCaches());
  const bodyOf = (kept: typeof imageCaches) => new TextDecoder().decode(serialiseImageCaches(kept).body);
  const bodies = new Map([['/imagecaches', bodyOf(imageCaches)]]);
  for (const name of NAMES)
    bodies.set(`/imagecaches?name=${name}`, bodyOf(imageCaches.filter((entry) => entry.name === name)));
  return bodies;
}

interface RequestKind {
  readonly path: string;
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  /** The only code that may come. */
  readonly refusedAs?: string;
}

/** Most ask for what there is; some are wrong, each in one way. */
function nextRequest(
  tokens: Readonly<Record<'good' | 'noScope', string>>,
  etags: Map<string, string>,
): RequestKind {
  const authorization = `Bearer ${tokens.good}`;
  const at = random();
  if (at < 0.05) return { path: '/imagecaches', method: 'GET', headers: {}, refusedAs: 'unauthenticated' };
  if (at < 0.08) {
    const headers = { authorization: `${authorization}x` };
    return { path: '/imagecaches', method: 'GET', headers, refusedAs: 'unauthenticated' };
  }
  if (at < 0.1) {
    const headers = { authorization: `Bearer ${tokens.noScope}` };
    return { path: '/imagecaches', method: 'GET', headers, refusedAs: 'forbidden' };
  }
  if (at < 0.13) {
    const path = `/imagecaches?name=${at < 0.12 ? 'Bad_Name' : 'a&name=b'}`;
    return { path, method: 'GET', headers: { authorization }, refusedAs: 'invalid_query' };
  }
  const name = NAMES[Math.floor(random() * NAMES.length * 2)];
  const path = name === undefined ? '/imagecaches' : `/imagecaches?name=${name}`;
  if (at < 0.2) return { path, method: 'HEAD', headers: { authorization } };
  const etag = etags.get(path);
  return {
    path,
    method: 'GET',
    headers: { authorization, ...(at < 0.4 && etag && { 'if-none-match': etag }) },
  };
}

function judge(kind: RequestKind, status: number, body: string, bodies: ReadonlyMap<string, string>): void {
  if (body.includes(UPSTREAM_TEXT)) violations.add(`upstream text in an answer to ${kind.path}`);
  if (status === 200 || status === 304) {
    if (kind.refusedAs !== undefined) violations.add(`${status} where ${kind.refusedAs} was due`);
    if (status === 200 && kind.method === 'GET' && body !== bodies.get(kind.path))
      violations.add(`a wrong body for ${kind.path}: ${body.slice(0, 200)}`);
    count(`${status} ${kind.method}`);
    return;
  }
  if (kind.method === 'HEAD') {
    if (!Object.values(PROBLEMS).includes(status)) violations.add(`${status} to HEAD`);
    count(`${status} HEAD`);
    return;
  }
  const { code } = parseProblem(body);
  count(`${status} ${code}`);
  if (PROBLEMS[code] !== status) violations.add(`${status} with the code ${code}`);
  if (kind.refusedAs !== undefined && kind.refusedAs !== code)
    violations.add(`${code} where ${kind.refusedAs} was due`);
}

function parseProblem(body: string): { readonly code: string } {
  try {
    return JSON.parse(body) as { code: string };
  } catch {
    return { code: 'no problem document' };
  }
}

/** One of CONNECTIONS callers: asks, looks at the answer, asks again. */
async function callUntil(
  endsAtMs: number,
  pool: Pool,
  tokens: Readonly<Record<'good' | 'noScope', string>>,
  bodies: ReadonlyMap<string, string>,
): Promise<void> {
  const etags = new Map<string, string>();
  while (Date.now() < endsAtMs) {
    const kind = nextRequest(tokens, etags);
    try {
      const { path, method, headers } = kind;
      const response = await pool.request({ path, method, headers });
      const body = await response.body.text();
      if (response.statusCode === 200) etags.set(path, String(response.headers.etag));
      judge(kind, response.statusCode, body, bodies);
    } catch (error) {
      violations.add(`no answer: ${String(error)}`);
    }
  }
}

/** Puts a fault before every call to come, in phases. */
async function misbehaveUntil(endsAtMs: number, simulator: Simulator): Promise<void> {
  for (let isBad = false; Date.now() < endsAtMs; isBad = !isBad) {
    const phaseEndsAtMs = Math.min(endsAtMs, Date.now() + FAULT_PHASE_MS);
    while (Date.now() < phaseEndsAtMs) {
      if (isBad) simulator.script(...Array.from({ length: 5 }, () => faultAt(random())));
      await wait(100);
      simulator.clearScript();
    }
  }
}

/** Another key pair every few seconds; the old one works a little longer, as when it is replaced by hand. */
async function rotateUntil(endsAtMs: number, simulator: Simulator, files: KeyFiles): Promise<void> {
  for (let round = 1; Date.now() + ROTATION_MS < endsAtMs; round += 1) {
    await wait(ROTATION_MS);
    const key = { accessKeyId: `AKSOAK${round}`, secretAccessKey: `${SOAK_SECRET}${round}` };
    simulator.credentials.add(key);
    await Promise.all([writeFile(files.ak, key.accessKeyId), writeFile(files.sk, key.secretAccessKey)]);
  }
}

const SOAK_SECRET = 'SOAKsecret0123456789abcdefghijklmnop';

interface KeyFiles {
  readonly ak: string;
  readonly sk: string;
}

interface Memory {
  readonly rssBytes: number;
  readonly handles: number;
}

/** The least of several looks, since the collector runs when it likes. */
async function readMemory(metricsUrl: string): Promise<Memory> {
  const looks: Memory[] = [];
  for (let look = 0; look < 5; look += 1) {
    const text = await (await fetch(metricsUrl)).text();
    const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    looks.push({ rssBytes: value('process_resident_memory_bytes'), handles: value('process_open_fds') });
    await wait(200);
  }
  return {
    rssBytes: Math.min(...looks.map(({ rssBytes }) => rssBytes)),
    handles: Math.min(...looks.map(({ handles }) => handles)),
  };
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  while (child.exitCode === null) {
    const status = await fetch(`${url}/readyz`).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    await wait(20);
  }
  throw new Error('the service did not start');
}

async function main(): Promise<void> {
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-soak-'));
  const files = { ak: join(folder, 'ak'), sk: join(folder, 'sk') };
  const { HUAWEICLOUD_SDK_AK: ak = '', HUAWEICLOUD_SDK_SK: sk = '', ...rest } = simulator.environment;
  await Promise.all([writeFile(files.ak, ak), writeFile(files.sk, sk)]);
  const [port, metricsPort] = [await freePort(), await freePort()];
  const log = await open(join(folder, 'service.log'), 'w');
  const child = spawn(process.execPath, ['src/runtime/node.ts'], {
    cwd: fileURLToPath(new URL('../../', import.meta.url)),
    stdio: ['ignore', log.fd, log.fd],
    env: {
      PATH: process.env.PATH ?? '',
      ...rest,
      HUAWEICLOUD_SDK_AK_FILE: files.ak,
      HUAWEICLOUD_SDK_SK_FILE: files.sk,
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      RATE_LIMIT_PER_MINUTE: '0',
      // Short lives, so that every state of a value is met often.
      CACHE_TTL_SECONDS: '1',
      CACHE_EMPTY_TTL_SECONDS: '1',
      CACHE_STALE_WHILE_REVALIDATE_SECONDS: '1',
      CACHE_STALE_IF_ERROR_SECONDS: '1',
      UPSTREAM_CONNECT_TIMEOUT_MS: '200',
      UPSTREAM_ATTEMPT_TIMEOUT_MS: '400',
      UPSTREAM_DEADLINE_MS: '900',
      SHUTDOWN_DELAY_SECONDS: '0',
      LOG_LEVEL: 'warn',
      NODE_OPTIONS: '--unhandled-rejections=strict',
    },
  });
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve));
  try {
    const url = `http://127.0.0.1:${port}`;
    const metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
    await untilReady(url, child);
    const tokens = { good: await issuer.sign(), noScope: await issuer.sign({ scope: 'other' }) };
    const bodies = expectedBodies();
    const pool = new Pool(url, { connections: CONNECTIONS });
    const startedAtMs = Date.now();
    const endsAtMs = startedAtMs + SECONDS * 1000;
    const warm = wait(SECONDS * 1000 * WARM_UP_SHARE).then(() => readMemory(metricsUrl));
    await Promise.all([
      misbehaveUntil(endsAtMs, simulator),
      rotateUntil(endsAtMs, simulator, files),
      ...Array.from({ length: CONNECTIONS }, () => callUntil(endsAtMs, pool, tokens, bodies)),
    ]);
    const start = await warm;
    const end = await readMemory(metricsUrl);
    await pool.close();
    if (child.exitCode !== null) violations.add(`the service ended with ${child.exitCode}`);
    if (end.rssBytes - start.rssBytes > MAX_GROWTH_BYTES) violations.add('memory grew');
    if (end.handles - start.handles > MAX_GROWTH_HANDLES) violations.add('handles grew');
    child.kill('SIGTERM');
    if ((await exited) !== 0) violations.add('it did not stop with 0');
    const printed = await readFile(join(folder, 'service.log'), 'utf8');
    for (const line of printed.split('\n')) {
      if (line !== '' && !line.startsWith('{"level":"warn"'))
        violations.add(`printed: ${line.slice(0, 300)}`);
    }
    if (printed.includes(UPSTREAM_TEXT)) violations.add('upstream text in the log');
    if (printed.includes(SOAK_SECRET) || printed.includes(sk)) violations.add('a secret in the log');
    print(simulator.count('/v5/imagecaches'), start, end);
  } finally {
    child.kill('SIGKILL');
    await exited;
    await log.close();
    await Promise.all([simulator.stop(), issuer.stop()]);
    await rm(folder, { recursive: true });
  }
}

function print(upstreamCalls: number, start: Memory, end: Memory): void {
  const total = [...answers.values()].reduce((sum, one) => sum + one, 0);
  const mib = (bytes: number) => `${Math.round(bytes / 1_048_576)} MiB`;
  const rows: [string, string][] = [
    ['seed', String(SEED)],
    ['seconds', String(SECONDS)],
    ['requests', `${total} (${Math.round(total / SECONDS)} a second)`],
    ['upstream calls', String(upstreamCalls)],
    ...[...answers].sort().map(([kind, number]): [string, string] => [kind, String(number)]),
    ['memory after warm-up', mib(start.rssBytes)],
    ['memory at the end', mib(end.rssBytes)],
    ['open files after warm-up', String(start.handles)],
    ['open files at the end', String(end.handles)],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(28)}${value}\n`);
  for (const violation of violations) process.stdout.write(`WRONG: ${violation}\n`);
  if (violations.size > 0) process.exitCode = 1;
}

await main();
