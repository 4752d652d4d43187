import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { Pool } from 'undici';

const run = promisify(execFile);

export interface LoadResult {
  readonly requestsPerSecond: number;
  /** Answers that were neither 2xx nor 304, and connections that failed. Anything but 0 spoils the result. */
  readonly errors: number;
}

export interface LoadOptions {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  /** GET by default. */
  readonly method?: 'GET' | 'HEAD' | undefined;
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
    return {
      name: version.stdout.split(' ').slice(0, 2).join(' ') || 'wrk',
      // wrk waits for the body that the answer to HEAD does not have.
      measure: (options) =>
        options.method === 'HEAD' ? measureWithAutocannon(options) : measureWithWrk(options),
    };
  } catch {
    return { name: 'autocannon', measure: measureWithAutocannon };
  }
}

async function measureWithWrk(options: LoadOptions): Promise<LoadResult> {
  const { url, headers, connections, seconds } = options;
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`];
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}: ${value}`);
  const { stdout } = await run('wrk', [...args, url]);
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? '0';
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const socketErrors = (sockets ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0);
  return { requestsPerSecond: Number(rate), errors: Number(failed) + socketErrors };
}

async function measureWithAutocannon(options: LoadOptions): Promise<LoadResult> {
  const { seconds, ...others } = options;
  const result = await autocannon({ ...others, duration: seconds });
  // What is no 2xx may be a 304, which is as good.
  const unchanged = result['3xx'];
  return {
    requestsPerSecond: result.requests.average,
    errors: result.errors + result.non2xx - unchanged,
  };
}

export interface LatencyResult {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/**
 * Latency at a constant rate. Each request is timed from when it was due, not from when it was sent, so that a stall of
 * the server is seen by all that came due meanwhile. It takes a CPU for itself while it waits.
 *
 * @throws when an answer is not 2xx, or none comes
 */
export async function measureLatency(
  options: LoadOptions & { readonly requestsPerSecond: number },
): Promise<LatencyResult> {
  const { url, headers, connections, seconds, requestsPerSecond } = options;
  const { origin, pathname } = new URL(url);
  const pool = new Pool(origin, { connections, pipelining: 1 });
  const total = Math.round(seconds * requestsPerSecond);
  const tookMs = new Float64Array(total);
  try {
    await new Promise<void>((resolve, reject) => {
      const beganMs = performance.now() + 50;
      let sent = 0;
      let answered = 0;
      const send = (dueMs: number) => {
        pool.dispatch(
          { path: pathname, method: 'GET', headers },
          {
            onRequestStart: () => undefined,
            onResponseStart(_controller, status) {
              if (status !== 200) reject(new Error(`${url}: ${status}`));
            },
            onResponseData: () => undefined,
            onResponseEnd() {
              tookMs[answered] = performance.now() - dueMs;
              answered += 1;
              if (answered === total) resolve();
            },
            onResponseError: (_controller, error) => reject(error),
          },
        );
      };
      const tick = () => {
        const nowMs = performance.now();
        for (;;) {
          const dueMs = beganMs + (sent * 1000) / requestsPerSecond;
          if (sent === total || dueMs > nowMs) break;
          sent += 1;
          send(dueMs);
        }
        if (nowMs > beganMs + seconds * 1000 + LATE_MS) reject(new Error(`${url}: answers do not come`));
        else if (answered < total) setImmediate(tick);
      };
      tick();
    });
  } finally {
    await pool.destroy();
  }
  tookMs.sort();
  const percentile = (share: number) => tookMs[Math.min(total - 1, Math.floor(share * total))] as number;
  return { p50Ms: percentile(0.5), p99Ms: percentile(0.99), p999Ms: percentile(0.999) };
}

/** After the last request was due, answers may take this long: 10 seconds. */
const LATE_MS = 10_000;
