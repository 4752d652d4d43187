/**
 * What the Worker costs, in workerd on this machine: CPU for each hit and each miss, its size, and its start.
 * `node test/bench/workers.ts [--quick]` prints the table.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { bundleWorker, type WorkerBundle } from '../runtime/worker/bundle-worker.ts';
import { CACHE_SERVICE } from '../runtime/worker/cache-service.ts';
import { type RunningWorkerd, startWorkerd } from '../runtime/worker/start-workerd.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { chooseLoadTool, type LoadTool } from './load.ts';
import { median, type Row, renderSections, round, type Section, spread } from './report.ts';
import { cpuMicroseconds, ROOT } from './servers.ts';
import { LIFE_MS, MISSES_A_LIFE, measureMisses } from './worker-misses.ts';

const run = promisify(execFile);

const CONNECTIONS = 64;
const ENTRIES = 50;
const TIMEOUT_MS = 30_000;
const PROFILE_TIMEOUT_MS = 60_000;

/** Does /proc tell the CPU time of processes here? */
const hasProc = existsSync('/proc/self/stat');

interface Samples {
  readonly values: readonly number[];
  /** Digits after the point. */
  readonly digits?: number;
}

/** CPU, size and start of the bundled Worker, in workerd alone. */
export async function measureWorkers({ quick }: { readonly quick: boolean }): Promise<Section> {
  const rounds = quick ? 2 : 5;
  const bundle = await bundleWorker();
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const cache = await startWorkerd(CACHE_SERVICE, {}, bundle.compatibilityDate);
  try {
    const tool = await chooseLoadTool();
    const environment = {
      ...simulator.environment,
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      RATE_LIMIT_PER_MINUTE: '0',
      LOG_LEVEL: 'info',
    };
    const hits = await measureHits(bundle, environment, issuer, tool, cache, rounds, quick ? 2 : 5);
    const misses = hasProc
      ? await measureMisses(bundle, environment, issuer, simulator, cache, quick ? 10 : 30)
      : { miss: [], refresh: [], floor: [], fetching: [] };
    const starts = await measureStarts(bundle, environment, quick ? 3 : 9);
    const profiles = await measureStartCpu(quick ? 1 : 5);

    const hitCpu = hits.worker.map(({ microseconds }) => microseconds);
    const peerCpu = hits.peer.map(({ microseconds }) => microseconds);
    const rows = [
      row('CPU of workerd for a hit, µs', { values: hasProc ? hitCpu : [] }),
      row('the same of its peer, µs', { values: hasProc ? peerCpu : [] }),
      row('ratio of the peer to it, by round', {
        values: hasProc ? hitCpu.map((cpu, round) => (peerCpu[round] as number) / cpu) : [],
        digits: 2,
      }),
      row('CPU of workerd for a miss, µs', { values: misses.miss }),
      row('the same for a refresh that finds a list unchanged, µs', { values: misses.refresh }),
      row('the same of a Worker that does what a miss cannot do without, µs', { values: misses.floor }),
      row('the same of a Worker that only fetches, reads and digests, µs', { values: misses.fetching }),
      row('hits a second', { values: hits.worker.map(({ perSecond }) => perSecond) }),
      row('answers a second of its peer', {
        values: hits.peer.map(({ perSecond }) => perSecond),
      }),
      row('script, gzipped, KiB', {
        values: [gzipSync(bundle.script, { level: 9 }).byteLength / 1024],
        digits: 1,
      }),
      row('script, minified, KiB', { values: [Buffer.byteLength(bundle.script) / 1024], digits: 1 }),
      row('cold start: active CPU, ms', { values: profiles, digits: 1 }),
      row('from starting workerd to its first answer, ms', { values: starts }),
    ];
    return {
      title: 'The Worker, in workerd',
      rows,
      notes: [
        `Hits: the list of ${ENTRIES} entries, ${CONNECTIONS} connections by ${tool.name}, the same token. CPU is of the whole`,
        'process, its HTTP server and the kernel included, and the log is at info. The peer reads the same fields of the request,',
        'writes a line with the same members, and returns the same headers and bytes, which it knows from the start.',
        'The Cache API is there, in another process, and without a bound: a miss asks it and puts into it.',
        `Misses: names with ${ENTRIES} entries each, signed, fetched, parsed and sanitised; one after the other, ${MISSES_A_LIFE} in ${LIFE_MS} ms,`,
        'since more names load the whole list. CPU that workerd takes without requests is in it. What a miss cannot do without:',
        'two looks into the Cache API and a put, a signature, the call, reading, parsing, writing, a digest and two log lines.',
        'Cold start: of the profile that `wrangler check startup` writes, all but the idle time. It samples about once a',
        'millisecond of wall time, so that a busy machine adds to it.',
        ...(hasProc ? [] : ['Not Linux: no CPU of a process is known.']),
      ],
    };
  } finally {
    await Promise.all([simulator.stop(), issuer.stop(), cache.stop()]);
  }
}

