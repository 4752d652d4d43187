import type { LoadTool } from './load.ts';
import { median, type Row, ratioOf, round, spread } from './report.ts';
import { cpuMicroseconds, type StartedServer } from './servers.ts';

export const CONNECTIONS = 64;
const ROUND_SECONDS = 1;
/** A round goes on for another second until it has used so much CPU time, which is counted in steps of 10 ms. */
const LEAST_CPU_MICROSECONDS = 200_000;
const MAX_ROUND_SECONDS = 20;
/** Before its first round each side is asked this many times, so that its code is compiled; for 8 rounds at most. */
const WARM_UP_REQUESTS = 20_000;
const MAX_WARM_UP_ROUNDS = 8;

/** Requests to one server. */
export interface Side {
  readonly what: string;
  readonly server: StartedServer;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly method?: 'HEAD';
  /** Every answer is to be neither 2xx nor 304; false by default. */
  readonly isDenied?: boolean;
}

/** What is measured, and what it is measured against. */
export interface Pair {
  readonly ours: Side;
  readonly baseline: Side;
  /** The least that the ratio should be; undefined: it is only stated. */
  readonly goal?: number;
  readonly rounds: number;
}

export interface MeasuredPair extends Pair {
  readonly samples: Readonly<Record<'ours' | 'baseline', readonly Sample[]>>;
  /** The median over the rounds of the baseline's cost to ours: 2 means that ours takes half of the CPU. */
  readonly ratio: number;
}

interface Sample {
  readonly requestsPerSecond: number;
  /** User and system time of all threads of the server for each request; undefined where there is no /proc. */
  readonly cpuMicroseconds: number | undefined;
}

/**
 * Measures pairs one after the other, in short rounds of one second for each side. The sides take their turns, and the
 * one that begins changes from round to round: what else the machine does meets both alike. CPU time counts only what
 * the server itself used, so that a busy machine changes it less than requests a second.
 *
 * @throws when an answer has another status than it should, or none comes
 */
export async function measurePairs(pairs: readonly Pair[], tool: LoadTool): Promise<MeasuredPair[]> {
  const warm = new Set<string>();
  const measured: MeasuredPair[] = [];
  for (const pair of pairs) {
    const { ours, baseline, rounds } = pair;
    for (const side of [ours, baseline]) {
      const { server, path, headers, method } = side;
      const key = JSON.stringify([server.url, path, headers, method]);
      if (!warm.has(key)) await warmUp(side, tool);
      warm.add(key);
    }
    const samples = { ours: [] as Sample[], baseline: [] as Sample[] };
    for (let turn = 0; turn < rounds; turn += 1)
      for (const name of turn % 2 === 0 ? (['ours', 'baseline'] as const) : (['baseline', 'ours'] as const))
        samples[name].push(await sample(pair[name], tool));
    const ratio = ratioOf(samples.baseline.map(cost), samples.ours.map(cost));
    measured.push({ ...pair, samples, ratio });
  }
  return measured;
}

async function warmUp(side: Side, tool: LoadTool): Promise<void> {
  let asked = 0;
  for (let turn = 0; turn < MAX_WARM_UP_ROUNDS && asked < WARM_UP_REQUESTS; turn += 1)
    asked += (await sample(side, tool)).requestsPerSecond * ROUND_SECONDS;
}

/** CPU time of a request, or where it is not known the time from one answer to the next. */
function cost({ cpuMicroseconds, requestsPerSecond }: Sample): number {
  return cpuMicroseconds ?? 1_000_000 / requestsPerSecond;
}

async function sample(side: Side, tool: LoadTool): Promise<Sample> {
  const { what, server, path, headers, method, isDenied = false } = side;
  let [seconds, requests, cpu] = [0, 0, 0];
  do {
    const before = await readCpu(server.pid);
    const load = await tool.measure({
      url: server.url + path,
      headers,
      method,
      connections: CONNECTIONS,
      seconds: ROUND_SECONDS,
    });
    const after = await readCpu(server.pid);
    if (load.errors !== (isDenied ? load.requests : 0))
      throw new Error(`${what}: ${load.errors} of ${load.requests} answers are not good`);
    seconds += ROUND_SECONDS;
    requests += load.requests;
    cpu += before === undefined || after === undefined ? Number.NaN : after - before;
  } while ((requests === 0 || cpu < LEAST_CPU_MICROSECONDS) && seconds < MAX_ROUND_SECONDS);
  if (requests === 0) throw new Error(`${what}: no answer in ${seconds} seconds`);
  return {
    requestsPerSecond: requests / seconds,
    cpuMicroseconds: Number.isNaN(cpu) ? undefined : cpu / requests,
  };
}

async function readCpu(pid: number): Promise<number | undefined> {
  return process.platform === 'linux' ? cpuMicroseconds(pid) : undefined;
}

/** The rows of a table, one for each pair. */
export function pairRows(measured: readonly MeasuredPair[]): Row[] {
  return measured.map(({ ours, baseline, goal, samples, ratio }) => {
    const cpu = (of: readonly Sample[]) =>
      of.some(({ cpuMicroseconds }) => cpuMicroseconds === undefined) ? '' : round(median(of.map(cost)), 1);
    const rate = (of: readonly Sample[]) =>
      round(median(of.map(({ requestsPerSecond }) => requestsPerSecond)));
    const ratios = samples.ours.map((ofOurs, turn) => cost(samples.baseline[turn] as Sample) / cost(ofOurs));
    return {
      answer: ours.what,
      against: baseline.what,
      'CPU µs': cpu(samples.ours),
      'its CPU µs': cpu(samples.baseline),
      ratio: round(ratio, 2),
      spread: spread(ratios, 2),
      goal: goal ?? '',
      'requests/s': rate(samples.ours),
      'its requests/s': rate(samples.baseline),
    };
  });
}
