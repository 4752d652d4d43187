import { join } from 'node:path';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { freezeCredential } from '../../src/credentials/provider.ts';
import { readBody } from '../../src/outbound/read-body.ts';
import { createNodeDigests } from '../../src/runtime/node/platform/digests.ts';
import { createNodeFetch } from '../../src/runtime/node/platform/fetch.ts';
import { createConnector } from '../../src/runtime/node/platform/outbound/connector.ts';
import { signRequest } from '../../src/signing/sign-request.ts';
import { MAX_BODY_BYTES } from '../../src/upstream/exchange.ts';
import { createTlsFront } from '../sdks/tls-front.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import {
  DEFAULT_ACCESS_KEY,
  DEFAULT_PROJECT,
  type Simulator,
  startSimulator,
} from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { median, round, type Section, spread } from './report.ts';
import { failFirstCall, type StartedServer, startScript, startStandIn } from './servers.ts';

/** In a life of the cache of 1 s so many names are loaded one by one; the next would load the list. */
const NAMES_PER_LIFE = 15;
const LIFE_MS = 1000;
/** The clock is moved so far: a value lives up to a tenth shorter, never longer. */
const STEP_MS = LIFE_MS + 50;
/** Lives before the measured ones, so that the code is compiled as it is in a service that has run for a while. */
const WARM_UP_LIVES = 60;
const MAX_ADDED_MS = 0.5;

export interface MissOptions {
  readonly folder: string;
  /** Lives of the cache: 15 misses of a name in each, and as many lives with one of the list. */
  readonly lives: number;
}

export interface MissResult {
  readonly sections: readonly Section[];
  /** The median of a direct call for a name to what this service adds to it. */
  readonly directToAdded: number;
}

/** What a miss costs over the signed call that it makes, and how connections to the vendor are used. */
export async function measureMisses({ folder, lives }: MissOptions): Promise<MissResult> {
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const { fetch, close } = createNodeFetch(createConnector({ timeoutMs: 2000 }));
  const standIn = await startStandIn(join(folder, 'stand-in.log'));
  try {
    const controlPort = await freePort();
    await failFirstCall(standIn.url);
    const service = await startService(
      { ...simulator.environment, CCE_ENDPOINT: standIn.url, CONTROL_PORT: String(controlPort) },
      issuer,
      join(folder, 'misses.log'),
    );
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const digests = createNodeDigests();
    const credential = freezeCredential({
      ...DEFAULT_ACCESS_KEY,
      securityToken: undefined,
      expiresAtMs: undefined,
    });
    const direct = async (query: string) => {
      const url = new URL(`${standIn.url}/v5/imagecaches${query}`);
      const request = { method: 'GET', url, headers: { 'x-project-id': DEFAULT_PROJECT.id } };
      const signed = await signRequest(request, credential, { nowMs: Date.now(), digests });
      const response = await fetch(url.href, { headers: signed.headers, redirect: 'manual' });
      await readBody(response, MAX_BODY_BYTES);
      if (response.status !== 200) throw new Error(`the stand-in answers ${response.status}`);
    };
    const miss = async (query: string) => {
      const response = await fetch(`${service.url}/imagecaches${query}`, { headers, redirect: 'manual' });
      await readBody(response, MAX_BODY_BYTES);
      const status = response.headers.get('cache-status') ?? '';
      if (response.status !== 200 || !status.includes('fwd='))
        throw new Error(`no miss: ${response.status} ${status}`);
    };

    let aheadMs = 0;
    const nextLife = async () => {
      aheadMs += STEP_MS;
      await (await globalThis.fetch(`http://127.0.0.1:${controlPort}/clock?ms=${aheadMs}`)).arrayBuffer();
    };
    const names = makeImageCaches()
      .slice(0, NAMES_PER_LIFE)
      .map(({ name }) => `?name=${name}`);
    const ofNames = { direct: [] as number[], miss: [] as number[] };
    const ofList = { direct: [] as number[], miss: [] as number[] };
    const takeTurns = async (query: string, samples: typeof ofNames) => {
      samples.miss.push(await timed(() => miss(query)));
      samples.direct.push(await timed(() => direct(query)));
    };
    // Names first: a list that is held answers them. The first lives warm up.
    for (const [queries, samples] of [
      [names, ofNames],
      [[''], ofList],
    ] as const) {
      for (let life = -WARM_UP_LIVES; life < lives; life += 1) {
        if (life === 0) samples.direct.length = samples.miss.length = 0;
        for (const query of queries) await takeTurns(query, samples);
        await nextLife();
      }
    }
    await service.stop();
    const row = (what: string, { direct: directMs, miss: missMs }: typeof ofNames) => ({
      miss: what,
      calls: missMs.length,
      'direct ms': round(median(directMs), 2),
      'by the service ms': round(median(missMs), 2),
      spread: spread(missMs, 1),
      'added ms': round(median(missMs) - median(directMs), 2),
      target: MAX_ADDED_MS,
    });
    return {
      sections: [
        {
          title: 'misses: medians, one after the other, in turns with a signed call straight to the stand-in',
          rows: [row('a name', ofNames), row('the list of 50 entries', ofList)],
          notes: [
            'Caller, stand-in (a process of its own) and HTTP client are the same for both. The service adds a second HTTP exchange,',
            'parsing, sanitising, storing and two log lines; by its clock HTTP is two thirds of it for a name. Of 50 entries, parsing,',
            'checking and writing them takes a quarter of a millisecond more.',
          ],
        },
        await measureConnections(simulator, issuer, folder),
      ],
      // Where noise is greater than what is added, nothing is.
      directToAdded: median(ofNames.direct) / Math.max(0, median(ofNames.miss) - median(ofNames.direct)),
    };
  } finally {
    await close();
    await Promise.all([standIn.stop(), simulator.stop(), issuer.stop()]);
  }
}

