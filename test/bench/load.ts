import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { openRawConnections, type RawConnection } from './raw-connections.ts';

const run = promisify(execFile);

export interface LoadResult {
  /** Answers that came. */
  readonly requests: number;
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

const LATEST_ANSWER_SECONDS = 60;

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
      measure: (options) => (options.method === 'HEAD' ? measureRaw(options) : measureWithWrk(options)),
    };
  } catch {
    return { name: 'autocannon', measure: measureWithAutocannon };
  }
}

async function measureWithWrk(options: LoadOptions): Promise<LoadResult> {
  const { url, headers, connections, seconds } = options;
  // An answer that is late is no fault of the server: after 2 seconds, by default, it would count as an error.
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, `--timeout=${LATEST_ANSWER_SECONDS}s`];
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}: ${value}`);
  const { stdout } = await run('wrk', [...args, url]);
  const requests = /(\d+) requests in/.exec(stdout)?.[1];
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? '0';
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const socketErrors = (sockets ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0);
  return {
    requests: Number(requests),
    requestsPerSecond: Number(rate),
    errors: Number(failed) + socketErrors,
  };
}

async function measureWithAutocannon(options: LoadOptions): Promise<LoadResult> {
  const { seconds, ...others } = options;
  const result = await autocannon({ ...others, duration: seconds });
  // What is no 2xx may be a 304, which is as good.
  const unchanged = result['3xx'];
  return {
    requests: result.requests.total,
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
 * @throws when an answer is not 200, or none comes
 */
export async function measureLatency(
  options: LoadOptions & { readonly requestsPerSecond: number },
): Promise<LatencyResult> {
  const { url, headers, connections, seconds, requestsPerSecond } = options;
  const total = Math.round(seconds * requestsPerSecond);
  const tookMs = new Float64Array(total);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const idle = await openRawConnections({ url, headers }, connections, reject);
  const all = [...idle];
  /** When those requests were due that no connection was free for. */
  const waiting: number[] = [];
  let answered = 0;
  const send = (connection: RawConnection, dueMs: number) => {
    connection.ask((status) => {
      if (status !== 200) reject(new Error(`${url}: ${status}`));
      tookMs[answered] = performance.now() - dueMs;
      answered += 1;
      if (answered === total) resolve();
      const nextDueMs = waiting.shift();
      if (nextDueMs === undefined) idle.push(connection);
      else send(connection, nextDueMs);
    });
  };
  const beganMs = performance.now() + 50;
  let due = 0;
  const tick = () => {
    const nowMs = performance.now();
    for (;;) {
      const dueMs = beganMs + (due * 1000) / requestsPerSecond;
      if (due === total || dueMs > nowMs) break;
      due += 1;
      const connection = idle.pop();
      if (connection === undefined) waiting.push(dueMs);
      else send(connection, dueMs);
    }
    if (nowMs > beganMs + seconds * 1000 + LATE_MS) reject(new Error(`${url}: answers do not come`));
    else if (answered < total) setImmediate(tick);
  };
  try {
    tick();
    await promise;
  } finally {
    for (const { close } of all) close();
  }
  tookMs.sort();
  const percentile = (share: number) => tookMs[Math.min(total - 1, Math.floor(share * total))] as number;
  return { p50Ms: percentile(0.5), p99Ms: percentile(0.99), p999Ms: percentile(0.999) };
}

/** After the last request was due, answers may take this long: 10 seconds. */
const LATE_MS = 10_000;

/** As many requests as each connection gets answered one after the other. */
async function measureRaw({ url, method, headers, connections, seconds }: LoadOptions): Promise<LoadResult> {
  let errors = 0;
  let answers = 0;
  const all = await openRawConnections({ url, method, headers }, connections, () => {
    errors += 1;
  });
  const ask = (connection: RawConnection) => {
    connection.ask((status) => {
      answers += 1;
      if (status !== 200 && status !== 304) errors += 1;
      ask(connection);
    });
  };
  for (const connection of all) ask(connection);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  for (const { close } of all) close();
  return { requests: answers, requestsPerSecond: answers / seconds, errors };
}
