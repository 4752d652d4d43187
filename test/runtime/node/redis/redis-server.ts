import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../../support/free-port.ts';

const { TEST_REDIS_SERVER } = process.env;
/** Redis, or Valkey under a name of its own. TEST_REDIS_SERVER: this program, and no other. */
const PROGRAM = (
  TEST_REDIS_SERVER === undefined ? ['redis-server', 'valkey-server'] : [TEST_REDIS_SERVER]
).find((program) => spawnSync(program, ['--version']).status === 0);

/**
 * Is there a server to test with? Its absence is a failure in CI, and elsewhere a notice: the tests that need it are
 * skipped.
 */
export function hasRedisServer(): boolean {
  if (PROGRAM !== undefined) return true;
  if (process.env.CI !== undefined) throw new Error('redis-server is not installed');
  console.warn('Tests with Redis are skipped: neither redis-server nor valkey-server is installed.');
  return false;
}

export interface RedisServer {
  readonly url: string;
  readonly port: number;
  /** Stops answering, with its connections open. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** Ends at once, and loses everything. */
  readonly kill: () => Promise<void>;
  /** Starts again on the same port. */
  readonly restart: (args?: readonly string[]) => Promise<void>;
  readonly stop: () => Promise<void>;
}

/** A server that keeps nothing on disk. */
export async function startRedisServer(
  args: readonly string[] = [],
  { first = [] }: { readonly first?: readonly string[] } = {},
): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'redis-'));
  const port = await freePort();
  let child: ChildProcess;
  async function start(moreArgs: readonly string[]): Promise<void> {
    const isTls = moreArgs.includes('--tls-port');
    const ports = isTls ? ['--port', '0', '--tls-port', String(port)] : ['--port', String(port)];
    const started = spawn(
      PROGRAM as string,
      [
        ...first,
        ...ports,
        '--bind',
        '127.0.0.1',
        '--dir',
        folder,
        ...(first.length > 0 ? [] : ['--save', '', '--appendonly', 'no']),
        ...moreArgs.filter((arg) => arg !== '--tls-port'),
      ],
      { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    child = started;
    let output = '';
    await new Promise<void>((resolve, reject) => {
      const look = (chunk: Buffer) => {
        output += chunk.toString();
        if (/eady to accept connections|Sentinel ID is|\+monitor/.test(output)) resolve();
        // It has something on disk: it answers meanwhile, and says that it loads.
        if (output.includes('Loading RDB')) resolve();
      };
      started.stdout.on('data', look);
      started.stderr.on('data', look);
      started.once('exit', (code) => reject(new Error(`redis-server ended with ${code}:\n${output}`)));
    });
  }
  async function kill(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
  await start(args);
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    freeze: () => child.kill('SIGSTOP'),
    thaw: () => child.kill('SIGCONT'),
    kill,
    restart: async (newArgs = args) => {
      await kill();
      await start(newArgs);
    },
    stop: async () => {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