function startService(
  environment: Readonly<Record<string, string>>,
  issuer: TokenIssuer,
  log: string,
  metricsPort = 0,
): Promise<StartedServer> {
  return startScript(
    environment.CONTROL_PORT === undefined ? 'src/runtime/node.ts' : 'test/bench/moved-clock-service.ts',
    [],
    {
      ...environment,
      METRICS_PORT: String(metricsPort),
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      CACHE_TTL_SECONDS: String(LIFE_MS / 1000),
      CACHE_STALE_WHILE_REVALIDATE_SECONDS: '0',
      RATE_LIMIT_PER_MINUTE: '0',
      SHUTDOWN_DELAY_SECONDS: '0',
    },
    log,
  );
}

/** Calls one after the other through TLS; all connections are ended after each third of them. */
async function measureConnections(
  simulator: Simulator,
  issuer: TokenIssuer,
  folder: string,
): Promise<Section> {
  const front = await createTlsFront(folder);
  const metricsPort = await freePort();
  const environment = {
    ...simulator.environment,
    CCE_ENDPOINT: await front.urlFor(simulator.url),
    NODE_EXTRA_CA_CERTS: front.certificateFile,
  };
  await failFirstCall(simulator.url);
  const service = await startService(environment, issuer, join(folder, 'connections.log'), metricsPort);
  try {
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const before = simulator.count();
    const names = makeImageCaches().slice(0, NAMES_PER_LIFE);
    for (const [index, { name }] of names.entries()) {
      const response = await globalThis.fetch(`${service.url}/imagecaches?name=${name}`, { headers });
      if (response.status !== 200) throw new Error(`the service answers ${response.status}`);
      await response.arrayBuffer();
      if (index % (NAMES_PER_LIFE / 3) === NAMES_PER_LIFE / 3 - 1) {
        front.closeConnections();
        // Until the service has seen the end, it would use them again.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
    const metrics = await (await globalThis.fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    const opened = (begin: string) =>
      Number(
        new RegExp(`imagecaches_outbound_connections_total{begin="${begin}"} (\\d+)`).exec(metrics)?.[1] ?? 0,
      );
    return {
      title: 'connections to the vendor through TLS, by the counter of the service',
      rows: [
        {
          calls: simulator.count() - before,
          'whole handshakes': opened('new_session'),
          'resumed sessions': opened('resumed_session'),
        },
      ],
      notes: ['The other side ends all connections after each third of the calls.'],
    };
  } finally {
    await service.stop();
    await front.stop();
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const beganMs = performance.now();
  await work();
  return performance.now() - beganMs;
}
