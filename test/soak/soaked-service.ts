import { type ChildProcess, spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/free-port.ts';
import { SERVICE_SETTINGS } from './service-settings.ts';
import { within } from './stretch.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const COLLECT_GARBAGE = fileURLToPath(new URL('collect-garbage.ts', import.meta.url));
/** It ends what hangs: a machine that is busy takes long to start. */
const READY_TIMEOUT_MS = 120_000;
const LOOK_MS = 20;
/** Of the metrics: it ends what hangs, and is longer than a machine stands still. */
const ANSWER_TIMEOUT_MS = 60_000;
/** The grace time of its settings, and several times as much for a machine that is busy. */
const STOP_TIMEOUT_MS = 30_000;

export interface SoakedService {
  readonly name: string;
  readonly url: string;
  readonly child: ChildProcess;
  /** Resolves with the exit code, or the name of the signal. */
  readonly exited: Promise<number | string>;
  /** What it printed. */
  readonly logFile: string;
  /** Prometheus text; undefined when none comes. Never rejects. */
  readonly metrics: () => Promise<string | undefined>;
  /** SIGTERM, and SIGKILL when that is not heeded in time. Resolves with the exit code or the signal's name. */
  readonly stop: () => Promise<number | string>;
}

export interface SoakedServiceOptions {
  readonly name: string;
  readonly logFile: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Takes what has to be done at the end, should it still run then. */
  readonly cleanUps: (() => unknown)[];
}

/** Starts the service as it is started in production, and resolves when it is ready. */
export async function startSoakedService({
  name,
  logFile,
  environment,
  cleanUps,
}: SoakedServiceOptions): Promise<SoakedService> {
  const [port, metricsPort] = [await freePort(), await freePort()];
  const log = await open(logFile, 'w');
  const child = spawn(process.execPath, ['--expose-gc', '--import', COLLECT_GARBAGE, 'src/runtime/node.ts'], {
    cwd: ROOT,
    stdio: ['ignore', log.fd, log.fd],
    env: {
      PATH: process.env.PATH ?? '',
      ...SERVICE_SETTINGS,
      ...environment,
      PORT: String(port),
      METRICS_PORT: String(metricsPort),
    },
  });
  await log.close();
  const exited = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'));
  });
  const url = `http://127.0.0.1:${port}`;
  const service: SoakedService = {
    name,
    url,
    child,
    exited,
    logFile,
    async metrics() {
      try {
        const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`, {
          // A connection that is kept would be counted among the handles.
          headers: { connection: 'close' },
          signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
        });
        return await response.text();
      } catch {
        return undefined;
      }
    },
    async stop() {
      child.kill('SIGTERM');
      const killLater = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      const code = await exited;
      clearTimeout(killLater);
      return code;
    },
  };
  cleanUps.push(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await untilReady(service);
  return service;
}

async function untilReady({ url, child, name, exited }: SoakedService): Promise<void> {
  const ready = async () => {
    while (child.exitCode === null && child.signalCode === null) {
      const status = await fetch(`${url}/readyz`, { headers: { connection: 'close' } }).then(
        async (response) => {
          await response.arrayBuffer();
          return response.status;
        },
        () => 0,
      );
      if (status === 200) return;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    throw new Error(`${name} ended with ${await exited} before it was ready`);
  };
  await within(READY_TIMEOUT_MS, `the start of ${name}`, ready());
}