function row(what: string, { values, digits = 0 }: Samples): Row {
  return {
    what,
    median: values.length === 0 ? '' : round(median(values), digits),
    spread: values.length < 2 ? '' : spread(values, digits),
  };
}

interface HitRound {
  readonly perSecond: number;
  readonly microseconds: number;
}

/** CPU for each hit, of the Worker and of a peer that knows its answer, in alternating rounds. */
async function measureHits(
  { script, compatibilityDate }: WorkerBundle,
  environment: Readonly<Record<string, string>>,
  issuer: TokenIssuer,
  tool: LoadTool,
  cache: RunningWorkerd,
  rounds: number,
  seconds: number,
): Promise<Readonly<Record<'worker' | 'peer', HitRound[]>>> {
  const headers = { authorization: `Bearer ${await issuer.sign()}` };
  const running: RunningWorkerd[] = [];
  try {
    const worker = await startWorkerd(
      script,
      { ...environment, CACHE_TTL_SECONDS: '3600' },
      compatibilityDate,
      { cache: new URL(cache.url).host },
    );
    running.push(worker);
    const response = await fetch(`${worker.url}/imagecaches`, {
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    const body = await response.text();
    if (response.status !== 200 || (JSON.parse(body) as ListBody).image_caches.length !== ENTRIES)
      throw new Error(`the Worker answers ${response.status}`);
    const hit = await fetch(`${worker.url}/imagecaches`, { headers });
    await hit.arrayBuffer();
    const peer = await startWorkerd(
      peerScript(body, hit.headers, headers.authorization),
      {},
      compatibilityDate,
    );
    running.push(peer);

    const results: Record<'worker' | 'peer', HitRound[]> = { worker: [], peer: [] };
    const measureOne = async ({ url, pid }: RunningWorkerd): Promise<HitRound> => {
      const before = hasProc ? await cpuMicroseconds(pid) : 0;
      const begunMs = performance.now();
      const { requestsPerSecond, errors } = await tool.measure({
        url: `${url}/imagecaches`,
        headers,
        connections: CONNECTIONS,
        seconds,
      });
      if (errors > 0) throw new Error(`${errors} bad answers`);
      // The tool may run longer than it was told to; its rate is of the whole time.
      const answers = requestsPerSecond * Math.max(seconds, (performance.now() - begunMs) / 1000);
      const used = hasProc ? (await cpuMicroseconds(pid)) - before : 0;
      return { perSecond: requestsPerSecond, microseconds: used / answers };
    };
    for (let count = -1; count < rounds; count += 1) {
      const round = { worker: await measureOne(worker), peer: await measureOne(peer) };
      // The first round warms up.
      if (count < 0) continue;
      results.worker.push(round.worker);
      results.peer.push(round.peer);
    }
    return results;
  } finally {
    await Promise.all(running.map(({ stop }) => stop()));
  }
}

interface ListBody {
  readonly image_caches: readonly unknown[];
}

/**
 * A Worker that does what a hit cannot do without: it reads the same fields of the request, writes a log line with the same
 * members, and returns the same headers and bytes. It knows its one answer and its one token.
 */
function peerScript(body: string, headers: Headers, authorization: string): string {
  const own = { ...Object.fromEntries(headers), 'content-length': String(Buffer.byteLength(body)) };
  for (const name of ['connection', 'transfer-encoding', 'date', 'x-request-id'])
    delete (own as Record<string, string>)[name];
  return `const body = new TextEncoder().encode(${JSON.stringify(body)});
const own = new Headers(${JSON.stringify(own)});
export default {
  fetch({ method, url, headers }) {
    const startedAtMs = Date.now();
    if (method !== 'GET' || url.slice(url.indexOf('/', 8)) !== '/imagecaches') return new Response(null, { status: 404 });
    if (headers.get('cache-control') !== null) return new Response(null, { status: 400 });
    if (headers.get('authorization') !== ${JSON.stringify(authorization)}) return new Response(null, { status: 401 });
    const isCoded = headers.get('accept-encoding') === 'br';
    const requestId = headers.get('x-request-id') ?? crypto.randomUUID();
    const trace = headers.get('traceparent') ?? undefined;
    const status = headers.get('if-none-match') === null && !isCoded ? 200 : 304;
    console.log(JSON.stringify({
      level: 'info', time: new Date().toISOString(), requestId, trace_id: trace, method, route: '/imagecaches', status,
      ms: Date.now() - startedAtMs, access: 'granted', cache: 'hit', subject: 'a-caller', issuer: 'http://127.0.0.1:12345',
      msg: 'request',
    }));
    own.set('x-request-id', requestId);
    return new Response(status === 200 ? body : null, { status, headers: own });
  },
};
`;
}

/** Milliseconds from starting workerd with the Worker until it answers. */
async function measureStarts(
  { script, compatibilityDate }: WorkerBundle,
  environment: Readonly<Record<string, string>>,
  starts: number,
): Promise<number[]> {
  const samples: number[] = [];
  for (let start = 0; start < starts; start += 1) {
    const begunMs = performance.now();
    const worker = await startWorkerd(script, environment, compatibilityDate);
    samples.push(performance.now() - begunMs);
    await worker.stop();
  }
  return samples;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: { readonly functionName: string } }[];
  readonly samples: readonly number[];
  /** Microseconds. */
  readonly timeDeltas: readonly number[];
}

/** Milliseconds of a start in which the CPU was not idle, from wrangler's profile. */
async function measureStartCpu(profiles: number): Promise<number[]> {
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-startup-'));
  const file = join(folder, 'startup.cpuprofile');
  const wrangler = join(ROOT, 'node_modules/.bin/wrangler');
  try {
    const samples: number[] = [];
    for (let count = 0; count < profiles; count += 1) {
      await run(wrangler, ['check', 'startup', '--outfile', file, '--args=--env production'], {
        cwd: ROOT,
        env: { ...process.env, WRANGLER_SEND_METRICS: 'false' },
        timeout: PROFILE_TIMEOUT_MS,
      });
      samples.push(activeMs(JSON.parse(await readFile(file, 'utf8')) as CpuProfile));
    }
    return samples;
  } finally {
    await rm(folder, { recursive: true });
  }
}

function activeMs({ nodes, samples, timeDeltas }: CpuProfile): number {
  const idle = new Set(
    nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id),
  );
  let microseconds = 0;
  for (const [index, sample] of samples.entries())
    if (!idle.has(sample)) microseconds += timeDeltas[index] ?? 0;
  return microseconds / 1000;
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' } } });
  console.log(renderSections([await measureWorkers({ quick: values.quick === true })]));
}
