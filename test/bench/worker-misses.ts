import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import type { WorkerBundle } from '../runtime/worker/bundle-worker.ts';
import { type RunningWorkerd, startWorkerd } from '../runtime/worker/start-workerd.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import type { Simulator } from '../simulator/simulator.ts';
import { cpuMicroseconds } from './servers.ts';

/** One below what a fresh life allows before the whole list is loaded instead (name-load-budget.ts). */
export const MISSES_A_LIFE = 15;
/** A quarter more than CACHE_TTL_SECONDS=1, so that what was asked late in a life is over when it is asked in the next. */
export const LIFE_MS = 1250;
const LIVES_A_SAMPLE = 10;
const ENTRIES = 50;
const TIMEOUT_MS = 30_000;

/**
 * - `miss`: the Worker, asked for names that it has not seen.
 * - `refresh`: the Worker, asked for the same names in each life; their lists do not change.
 * - `floor`: a Worker that does what a miss cannot do without, and nothing else.
 * - `fetching`: a Worker that only fetches the same lists, reads them and makes their digest.
 */
export type MissSide = 'miss' | 'refresh' | 'floor' | 'fetching';
export type MissSamples = Readonly<Record<MissSide, number[]>>;

/** What is measured, and where. */
interface Contender {
  readonly side: MissSide;
  readonly worker: RunningWorkerd;
  /** CPU time when it was last looked at, in microseconds. */
  seenMicroseconds: number;
}

/** CPU for each miss in microseconds, one sample for each ten lives. All are asked in turns, at the same pace. */
export async function measureMisses(
  bundle: WorkerBundle,
  environment: Readonly<Record<string, string>>,
  issuer: TokenIssuer,
  simulator: Simulator,
  cache: RunningWorkerd,
  lives: number,
): Promise<MissSamples> {
  const samples: MissSamples = { miss: [], refresh: [], floor: [], fetching: [] };
  const names = Array.from({ length: MISSES_A_LIFE * (lives + 1) }, (_, index) => `list-${index}`);
  const again = Array.from({ length: MISSES_A_LIFE }, (_, index) => `again-${index}`);
  const entries = makeImageCaches(ENTRIES);
  const listOf = (name: string) => entries.map((entry) => ({ ...entry, name }));
  simulator.setImageCaches([...names, ...again].flatMap(listOf));
  // The peers' signatures are none, so they have an upstream of their own.
  const upstream = createServer(({ url }, response) => {
    const name = new URL(url ?? '', 'http://upstream.test').searchParams.get('name') ?? '';
    const body = JSON.stringify({ image_caches: listOf(name) });
    response.writeHead(200, { 'content-length': Buffer.byteLength(body) }).end(body);
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  const { port } = upstream.address() as AddressInfo;
  const contenders = await startContenders(bundle, environment, cache, port);
  try {
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    let asked = 0;
    for (let life = -1; life < lives; life += 1) {
      const begunMs = performance.now();
      for (const [index, name] of names.splice(0, MISSES_A_LIFE).entries()) {
        for (const { side, worker } of contenders)
          await askForMiss(worker, side === 'refresh' ? (again[index] as string) : name, headers);
      }
      asked += MISSES_A_LIFE;
      const restMs = LIFE_MS - (performance.now() - begunMs);
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, restMs)));
      // The first life warms up; later ones are taken together, since the CPU time is told in steps of 10 ms.
      const isSampled = (life + 1) % LIVES_A_SAMPLE === 0 || life === lives - 1;
      if (life >= 0 && !isSampled) continue;
      for (const contender of contenders) {
        const now = await cpuMicroseconds(contender.worker.pid);
        if (life >= 0) samples[contender.side].push((now - contender.seenMicroseconds) / asked);
        contender.seenMicroseconds = now;
      }
      asked = 0;
    }
    return samples;
  } finally {
    upstream.close();
    await Promise.all(contenders.map(({ worker }) => worker.stop()));
    simulator.setImageCaches(undefined);
  }
}

