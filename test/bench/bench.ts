/**
 * `npm run bench [-- --json] [--quick]`: speed as ratios against a baseline measured in the same run, in
 * alternating rounds, so that a busy machine slows both alike. Servers run alone in a process of their own.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { chooseLoadTool, type LoadTool } from './load.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const CONNECTIONS = 64;
const READY_TIMEOUT_MS = 15_000;

const { values } = parseArgs({ options: { json: { type: 'boolean' }, quick: { type: 'boolean' } } });
const ROUNDS = values.quick ? 3 : 7;
const SECONDS = values.quick ? 2 : 4;
const STARTS = values.quick ? 3 : 7;

const run = promisify(execFile);
const children = new Set<ChildProcess>();

interface Started {
  readonly child: ChildProcess;
  readonly url: string;
}

/** Starts a server script; its output goes to a file, as it would to a container's log. */
async function startServer(
  script: string,
  args: string[],
  environment: Record<string, string>,
  logFile: string,
): Promise<Started> {
  const port = await freePort();
  const log = openSync(logFile, 'w');
  const child = spawn(process.execPath, [script, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...environment, PORT: String(port) },
    stdio: ['ignore', log, 'inherit'],
  });
  closeSync(log);
  children.add(child);
  const url = `http://127.0.0.1:${port}`;
  const ended = new Promise<never>((_resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)));
  });
  ended.catch(() => undefined);
  await Promise.race([untilReady(url), ended]);
  return { child, url };
}

async function stopServer({ child }: Started): Promise<void> {
  const exited = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await exited;
  children.delete(child);
}

function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

function spread(samples: readonly number[]): string {
  return `${Math.round(Math.min(...samples))} to ${Math.round(Math.max(...samples))}`;
}

async function untilReady(url: string): Promise<void> {
  const untilMs = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    if (performance.now() > untilMs) throw new Error(`${url} does not become ready`);
    try {
      const response = await fetch(`${url}/readyz`);
      await response.arrayBuffer();
      if (response.status === 200) return;
    } catch {
      // Not listening yet.
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

async function measureHits(
  tool: LoadTool,
  targets: Readonly<Record<string, { url: string; headers: Record<string, string> }>>,
): Promise<Record<string, number[]>> {
  const rates: Record<string, number[]> = {};
  const once = async (name: string, seconds: number) => {
    const target = targets[name] as { url: string; headers: Record<string, string> };
    const { requestsPerSecond, errors } = await tool.measure({
      ...target,
      connections: CONNECTIONS,
      seconds,
    });
    if (errors > 0) throw new Error(`${name}: ${errors} bad answers`);
    return requestsPerSecond;
  };
  for (const name of Object.keys(targets)) await once(name, 2);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of Object.keys(targets)) {
      rates[name] ??= [];
      rates[name].push(await once(name, SECONDS));
    }
  }
  return rates;
}

