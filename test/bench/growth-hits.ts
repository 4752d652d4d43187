import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import autocannon from 'autocannon';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { NAME_LOADS_BEFORE_LIST } from '../../src/cache/name-load-budget.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import { freePort } from '../support/free-port.ts';
import { chooseLoadTool, type LoadResult } from './load.ts';
import { median, type Row, round, type Section, spread } from './report.ts';
import { type StartedServer, startScript } from './servers.ts';

const run = promisify(execFile);

const CONNECTIONS = 64;
const TTL_SECONDS = 3600;
const MIB = 1_048_576;
/** Beyond the bodies, each list takes about a KiB. */
const LIST_OVERHEAD_BYTES = 1024;
const TOKEN_SECONDS = 100 * 86_400;
/** A name in the data of the upstream, replaced by the one that is asked for. */
const NAME_MARK = '@name@';
/** After the load so many names are asked again, to see that they are held still. */
const CHECKED_NAMES = 100;
/** No answer and no run of the load tool may take longer: 1 minute. */
const TIMEOUT_MS = 60_000;
/** wrk counts what takes longer as an error; its 2 s are too few for a machine that is busy with other things. */
const ANSWER_SECONDS = '30s';

export interface GrowthHitsOptions {
  readonly quick: boolean;
  /** For logs and what the load tool reads. */
  readonly folder: string;
}

/** How many names, how many entries in the list of each, and how they came into the cache. */
interface Cell {
  readonly names: number;
  readonly entries: number;
  /**
   * `loaded`: each by itself. `in brotli`: the same, and each was asked for in brotli, so that a compressed copy is held.
   * `derived`: cut from one unfiltered list that has all.
   */
  readonly how: 'loaded' | 'in brotli' | 'derived';
}

/** Hits a second and memory of the whole process, by names and by entries in the list of each. */
export async function measureGrowthHits({ quick, folder }: GrowthHitsOptions): Promise<Section> {
  const most = quick ? 1000 : 10_000;
  const rounds = quick ? 1 : 5;
  const seconds = quick ? 2 : 3;
  const loadFile = join(folder, 'names.lua');
  await writeFile(loadFile, LUA);
  const tool = (await chooseLoadTool()).name;
  const measure =
    tool === 'autocannon' ? loadWithAutocannon : (options: NamesLoad) => loadWithWrk(loadFile, options);
  const issuer = await startTokenIssuer();
  const rows: Row[] = [];
  const skipped: string[] = [];
  try {
    for (const entries of [1, 50, 500]) {
      const cells: Cell[] = [1, 100, most].map((names) => ({ names, entries, how: 'loaded' }));
      // Larger lists than these two are no answer that the service would take: it reads 8 MiB.
      if (entries === 1) cells.push({ names: most, entries, how: 'derived' });
      if (entries === 50)
        cells.push({ names: 100, entries, how: 'derived' }, { names: most, entries, how: 'in brotli' });
      rows.push(...(await measureCells(cells, { issuer, folder, measure, rounds, seconds, skipped })));
    }
  } finally {
    await issuer.stop();
  }
  return {
    title: 'Hits by names and entries',
    rows,
    notes: [
      `${CONNECTIONS} connections by ${tool}, which asks for the names in turn; the service writes a log line for each answer.`,
      'To one name: hits a second against those of one name with as many entries, as the median of the ratios of the rounds.',
      'MiB: what the bodies are; what the process holds more after garbage collection than it did with one list; and what',
      'it has more in RAM, which includes what loading has left to the allocator and the heap.',
      `Loaded: each name by itself. Since the service does that for ${NAME_LOADS_BEFORE_LIST} names in a fresh life and then loads`,
      'the whole list, its clock is moved on after each so many, and back before hits are measured: no time of day would',
      'bring it there. Derived: cut from one unfiltered list that has all names, which is what happens otherwise.',
      'That list is at most 8 MiB as the vendor sends it, so that there are only these two rows.',
      'In brotli: loaded, and each name was asked for in brotli too; hits are measured without.',
      'The upstream is a part of this program and checks no signatures. Every name was asked for, and its answer looked at.',
      ...skipped,
    ],
  };
}

interface CellContext {
  readonly issuer: TokenIssuer;
  readonly folder: string;
  readonly measure: (options: NamesLoad) => Promise<Omit<LoadResult, 'requests'>>;
  readonly rounds: number;
  readonly seconds: number;
  /** Taken note of what is left out. */
  readonly skipped: string[];
}

