import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { compress } from '../../src/runtime/node/platform/compress.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { CONNECTIONS, type MeasuredPair, measurePairs, type Pair, pairRows, type Side } from './cpu-pairs.ts';
import type { LoadTool } from './load.ts';
import type { Section } from './report.ts';
import { type StartedServer, startScript } from './servers.ts';

const AUDIENCE = 'imagecaches';
const ORIGIN = 'https://console.example';
/** The share of requests that is traced. */
const TRACED_SHARE = '0.1';

export interface HitOptions {
  readonly tool: LoadTool;
  readonly folder: string;
  /** Rounds of each pair that has a goal, and of each that has none. */
  readonly rounds: { readonly withGoal: number; readonly without: number };
}

/** What the regression guard holds: pairs with a goal, by what they measure. */
export type GoalPairs = Readonly<Record<'log' | 'cors' | 'tracing', MeasuredPair>>;

/** Hits of this service against baselines of the same run. */
export async function measureHits(options: HitOptions): Promise<Section[]> {
  return withServers(options.folder, async (servers, start) => {
    const ofKinds = kindPairs(servers, options);
    const others = await otherPairs(servers, start, options);
    const measured = await measurePairs(
      [...Object.values(goalPairs(servers, options)), ...others, ...ofKinds],
      options.tool,
    );
    const hits = measured.slice(0, -ofKinds.length);
    const kinds = measured.slice(-ofKinds.length);
    const { list, gzip, br } = servers.bodies;
    return [
      {
        title: `hits: a list of 50 entries, ${CONNECTIONS} connections`,
        rows: pairRows(hits),
        notes: [
          'ratio: CPU time of a request at what it is measured against, to that here: above 1 this service takes less. The median of',
          'the rounds, in which the two take turns. CPU time is user and system time of the whole server process, its log included.',
          'By the app: for a token whose scheme is in lower case the app is asked, and not hits.ts.',
        ],
      },
      {
        title: 'kinds of hits',
        rows: pairRows(kinds),
        notes: [
          `The list of 50 has ${list.byteLength} bytes, ${gzip.byteLength} by gzip, ${br.byteLength} by brotli.`,
        ],
      },
    ];
  });
}

/** The pairs that have goals, alone. */
export async function measureHitGoals(options: HitOptions): Promise<GoalPairs> {
  return withServers(options.folder, async (servers) => {
    const { log, cors, tracing } = goalPairs(servers, options);
    const [ofLog, ofCors, ofTracing] = await measurePairs([log, cors, tracing], options.tool);
    return { log: ofLog, cors: ofCors, tracing: ofTracing } as GoalPairs;
  });
}

export interface HitServers {
  readonly service: StartedServer;
  readonly cors: StartedServer;
  readonly traced: StartedServer;
  readonly ten: StartedServer;
  readonly hono: StartedServer;
  readonly issuer: TokenIssuer;
  /** Settings of a service like the first. */
  readonly environment: Readonly<Record<string, string>>;
  readonly authorization: string;
  readonly bodies: Readonly<Record<'list' | 'ten' | 'gzip' | 'br', Uint8Array>>;
  /** Arguments of the bare servers: where the bodies are. */
  readonly files: readonly string[];
}

type Start = (
  name: string,
  script: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
) => Promise<StartedServer>;

export const SERVICE = 'src/runtime/node.ts';

function serviceEnvironment(issuer: TokenIssuer): Record<string, string> {
  return {
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: AUDIENCE,
    CACHE_TTL_SECONDS: '3600',
    // On, and out of the way.
    RATE_LIMIT_PER_MINUTE: '100000000',
    SHUTDOWN_DELAY_SECONDS: '0',
  };
}

/** Starts the services that are measured, a collector and the bare Hono route, and stops them after the work. */
export async function withServers<Result>(
  folder: string,
  work: (servers: HitServers, start: Start) => Promise<Result>,
): Promise<Result> {
  const simulator = await startSimulator();
  const tenOnly = await startSimulator({ imageCaches: makeImageCaches(10) });
  const issuer = await startTokenIssuer();
  const collector = await startCollector();
  const started: StartedServer[] = [];
  const start: Start = async (name, script, args, env) => {
    const server = await startScript(script, args, env, join(folder, `${name}.log`));
    started.push(server);
    return server;
  };
  try {
    const authorization = `Bearer ${await issuer.sign()}`;
    const environment = { ...serviceEnvironment(issuer), ...simulator.environment };
    const service = await start('service', SERVICE, [], environment);
    const cors = await start('cors', SERVICE, [], { ...environment, CORS_ORIGINS: ORIGIN });
    const traced = await start('traced', SERVICE, [], {
      ...environment,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: TRACED_SHARE,
    });
    const ten = await start('ten', SERVICE, [], { ...environment, ...tenOnly.environment });
    const headers = { authorization };
    const list = await bytesOf(`${service.url}/imagecaches`, headers);
    const bodies = {
      list,
      ten: await bytesOf(`${ten.url}/imagecaches`, headers),
      gzip: await compress(list, 'gzip'),
      br: await compress(list, 'br'),
      unauthenticated: await bytesOf(`${service.url}/imagecaches`, {}, 401),
      probe: await bytesOf(`${service.url}/livez`, {}),
    };
    for (const { url } of [cors, traced])
      if (!isDeepStrictEqual(list, await bytesOf(`${url}/imagecaches`, headers)))
        throw new Error('the lists differ');
    const files: string[] = [];
    for (const [name, bytes] of Object.entries(bodies)) {
      files.push(join(folder, name));
      await writeFile(join(folder, name), bytes);
    }
    const hono = await start('hono', 'test/bench/bare-hono.ts', files, {});
    return await work(
      { service, cors, traced, ten, hono, issuer, environment, authorization, bodies, files },
      start,
    );
  } finally {
    for (const server of started) await server.stop();
    await Promise.all([simulator.stop(), tenOnly.stop(), issuer.stop(), collector.stop()]);
  }
}