async function main(): Promise<void> {
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-bench-'));
  const logFile = join(folder, 'service.log');
  const environment = {
    ...simulator.environment,
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    CACHE_TTL_SECONDS: '3600',
    // On, and out of the way.
    RATE_LIMIT_PER_MINUTE: '100000000',
    SHUTDOWN_DELAY_SECONDS: '0',
  };
  try {
    const startMs: number[] = [];
    for (let start = 0; start < STARTS; start += 1) {
      const startedAt = performance.now();
      const service = await startServer('src/runtime/node.ts', [], environment, logFile);
      startMs.push(performance.now() - startedAt);
      await stopServer(service);
    }

    const service = await startServer('src/runtime/node.ts', [], environment, logFile);
    const url = `${service.url}/imagecaches`;
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const bytes = new Uint8Array(await (await fetch(url, { headers })).arrayBuffer());
    const bodyFile = join(folder, 'body.json');
    await writeFile(bodyFile, bytes);
    const quiet = await startServer(
      'src/runtime/node.ts',
      [],
      { ...environment, LOG_LEVEL: 'warn' },
      join(folder, 'quiet.log'),
    );
    const quietUrl = `${quiet.url}/imagecaches`;
    await (await fetch(quietUrl, { headers })).arrayBuffer();
    const bare = await startServer('test/bench/bare-hono.ts', [bodyFile], {}, join(folder, 'bare.log'));
    const http = await startServer('test/bench/bare-http.ts', [bodyFile], {}, join(folder, 'http.log'));
    const team = await startServer(
      'test/bench/fifty-lines.ts',
      [bodyFile],
      { AUTH_ISSUER: issuer.issuer, AUTH_AUDIENCE: 'imagecaches' },
      join(folder, 'team.log'),
    );
    const nginx = await startNginx(http.url, folder);

    const tool = await chooseLoadTool();
    const rates = await measureHits(tool, {
      service: { url, headers },
      quiet: { url: quietUrl, headers },
      bareHono: { url: `${bare.url}/imagecaches`, headers },
      bareHttp: { url: `${http.url}/imagecaches`, headers },
      fiftyLines: { url: `${team.url}/imagecaches`, headers },
      ...(nginx && { nginx: { url: `${nginx.url}/imagecaches`, headers: {} } }),
    });
    for (const server of [service, quiet, bare, http, team]) await stopServer(server);
    await nginx?.stop();

    const signing = JSON.parse(
      (await run(process.execPath, ['test/bench/signing.ts'], { cwd: ROOT })).stdout,
    ) as Record<string, number[]>;
    const memory = await run(process.execPath, ['--expose-gc', 'test/bench/cache-memory.ts'], { cwd: ROOT });
    const {
      lists,
      entries,
      bytes: heldBytes,
      bodyBytes,
    } = JSON.parse(memory.stdout) as Record<string, number>;

    const serviceRate = median(rates.service as number[]);
    const hits = Object.entries(rates).map(([name, samples]) => ({
      what: TARGETS[name]?.what ?? name,
      requestsPerSecond: Math.round(median(samples)),
      spread: spread(samples),
      serviceToIt: Number((serviceRate / median(samples)).toFixed(2)),
      target: TARGETS[name]?.least ?? '',
    }));
    const ours = median(signing.ours as number[]);
    const signatures = Object.entries(signing).map(([name, samples]) => ({
      what: SIGNERS[name] ?? name,
      perSecond: Math.round(median(samples)),
      spread: spread(samples),
      oursToIt: Number((ours / median(samples)).toFixed(2)),
    }));
    const report = {
      machine: {
        cpu: cpus()[0]?.model ?? 'unknown',
        cores: cpus().length,
        node: process.version,
        load: tool.name,
      },
      method: {
        connections: CONNECTIONS,
        rounds: ROUNDS,
        secondsPerRound: SECONDS,
        bodyBytes: bytes.byteLength,
      },
      hits,
      signatures,
      start: { toReadyMs: Math.round(median(startMs)), spread: spread(startMs) },
      memory: {
        lists,
        entries,
        MiB: Number(((heldBytes as number) / 1_048_576).toFixed(1)),
        bodiesMiB: Number((((lists as number) * (bodyBytes as number)) / 1_048_576).toFixed(1)),
      },
    };
    if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else print(report);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    await rm(folder, { recursive: true });
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
}

/** What a hit is compared with, and how much of it is wanted at least. */
const TARGETS: Readonly<Record<string, { readonly what: string; readonly least?: number }>> = {
  service: { what: 'this service, with its log' },
  quiet: { what: 'this service, LOG_LEVEL=warn' },
  bareHono: { what: 'a bare Hono route', least: 0.95 },
  bareHttp: { what: 'bare node:http', least: 0.8 },
  nginx: { what: 'nginx proxy_cache, no token', least: 1 },
  fiftyLines: { what: '50 lines: Hono, jose, LRU', least: 3 },
};
const SIGNERS: Readonly<Record<string, string>> = {
  ours: 'this service',
  sdk: "the vendor's SDK for Node",
  aws4fetch: 'aws4fetch, its own scheme',
};

/** One worker, and its cache in front of the origin; undefined where nginx is not installed. */
async function startNginx(
  origin: string,
  folder: string,
): Promise<{ readonly url: string; readonly stop: () => Promise<void> } | undefined> {
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  const file = join(folder, 'nginx.conf');
  await writeFile(
    file,
    `daemon off; worker_processes 1; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${join(folder, 'nginx.pid')}; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; ${temporary.join(' ')}
  proxy_cache_path ${join(folder, 'cache')} keys_zone=lists:1m;
  server {
    listen 127.0.0.1:${port};
    keepalive_requests 1000000000;
    location / { proxy_pass ${origin}; proxy_cache lists; proxy_cache_valid 200 1h; }
  }
}
`,
  );
  const child = spawn('nginx', ['-c', file, '-p', folder], { stdio: 'ignore' });
  const isThere = await new Promise<boolean>((resolve) => {
    child.once('error', () => resolve(false));
    child.once('spawn', () => resolve(true));
  });
  if (!isThere) return undefined;
  children.add(child);
  const url = `http://127.0.0.1:${port}`;
  await untilReady(url);
  return {
    url,
    stop: async () => {
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
      children.delete(child);
    },
  };
}

function print(report: Readonly<Record<string, object | readonly object[]>>): void {
  for (const [section, content] of Object.entries(report)) {
    process.stdout.write(`\n${section}\n`);
    if (Array.isArray(content)) printTable(content as Record<string, unknown>[]);
    else
      for (const [name, value] of Object.entries(content))
        process.stdout.write(`  ${name.padEnd(28)}${String(value)}\n`);
  }
}

function printTable(rows: readonly Readonly<Record<string, unknown>>[]): void {
  const names = Object.keys(rows[0] ?? {});
  const cells = [names, ...rows.map((row) => names.map((name) => String(row[name])))];
  const widths = names.map((_, column) => Math.max(...cells.map((line) => (line[column] as string).length)));
  for (const line of cells) {
    const [first = '', ...others] = line;
    const numbers = others.map((cell, index) => cell.padStart((widths[index + 1] as number) + 2));
    process.stdout.write(`  ${first.padEnd(widths[0] as number)}${numbers.join('')}\n`);
  }
}

await main();