/** Services with as many entries in each list, one for each number of names, in alternating rounds. */
async function measureCells(cells: readonly Cell[], context: CellContext): Promise<Row[]> {
  const { issuer, measure, rounds, seconds, skipped } = context;
  const headers = { authorization: `Bearer ${await issuer.sign({ expiresInSeconds: TOKEN_SECONDS })}` };
  const filled: FilledService[] = [];
  try {
    for (const cell of cells) {
      const neededBytes = cell.names * (NAME_BYTES_GUESS * cell.entries + LIST_OVERHEAD_BYTES);
      if (freemem() < 2 * neededBytes)
        skipped.push(`Left out: ${cell.names} names of ${cell.entries} entries, for want of memory.`);
      else filled.push(await startFilled(cell, headers, context));
    }
    const rates = filled.map((): number[] => []);
    for (let count = 0; count < rounds; count += 1)
      for (const [index, { server, cell }] of filled.entries())
        rates[index]?.push(await goodRate(measure, { url: server.url, headers, names: cell.names, seconds }));
    for (const { server, cell } of filled) await assertHeld(server, headers, cell);
    const ratio = (samples: readonly number[]) =>
      median(samples.map((perSecond, round) => perSecond / (rates[0]?.[round] as number)));
    return filled.map(({ cell, bodyBytes, more }, index) => {
      const samples = rates[index] as number[];
      return {
        'names × entries': `${cell.names} × ${cell.entries}, ${cell.how}`,
        'bytes a list': bodyBytes,
        'hits/s': round(median(samples)),
        spread: spread(samples),
        'to one name': round(ratio(samples), 2),
        'MiB/s': round((median(samples) * bodyBytes) / MIB),
        'MiB: bodies': round((cell.names * bodyBytes) / MIB, 1),
        held: round(more.heldBytes / MIB, 1),
        resident: round(more.residentBytes / MIB, 1),
      };
    });
  } finally {
    await Promise.all(filled.map(({ stop }) => stop()));
  }
}
/** An entry as callers see it is not longer than this, on average. */
const NAME_BYTES_GUESS = 400;

async function goodRate(measure: CellContext['measure'], options: NamesLoad): Promise<number> {
  const { requestsPerSecond, errors } = await measure(options);
  if (errors > 0) throw new Error(`${options.names} names: ${errors} bad answers`);
  return requestsPerSecond;
}

interface Memory {
  /** In objects and array buffers that are in use. */
  readonly heldBytes: number;
  /** In RAM. */
  readonly residentBytes: number;
}

interface FilledService {
  readonly cell: Cell;
  readonly server: StartedServer;
  /** Of the answer to one name. */
  readonly bodyBytes: number;
  /** Since there was one list. */
  readonly more: Memory;
  readonly stop: () => Promise<void>;
}