/** @throws when the answer has another status */
async function bytesOf(url: string, headers: Record<string, string>, wanted = 200) {
  const response = await fetch(url, { headers });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status !== wanted) throw new Error(`${url} answers ${response.status}`);
  return bytes;
}

/** A collector of traces that takes all and keeps none. */
async function startCollector(): Promise<{ readonly url: string; readonly stop: () => Promise<void> }> {
  const server = createServer((request, response) => {
    request.resume();
    request.once('end', () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A hit with its log, and the route of the baseline that returns the same bytes. */
function hitSides({ service, hono, authorization }: HitServers): Readonly<Record<'hit' | 'bareHono', Side>> {
  const headers = { authorization };
  return {
    hit: { what: 'a hit', server: service, path: '/imagecaches', headers },
    bareHono: { what: 'a bare Hono route', server: hono, path: '/imagecaches', headers },
  };
}

function goalPairs(
  servers: HitServers,
  { rounds: { withGoal: rounds } }: HitOptions,
): Readonly<Record<keyof GoalPairs, Pair>> {
  const { hit, bareHono } = hitSides(servers);
  const withOrigin = { ...hit.headers, origin: ORIGIN };
  const cors = { ...hit, what: 'a hit with CORS', server: servers.cors, headers: withOrigin };
  const traced = { ...hit, what: 'a hit with tracing, a tenth sampled', server: servers.traced };
  return {
    log: { ours: hit, baseline: bareHono, goal: 0.95, rounds },
    cors: { ours: cors, baseline: hit, goal: 0.9, rounds },
    tracing: { ours: traced, baseline: hit, goal: 0.8, rounds },
  };
}

async function otherPairs(
  servers: HitServers,
  start: Start,
  { rounds: { without: rounds } }: HitOptions,
): Promise<Pair[]> {
  const { service, hono, issuer, environment, authorization, files } = servers;
  const { hit, bareHono } = hitSides(servers);
  const quiet = await start('quiet', SERVICE, [], {
    ...environment,
    LOG_LEVEL: 'warn',
  });
  const withoutLog = { ...hit, what: 'a hit, LOG_LEVEL=warn', server: quiet };
  const bare = await start('http', 'test/bench/bare-http.ts', files, {});
  const asManyHeaders = { ...bareHono, what: 'node:http, as many headers', server: bare, path: '/headers' };
  const teamEnvironment = { AUTH_ISSUER: issuer.issuer, AUTH_AUDIENCE: AUDIENCE, TTL_SECONDS: '3600' };
  const team = await start('team', 'test/bench/fifty-lines.ts', files.slice(0, 1), teamEnvironment);
  const byApp = { authorization: authorization.replace('Bearer', 'bearer') };
  const unchanged = { 'if-none-match': '*' };
  const honoRoute = (path: string, more: Partial<Side> = {}): Side => ({
    ...bareHono,
    path,
    headers: {},
    ...more,
  });
  return [
    { ours: withoutLog, baseline: bareHono, rounds },
    { ours: hit, baseline: withoutLog, rounds },
    { ours: hit, baseline: { ...bareHono, what: 'bare node:http', server: bare }, rounds },
    { ours: hit, baseline: asManyHeaders, rounds },
    { ours: asManyHeaders, baseline: bareHono, rounds },
    {
      ours: hit,
      baseline: { ...bareHono, what: '50 lines: Hono, jose, LRU', server: team },
      goal: 3,
      rounds,
    },
    { ours: { ...hit, what: 'a hit by the app', headers: byApp }, baseline: bareHono, rounds },
    {
      ours: { ...hit, what: 'a 304 by the app', headers: { ...byApp, ...unchanged } },
      baseline: honoRoute('/unchanged', { headers: { authorization } }),
      rounds,
    },
    {
      ours: { what: 'a 401', server: service, path: '/imagecaches', headers: {}, isDenied: true },
      baseline: honoRoute('/unauthenticated', { isDenied: true }),
      rounds,
    },
    {
      ours: { what: 'a probe', server: service, path: '/livez', headers: {} },
      baseline: honoRoute('/probe', { server: hono }),
      rounds,
    },
  ];
}

/** Every kind of hit, against the bare Hono route for the same answer. */
function kindPairs(servers: HitServers, { rounds: { without: rounds } }: HitOptions): Pair[] {
  const { hit, bareHono } = hitSides(servers);
  const pair = (what: string, path: string, ours: Partial<Side>, baseline: Partial<Side> = {}): Pair => ({
    ours: { ...hit, what, ...ours },
    baseline: { ...bareHono, path, ...baseline },
    goal: 0.95,
    rounds,
  });
  const asking = (headers: Record<string, string>) => ({ headers: { ...hit.headers, ...headers } });
  return [
    pair('a list of 10 entries', '/ten', { server: servers.ten }),
    pair('304', '/unchanged', asking({ 'if-none-match': '*' })),
    pair('HEAD', '/imagecaches', { method: 'HEAD' }, { method: 'HEAD' }),
    pair('gzip', '/gzip', asking({ 'accept-encoding': 'gzip' })),
    pair('brotli', '/br', asking({ 'accept-encoding': 'br' })),
  ];
}
