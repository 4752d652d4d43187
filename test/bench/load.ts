import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import autocannon from 'autocannon';

const run = promisify(execFile);

export interface LoadResult {
  readonly requestsPerSecond: number;
  /** Answers that were not 2xx, and connections that failed. Anything but 0 spoils the result. */
  readonly errors: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly seconds: number;
}

export interface LoadTool {
  readonly name: string;
  readonly measure: (options: LoadOptions) => Promise<LoadResult>;
}

/** wrk where it is installed, since it costs the server the least of the machine; else autocannon. */
export async function chooseLoadTool(): Promise<LoadTool> {
  try {
    // wrk prints its version with a usage text, and exits with 1.
    const version = await run('wrk', ['-v']).catch((error: { stdout?: string; code?: unknown }) => {
      if (error.code === 'ENOENT') throw error;
      return { stdout: error.stdout ?? '' };
    });
    return { name: version.stdout.split(' ').slice(0, 2).join(' ') || 'wrk', measure: measureWithWrk };
  } catch {
    return { name: 'autocannon', measure: measureWithAutocannon };
  }
}

async function measureWithWrk({ url, headers, connections, seconds }: LoadOptions): Promise<LoadResult> {
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`];
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}: ${value}`);
  const { stdout } = await run('wrk', [...args, url]);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? '0';
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const socketErrors = (sockets ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0);
  return { requestsPerSecond: Number(rate), errors: Number(failed) + socketErrors };
}

async function measureWithAutocannon({
  url,
  headers,
  connections,
  seconds,
}: LoadOptions): Promise<LoadResult> {
  const result = await autocannon({ url, headers, connections, duration: seconds });
  return { requestsPerSecond: result.requests.average, errors: result.errors + result.non2xx };
}
