import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { CONNECTIONS } from './cpu-pairs.ts';
import { type LoadTool, measureLatency } from './load.ts';
import { type Peers, startAwsSigv4Proxy, startGateway, startKrakend, startSigningProxy } from './peers.ts';
import { median, ratioOf, round, type Section, spread } from './report.ts';
import { type StartedServer, startNginx, startScript } from './servers.ts';

const AUDIENCE = 'imagecaches';
/** At a constant rate each server is asked for so long in each round. */
const LATENCY_SECONDS = 4;

const SECONDS_PER_ROUND = 1;

export interface HitPeerOptions {
  readonly tool: LoadTool;
  readonly folder: string;
  readonly rounds: number;
  readonly peers: Peers;
}

interface Target {
  readonly what: string;
  readonly url: string;
  readonly headers: Record<string, string>;
  /** This service is to reach at least so much of it. */
  readonly least?: number;
}

/** Hits a second of this service against servers of others that answer the same bytes. */
export async function measureHitPeers(options: HitPeerOptions): Promise<Section[]> {
  const { folder, peers } = options;
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const started: StartedServer[] = [];
  const keep = <Server extends StartedServer>(server: Server): Server => {
    started.push(server);
    return server;
  };
  const log = (name: string) => join(folder, `${name}.log`);
  const environment = {
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: AUDIENCE,
    CACHE_TTL_SECONDS: '3600',
    // On, and out of the way.
    RATE_LIMIT_PER_MINUTE: '100000000',
    SHUTDOWN_DELAY_SECONDS: '0',
  };
  const startService = async (name: string, more: Record<string, string>) =>
    keep(await startScript('src/runtime/node.ts', [], { ...environment, ...more }, log(name)));
  try {
    const authorization = `Bearer ${await issuer.sign()}`;
    const headers = { authorization };
    const listOf = async ({ url }: StartedServer) =>
      new Uint8Array(await (await fetch(`${url}/imagecaches`, { headers })).arrayBuffer());

    const service = await startService('service', simulator.environment);
    const list = await listOf(service);
    const files = [join(folder, 'list')];
    await writeFile(files[0] as string, list);
    const hono = keep(await startScript('test/bench/bare-hono.ts', files, {}, log('hono')));
    const team = keep(
      await startScript(
        'test/bench/fifty-lines.ts',
        files.slice(0, 1),
        { AUTH_ISSUER: issuer.issuer, AUTH_AUDIENCE: AUDIENCE, TTL_SECONDS: '3600' },
        log('team'),
      ),
    );
    const cacheControl = { CACHE_CONTROL: 'public, max-age=3600' };
    const { url: origin } = keep(
      await startScript('test/bench/bare-http.ts', files, cacheControl, log('origin')),
    );
    const nginx = await startNginx({ origin, folder });
    if (nginx) keep(nginx);
    const gatewayOptions = {
      origin,
      folder,
      issuer: issuer.issuer,
      audience: AUDIENCE,
      jwksUrl: `${issuer.issuer}/jwks.json`,
    };
    const { krakend, envoy, awsSigv4Proxy } = peers;
    const krakendServer =
      'missing' in krakend ? undefined : keep(await startKrakend(krakend, gatewayOptions));
    const gateway = 'missing' in envoy ? undefined : keep(await startGateway(envoy, gatewayOptions));
    const signer = 'missing' in envoy ? undefined : keep(await startSigningProxy(envoy, { origin, folder }));
    const awsSigner =
      'missing' in awsSigv4Proxy
        ? undefined
        : keep(await startAwsSigv4Proxy(awsSigv4Proxy, { origin, folder }));
    const targets: Target[] = [
      { what: 'this service, with its log', url: `${service.url}/imagecaches`, headers },
      { what: 'a bare Hono route', url: `${hono.url}/imagecaches`, headers },
      ...(nginx
        ? [{ what: 'nginx proxy_cache, no token', url: `${nginx.url}/imagecaches`, headers: {}, least: 1 }]
        : []),
      { what: '50 lines: Hono, jose, LRU', url: `${team.url}/imagecaches`, headers, least: 3 },
      ...(krakendServer && 'version' in krakend
        ? [
            {
              what: `KrakenD ${krakend.version}, token and cache`,
              url: `${krakendServer.url}/imagecaches`,
              headers,
              least: 1,
            },
          ]
        : []),
      ...(gateway && signer && 'version' in envoy
        ? [
            {
              what: `Envoy ${envoy.version}, token and cache`,
              url: `${gateway.url}/imagecaches`,
              headers,
              least: 1,
            },
            {
              what: `Envoy ${envoy.version}, signs, no cache`,
              url: `${signer.url}/imagecaches`,
              headers: {},
              least: 1,
            },
          ]
        : []),
      ...(awsSigner
        ? [
            {
              what: 'aws-sigv4-proxy, signs, no cache',
              url: `${awsSigner.url}/imagecaches`,
              headers: {},
              least: 1,
            },
          ]
        : []),
    ];
    const rates = await measureInTurns(targets, options);
    const serviceRate = median(rates[0] as number[]);
    const missing = Object.values(peers).flatMap((peer) => ('missing' in peer ? [peer.missing] : []));
    // Who cannot keep the rate would only queue.
    const fast = targets.filter((_target, index) => median(rates[index] as number[]) > serviceRate * 0.6);
    const latency = await measureLatencies(fast, serviceRate / 2, options);
    return [hitTable(targets, rates, missing), latency];
  } finally {
    for (const server of started) await server.stop();
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
}

function hitTable(
  targets: readonly Target[],
  rates: readonly number[][],
  missing: readonly string[],
): Section {
  const ratios = targets.map((_target, index) => ratioOf(rates[0] as number[], rates[index] as number[]));
  return {
    title: `hits of other servers: a list of 50 entries, ${CONNECTIONS} connections`,
    rows: targets.map(({ what, least }, index) => {
      const samples = rates[index] as number[];
      return {
        server: what,
        'requests/s': round(median(samples)),
        spread: spread(samples),
        'service to it': round(ratios[index] as number, 2),
        target: least ?? '',
      };
    }),
    notes: [
      'service to it: the median of the ratios of the rounds, in each of which all take their turn.',
      ...missing,
    ],
  };
}

/** Requests a second of each target: a warm-up, then rounds in which all take their turn. */
async function measureInTurns(
  targets: readonly Target[],
  { tool, rounds }: HitPeerOptions,
): Promise<number[][]> {
  const once = async ({ what, url, headers }: Target, seconds: number) => {
    const { requestsPerSecond, errors } = await tool.measure({
      url,
      headers,
      connections: CONNECTIONS,
      seconds,
    });
    if (errors > 0) throw new Error(`${what}: ${errors} bad answers`);
    return requestsPerSecond;
  };
  for (const target of targets) await once(target, 2);
  const rates: number[][] = targets.map(() => []);
  for (let turn = 0; turn < rounds; turn += 1)
    for (const [index, target] of targets.entries())
      rates[index]?.push(await once(target, SECONDS_PER_ROUND));
  return rates;
}

async function measureLatencies(
  targets: readonly Target[],
  requestsPerSecond: number,
  { rounds }: HitPeerOptions,
): Promise<Section> {
  const samples = targets.map(() => ({ p50: [] as number[], p99: [] as number[], p999: [] as number[] }));
  // The first turn warms up the load, which would else be slower than what it asks.
  for (let turn = -1; turn < Math.min(3, rounds); turn += 1)
    for (const [index, { url, headers }] of targets.entries()) {
      const { p50Ms, p99Ms, p999Ms } = await measureLatency({
        url,
        headers,
        connections: CONNECTIONS,
        seconds: LATENCY_SECONDS,
        requestsPerSecond,
      });
      if (turn < 0) continue;
      samples[index]?.p50.push(p50Ms);
      samples[index]?.p99.push(p99Ms);
      samples[index]?.p999.push(p999Ms);
    }
  return {
    title: `latency at ${round(requestsPerSecond)} requests/s, half of what this service reaches`,
    rows: targets.map(({ what }, index) => ({
      server: what,
      'median ms': round(median(samples[index]?.p50 ?? []), 2),
      '99 % ms': round(median(samples[index]?.p99 ?? []), 2),
      '99.9 % ms': round(median(samples[index]?.p999 ?? []), 2),
    })),
    notes: ['Timed from when each request was due. Servers that cannot keep the rate are left out.'],
  };
}