/** A service that holds all names of the cell, with the memory that it took since it held one. */
async function startFilled(
  cell: Cell,
  headers: Readonly<Record<string, string>>,
  { issuer, folder, measure }: CellContext,
): Promise<FilledService> {
  const upstream = await startUpstream(cell);
  const controlPort = await freePort();
  const stops: (() => Promise<void>)[] = [upstream.stop];
  const stop = async () => {
    for (const each of stops.splice(0).reverse()) await each();
  };
  try {
    const server = await startScript(
      'test/bench/moved-clock-service.ts',
      [],
      {
        CCE_ENDPOINT: upstream.url,
        HUAWEICLOUD_SDK_AK: 'AKEXAMPLE00000000001',
        HUAWEICLOUD_SDK_SK: 'SKexample000000000000000000000000000001',
        METRICS_PORT: '0',
        CONTROL_PORT: String(controlPort),
        AUTH_ISSUER: issuer.issuer,
        AUTH_AUDIENCE: 'imagecaches',
        // None: the time by which uses are counted is set back with the clock.
        RATE_LIMIT_PER_MINUTE: '0',
        CACHE_TTL_SECONDS: String(TTL_SECONDS),
        CACHE_MAX_ENTRIES: '1000000',
        CACHE_MAX_BYTES: '17179869184',
        SHUTDOWN_DELAY_SECONDS: '0',
      },
      join(folder, `growth-${cell.names}-${cell.entries}-${cell.how.replace(' ', '-')}.log`),
    );
    stops.push(server.stop);
    const control = async (path: string): Promise<NodeJS.MemoryUsage> => {
      const response = await get(`http://127.0.0.1:${controlPort}${path}`);
      return (await response.json()) as NodeJS.MemoryUsage;
    };
    const load = (names: number) => goodRate(measure, { url: server.url, headers, names, seconds: 2 });
    const ask = (index: number) => askFor(server.url, headers, cell, index);

    if (cell.how === 'derived') await (await get(`${server.url}/imagecaches`, headers)).arrayBuffer();
    const bodyBytes = await ask(0);
    await load(1);
    const before = await control('/memory');
    const isLoaded = cell.how !== 'derived';
    for (let index = 1; index < cell.names; index += 1) {
      const life = Math.floor(index / NAME_LOADS_BEFORE_LIST);
      if (isLoaded && index % NAME_LOADS_BEFORE_LIST === 0)
        await control(`/clock?ms=${life * (TTL_SECONDS * 1000 + 1)}`);
      if ((await ask(index)) !== bodyBytes) throw new Error('a list is not complete');
    }
    await control('/clock?ms=0');
    await load(cell.names);
    const after = await control('/memory');
    const more = {
      heldBytes: after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers,
      residentBytes: after.rss - before.rss,
    };
    const expected = isLoaded ? { named: cell.names, unfiltered: 0 } : { named: 0, unfiltered: 1 };
    if (upstream.calls.named !== expected.named || upstream.calls.unfiltered !== expected.unfiltered)
      throw new Error(`upstream was called ${JSON.stringify(upstream.calls)}`);
    return { cell, server, bodyBytes, more, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function get(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  return fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
}

const nameOf = (index: number) => `name-${String(index).padStart(5, '0')}`;

/** Bytes of the answer to a name. @throws when it is not 200 with all entries, each of that name */
async function askFor(
  url: string,
  headers: Readonly<Record<string, string>>,
  { entries, how }: Cell,
  index: number,
): Promise<number> {
  const name = nameOf(index);
  const coding = how === 'in brotli' ? 'br' : 'identity';
  const response = await get(`${url}/imagecaches?name=${name}`, { ...headers, 'accept-encoding': coding });
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${name}: ${response.status} ${text}`);
  // Looked for in the text: reading millions of entries as JSON would take minutes.
  const found = text.split(`"name":"${name}"`).length - 1;
  if (found !== entries) throw new Error(`${name}: ${found} entries instead of ${entries}`);
  return Buffer.byteLength(text);
}

/** After the load: some names from all over are still answered without upstream. */
async function assertHeld(
  { url }: StartedServer,
  headers: Readonly<Record<string, string>>,
  { names, how }: Cell,
): Promise<void> {
  const wanted = how === 'derived' ? 'detail=derived' : 'imagecaches; hit; ttl=';
  const step = Math.max(1, Math.floor(names / CHECKED_NAMES));
  for (let index = 0; index < names; index += step) {
    const response = await get(`${url}/imagecaches?name=${nameOf(index)}`, headers);
    await response.arrayBuffer();
    const status = response.headers.get('cache-status') ?? '';
    if (!status.includes(wanted)) throw new Error(`${nameOf(index)} is no hit: ${status}`);
  }
}

interface Upstream {
  readonly url: string;
  readonly calls: { named: number; unfiltered: number };
  readonly stop: () => Promise<void>;
}

/** Answers any name with so many entries of that name, and without one all names' entries. Checks no signature. */
async function startUpstream({ names, entries, how }: Cell): Promise<Upstream> {
  const template = makeImageCaches(entries)
    .map((entry) => JSON.stringify({ ...entry, name: NAME_MARK }))
    .join(',');
  const entriesOf = (name: string) => template.replaceAll(NAME_MARK, name);
  const calls = { named: 0, unfiltered: 0 };
  let isStarting = true;
  const server = createServer((request, response) => {
    const name = new URL(request.url ?? '', 'http://upstream').searchParams.get('name');
    // The one call of the start fails where lists are to be loaded one by one.
    if (isStarting && name === null && how !== 'derived') {
      isStarting = false;
      response.writeHead(302).end();
      return;
    }
    calls[name === null ? 'unfiltered' : 'named'] += 1;
    const list =
      name === null && how === 'derived'
        ? Array.from({ length: names }, (_, index) => entriesOf(nameOf(index))).join(',')
        : entriesOf(name ?? nameOf(0));
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"image_caches":[${list}]}`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface NamesLoad {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly names: number;
  readonly seconds: number;
}

/** For wrk: each connection asks for the next name. The requests are made before the clock starts. */
const LUA = `local requests, count, at = {}, 1, 0
function init(arguments)
  count = tonumber(arguments[1])
  for index = 0, count - 1 do
    requests[index] = wrk.format("GET", string.format("/imagecaches?name=name-%05d", index))
  end
end
function request()
  at = (at + 1) % count
  return requests[at]
end
`;

async function loadWithWrk(
  file: string,
  { url, headers, names, seconds }: NamesLoad,
): Promise<Omit<LoadResult, 'requests'>> {
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', file, '--timeout', ANSWER_SECONDS];
  for (const [name, value] of Object.entries(headers)) args.push('-H', `${name}: ${value}`);
  const { stdout } = await run('wrk', [...args, url, '--', String(names)], { timeout: TIMEOUT_MS });
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1];
  const failed = /Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? '0';
  const sockets = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout);
  const socketErrors = (sockets ?? []).slice(1).reduce((sum, count) => sum + Number(count), 0);
  return { requestsPerSecond: Number(rate), errors: Number(failed) + socketErrors };
}

async function loadWithAutocannon({
  url,
  headers,
  names,
  seconds,
}: NamesLoad): Promise<Omit<LoadResult, 'requests'>> {
  const requests = Array.from({ length: names }, (_, index) => ({
    path: `/imagecaches?name=${nameOf(index)}`,
  }));
  const result = await autocannon({ url, headers, requests, connections: CONNECTIONS, duration: seconds });
  return { requestsPerSecond: result.requests.average, errors: result.errors + result.non2xx };
}