async function startContenders(
  { script, compatibilityDate }: WorkerBundle,
  environment: Readonly<Record<string, string>>,
  cache: RunningWorkerd,
  port: number,
): Promise<Contender[]> {
  const bindings = {
    ...environment,
    CACHE_TTL_SECONDS: '1',
    CACHE_STALE_WHILE_REVALIDATE_SECONDS: '0',
    CACHE_STALE_IF_ERROR_SECONDS: '0',
  };
  const options = { cache: new URL(cache.url).host };
  const start = async (side: MissSide, code: string, own: Readonly<Record<string, string>>) => {
    const worker = await startWorkerd(code, own, compatibilityDate, options);
    return { side, worker, seenMicroseconds: 0 };
  };
  return [
    await start('miss', script, bindings),
    await start('refresh', script, bindings),
    await start('floor', floorScript(port), {}),
    await start('fetching', fetchingScript(port), {}),
  ];
}

async function askForMiss(
  { url }: RunningWorkerd,
  name: string,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const response = await fetch(`${url}/imagecaches?name=${name}`, { headers, signal });
  const { image_caches: found } = (await response.json()) as { readonly image_caches?: readonly unknown[] };
  const status = response.headers.get('cache-status') ?? 'fwd=miss';
  if (found?.length !== ENTRIES || !/fwd=(?:miss|stale)/.test(status))
    throw new Error(`no miss: ${response.status} ${status}`);
}

/** A Worker that fetches, reads and digests. */
function fetchingScript(port: number): string {
  return `export default {
  async fetch(request) {
    const { pathname, search } = new URL(request.url);
    if (pathname !== '/imagecaches') return new Response('ok');
    const response = await fetch('http://127.0.0.1:${port}/v5/imagecaches' + search, { redirect: 'manual' });
    const body = await response.arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
    return new Response(body, { headers: { etag: '"' + digest.join('') + '"' } });
  },
};
`;
}

/**
 * A Worker that looks into the Cache API, signs, fetches, reads, parses, takes the members that are shown, writes, digests,
 * looks again, puts, and writes two log lines. It checks nothing, waits for nobody and knows no failure.
 */
function floorScript(port: number): string {
  return `const encoder = new TextEncoder();
const decoder = new TextDecoder();
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
const log = (fields) => console.log(JSON.stringify({ level: 'info', time: new Date().toISOString(), ...fields }));
let key;
async function sign(text) {
  key ??= await crypto.subtle.importKey('raw', encoder.encode('secret'), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const hash = hex(await crypto.subtle.digest('SHA-256', encoder.encode(text)));
  return hex(await crypto.subtle.sign('HMAC', key, encoder.encode('SDK-HMAC-SHA256\\n' + hash)));
}
async function look(address) {
  const found = await (await caches.open('peer')).match(address);
  return found && found.arrayBuffer();
}
async function keep(address, body) {
  await look(address);
  const headers = { 'x-begun': '1', 'x-stored': '2', 'x-fresh': '3', 'cache-control': 'max-age=60' };
  await (await caches.open('peer')).put(address, new Response(body, { headers }));
}
export default {
  async fetch(request, env, context) {
    const { pathname, search } = new URL(request.url);
    if (pathname !== '/imagecaches') return new Response('ok');
    const requestId = crypto.randomUUID();
    const address = 'https://peer.test' + pathname + '/' + search.slice(1);
    await look(address);
    const authorization = 'SDK-HMAC-SHA256 Signature=' + (await sign('GET\\n/v5/imagecaches/\\n' + search));
    const headers = { accept: 'application/json', authorization };
    const response = await fetch('http://127.0.0.1:${port}/v5/imagecaches' + search, { headers, redirect: 'manual' });
    const { image_caches: entries } = JSON.parse(decoder.decode(await response.arrayBuffer()));
    log({ requestId, status: response.status, msg: 'upstream call' });
    const shown = entries.map(({ id, name, status, images, image_cache_size, retention_days, created_at }) =>
      ({ id, name, status, images, image_cache_size, retention_days, created_at, expires_at: null }));
    const body = encoder.encode(JSON.stringify({ image_caches: shown }));
    const etag = '"' + hex(await crypto.subtle.digest('SHA-256', body)) + '"';
    context.waitUntil(keep(address, body));
    log({ requestId, method: request.method, route: pathname, status: 200, msg: 'request' });
    return new Response(body, { headers: { etag, 'content-type': 'application/json', 'x-request-id': requestId } });
  },
};
`;
}
