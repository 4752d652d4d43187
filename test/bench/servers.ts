import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from '../support/free-port.ts';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** What is measured runs on the first CPU; load, stand-in and issuer run on the second. */
const SERVER_CPU = 0;
const LOAD_CPU = 1;
/** It ends what hangs: a machine that is busy takes long to start. */
const READY_TIMEOUT_MS = 120_000;
const STOP_TIMEOUT_MS = 10_000;

const run = promisify(execFile);
const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});
// A process that a signal ends has no exit event.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

export interface StartedServer {
  /** Scheme, host and port, without a path. */
  readonly url: string;
  /** The process id. */
  readonly pid: number;
  /** Resolves when it has ended: asked by SIGTERM, and made to after 10 seconds. */
  readonly stop: () => Promise<void>;
}

/** True when servers and load run on CPUs of their own: there are two, and taskset is installed. */
export async function separateCpus(): Promise<boolean> {
  if (cpus().length < 2) return false;
  try {
    await run('taskset', ['-cp', String(LOAD_CPU), String(process.pid)]);
    isPinned = true;
  } catch {
    // Not Linux, or not installed: both share what there is.
  }
  return isPinned;
}
let isPinned = false;

/**
 * Starts a program and waits until it answers at `url` with any status.
 *
 * @param url where it will listen
 * @param log a file for its standard output and errors, as a container's log would be
 * @throws when it cannot be started, ends, or does not answer within 2 minutes
 */
export async function startProgram(
  command: readonly [program: string, ...args: string[]],
  { url, log, env = {}, readyPath = '/', isMeasured = true }: ProgramOptions,
): Promise<StartedServer> {
  const [program, ...args] =
    isPinned && isMeasured ? ['taskset', '-c', String(SERVER_CPU), ...command] : command;
  const file = openSync(log, 'w');
  const child = spawn(program as string, args, {
    cwd: ROOT,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', file, file],
  });
  closeSync(file);
  children.add(child);
  let hasEnded = false;
  const ended = new Promise<void>((resolve) => {
    const end = () => {
      hasEnded = true;
      children.delete(child);
      resolve();
    };
    child.once('error', end);
    child.once('exit', end);
  });
  const stop = async () => {
    if (!hasEnded) child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
  };
  const untilMs = performance.now() + READY_TIMEOUT_MS;
  while (!(await answers(url + readyPath, readyPath !== '/'))) {
    if (hasEnded) throw new Error(`${command[0]} has ended: see ${log}`);
    if (performance.now() > untilMs) {
      await stop();
      throw new Error(`${command[0]} does not answer at ${url}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return { url, pid: child.pid as number, stop };
}

export interface ProgramOptions {
  readonly url: string;
  readonly log: string;
  /** PATH is added. */
  readonly env?: Readonly<Record<string, string>>;
  /** Has to answer 200 where given; else any answer at `/` will do. */
  readonly readyPath?: string;
  /** True, the default: it runs on the CPU for servers; false: on that of the load. */
  readonly isMeasured?: boolean;
}

async function answers(url: string, wants200: boolean): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5000) });
    await response.arrayBuffer();
    return !wants200 || response.status === 200;
  } catch {
    return false;
  }
}

/** Starts a script of this project with `PORT` set, and waits for its `/readyz`. Its output goes to `<log>`. */
export async function startScript(
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  log: string,
): Promise<StartedServer> {
  const port = await freePort();
  return startProgram([process.execPath, script, ...args], {
    url: `http://127.0.0.1:${port}`,
    log,
    env: { ...env, PORT: String(port) },
    readyPath: '/readyz',
  });
}

/** A service that starts next holds no list: the one call of its start fails. */
export async function failFirstCall(standInUrl: string): Promise<void> {
  const rule = { match: { path: '/v5/imagecaches' }, answer: { kind: 'redirect' }, times: 1 };
  const response = await fetch(`${standInUrl}/__control/script`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(rule),
  });
  if (!response.ok) throw new Error(`the stand-in answers ${response.status}`);
}

/** The stand-in as a process of its own, beside the load: calls to it cross processes, as calls to the vendor do. */
export async function startStandIn(log: string): Promise<StartedServer> {
  const port = await freePort();
  return startProgram([process.execPath, 'test/simulator/main.ts', '--port', String(port)], {
    url: `http://127.0.0.1:${port}`,
    log,
    isMeasured: false,
  });
}

export interface NginxOptions {
  /** Such as http://127.0.0.1:8080. */
  readonly origin: string;
  readonly folder: string;
  /** How long answers are fresh; 1 hour by default. */
  readonly freshSeconds?: number;
  /** More directives for its location. */
  readonly directives?: readonly string[];
}

let nginxCount = 0;

/** nginx with one worker and its cache before the origin, without any token; undefined where it is not installed. */
export async function startNginx(options: NginxOptions): Promise<StartedServer | undefined> {
  const { origin, folder, freshSeconds = 3600, directives = [] } = options;
  try {
    await run('nginx', ['-v']);
  } catch {
    return undefined;
  }
  const port = await freePort();
  nginxCount += 1;
  const path = (name: string) => join(folder, `nginx-${nginxCount}-${name}`);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${path(name)};`,
  );
  await writeFile(
    path('conf'),
    `daemon off; worker_processes 1; ${process.getuid?.() === 0 ? 'user root;' : ''} pid ${path('pid')}; error_log stderr crit;
events { worker_connections 4096; }
http {
  access_log off; ${temporary.join(' ')}
  proxy_cache_path ${path('cache')} keys_zone=lists:1m;
  upstream origin { server ${new URL(origin).host} max_fails=0; keepalive 32; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    keepalive_requests 1000000000;
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache lists; proxy_cache_valid 200 ${freshSeconds}s; ${directives.join(' ')}
    }
  }
}
`,
  );
  return startProgram(['nginx', '-c', path('conf'), '-p', folder, '-e', 'stderr'], {
    url: `http://127.0.0.1:${port}`,
    log: path('log'),
  });
}

/** CPU time that a process has used, its kernel's share included, in microseconds. Linux only. */
export async function cpuMicroseconds(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  // Fields 14 and 15 of proc(5), in ticks of 10 ms.
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

/** Memory of a process that is in RAM, in bytes. Linux only. */
export async function residentBytes(pid: number): Promise<number> {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib) * 1024;
}
