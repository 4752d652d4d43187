import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { watchProcess } from '../node/running-process.ts';
import { CACHE_SERVICE } from './cache-service.ts';

const WORKERD = fileURLToPath(new URL('../../../node_modules/.bin/workerd', import.meta.url));

export interface RunningWorkerd {
  readonly url: string;
  /** The process id. */
  readonly pid: number;
  /** All that it has printed, the console of the Worker included. */
  readonly output: () => string;
  /** Resolves with the first match in what it prints; rejects when it ends before. */
  readonly printed: (pattern: RegExp) => Promise<RegExpExecArray>;
  readonly stop: () => Promise<void>;
}

export interface WorkerdOptions {
  /**
   * A second Worker, which has the port in place of the first; bound in it are MAIN, the first one, and IMAGE_CACHES, its
   * entrypoint for other Workers.
   */
  readonly caller?: string;
  /**
   * With the Cache API, which throws otherwise: kept by a second Worker here, or by CACHE_SERVICE at another address, such
   * as `127.0.0.1:8080`, where its CPU time is not to be counted.
   */
  readonly cache?: 'here' | string;
  /** The number of isolates of the Worker; MAIN2 and so on are bound in the caller. Default: 1. */
  readonly isolates?: number;
}

/** Runs a bundled Worker in workerd alone, with these bindings, on a port of loopback. */
export async function startWorkerd(
  script: string,
  bindings: Readonly<Record<string, string>>,
  compatibilityDate: string,
  { caller, cache, isolates = 1 }: WorkerdOptions = {},
): Promise<RunningWorkerd> {
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-workerd-'));
  const names = ['main', ...Array.from({ length: isolates - 1 }, (_, index) => `main${index + 2}`)];
  const text = (value: string) => JSON.stringify(value);
  const listed = Object.entries(bindings).map(
    ([name, value]) => `(name = ${text(name)}, text = ${text(value)})`,
  );
  const services = [
    ...names.map((name) => `(name = "${name}", worker = .main)`),
    ...(caller === undefined ? [] : ['(name = "caller", worker = .caller)']),
    ...(cache === undefined ? [] : [`(name = "cache", ${cacheAt(cache)})`]),
    '(name = "internet", network = (allow = ["local", "private", "public"]))',
  ];
  await writeFile(join(folder, 'worker.js'), script);
  await writeFile(join(folder, 'caller.js'), caller ?? '');
  await writeFile(join(folder, 'cache.js'), CACHE_SERVICE);
  await writeFile(
    join(folder, 'config.capnp'),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [${services.join(', ')}],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "${caller === undefined ? 'main' : 'caller'}")],
);
const caller :Workerd.Worker = (
  modules = [(name = "caller", esModule = embed "caller.js")],
  compatibilityDate = ${text(compatibilityDate)},
  bindings = [
    ${names.map((name) => `(name = "${name.toUpperCase()}", service = "${name}"),`).join(' ')}
    (name = "IMAGE_CACHES", service = (name = "main", entrypoint = "ImageCaches")),
  ],
);
const cache :Workerd.Worker = (
  modules = [(name = "cache", esModule = embed "cache.js")],
  compatibilityDate = ${text(compatibilityDate)},
);
const main :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = ${text(compatibilityDate)},
  bindings = [${listed.join(', ')}],${cache !== undefined ? '\n  cacheApiOutbound = "cache",' : ''}
);
`,
  );
  // It tells on the fourth descriptor which port it has got.
  const child = spawn(WORKERD, ['serve', '--control-fd=3', 'config.capnp'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const { stdout, stderr, printed, exited } = watchProcess(
    child as ChildProcess as ChildProcessByStdio<null, Readable, Readable>,
  );
  const output = () => stdout() + stderr();
  const stop = async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(folder, { recursive: true, force: true });
  };
  const messages = createInterface({ input: child.stdio[3] as Readable });
  const [message] = (await Promise.race([once(messages, 'line'), exited.then(() => [])])) as string[];
  if (message === undefined) {
    await stop();
    throw new Error(`workerd ended: ${output()}`);
  }
  const { port } = JSON.parse(message) as { port: number };
  return { url: `http://127.0.0.1:${port}`, pid: child.pid as number, output, printed, stop };
}

const cacheAt = (place: string): string =>
  place === 'here' ? 'worker = .cache' : `external = (address = ${JSON.stringify(place)}, http = ())`;
