/** `node test/bench/outage.ts [--quick]`: what callers get while upstream is away. */
import { join } from 'node:path';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { makeImageCaches } from '../simulator/image-cache-data.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { askAtRate } from './constant-rate.ts';
import { type Row, round, type Section } from './report.ts';
import { type MeasureOptions, runAlone } from './run-alone.ts';
import { type StartedServer, startNginx, startScript } from './servers.ts';
import {
  type Front,
  getList,
  type ListOrigin,
  listOfService,
  startFront,
  startListOrigin,
  startService,
  tokensFor,
} from './upstreams.ts';

const PATH = '/imagecaches';
const BEFORE_SECONDS = 5;
const AFTER_SECONDS = 5;
/** So many that none comes near the default limit of 600 requests a minute. */
const CALLERS = 100;
/** Longer than the longest pause of this service after failures. */
const RECOVERY_TIMEOUT_MS = 90_000;
const RECOVERY_CHECK_MS = 50;

/** What is served stale and refreshed in the background as far as nginx goes; one call at a time where it can. */
const NGINX_STALE = [
  'proxy_cache_use_stale error timeout updating http_500 http_502 http_503 http_504;',
  'proxy_cache_background_update on;',
  'proxy_cache_lock on;',
];

/** A server under load with an upstream of its own to lose. */
interface Contestant {
  readonly who: string;
  readonly server: StartedServer;
  readonly front: Front;
  readonly tokens: readonly string[];
  readonly seen: Seen;
}

interface Seen {
  requests: number;
  good: number;
  /** Answers with 200 that were neither list. */
  wrong: number;
  readonly waitsMs: number[];
  /** When the list came that upstream has since it is back. */
  newListAtMs: number | undefined;
}

/** The list before and after the outage; by the second one sees who has asked upstream again. */
interface Lists {
  readonly old: Buffer;
  readonly newer: Buffer;
}

/**
 * Takes upstream away from this service, nginx and the 50 lines at the same time, all asked at the same constant rate.
 *
 * @throws when an answer with 200 is neither list of upstream
 */
export async function measureOutage({ quick, folder }: MeasureOptions): Promise<Section> {
  const outageSeconds = quick ? 10 : 60;
  const freshSeconds = quick ? 2 : 30;
  const perSecond = quick ? 200 : 500;
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const fronts: Front[] = [];
  const servers: StartedServer[] = [];
  let origin: ListOrigin | undefined;
  try {
    const log = (name: string) => join(folder, `outage-${name}.log`);
    const service = { simulator, issuer, log: log('service') };
    const newerImageCaches = makeImageCaches(undefined, 1);
    const old = await listOfService(service);
    simulator.setImageCaches(newerImageCaches);
    const lists: Lists = { old, newer: await listOfService(service) };
    simulator.setImageCaches(undefined);
    origin = await startListOrigin({ list: old, freshSeconds });
    const tokens = await tokensFor(issuer, CALLERS);

    const contestants: Contestant[] = [];
    const add = async (
      who: string,
      upstream: string,
      start: (front: string) => Promise<StartedServer | undefined>,
    ) => {
      const front = await startFront(upstream);
      fronts.push(front);
      const server = await start(front.url);
      if (server === undefined) return;
      servers.push(server);
      const seen: Seen = { requests: 0, good: 0, wrong: 0, waitsMs: [], newListAtMs: undefined };
      contestants.push({ who, server, front, tokens, seen });
    };
    await add('this service', simulator.url, (upstream) =>
      startService({ ...service, upstream, freshSeconds }),
    );
    await add('nginx with its stale settings, no token', origin.url, (upstream) =>
      startNginx({ origin: upstream, folder, freshSeconds, directives: NGINX_STALE }),
    );
    await add('50 lines: Hono, jose, LRU', origin.url, (upstream) =>
      startScript(
        'test/bench/fifty-lines.ts',
        [],
        {
          AUTH_ISSUER: issuer.issuer,
          AUTH_AUDIENCE: 'imagecaches',
          UPSTREAM: upstream,
          TTL_SECONDS: String(freshSeconds),
        },
        log('fifty-lines'),
      ),
    );

    // Each has the list before the load begins.
    for (const { who, server } of contestants) {
      const list = await getList(server.url + PATH, tokens[0] as string);
      if (!list.equals(old)) throw new Error(`${who} does not answer the list`);
    }
    const seconds = BEFORE_SECONDS + outageSeconds + AFTER_SECONDS;
    const loads = Promise.all(contestants.map((contestant) => load(contestant, lists, perSecond, seconds)));
    await Promise.race([pause(BEFORE_SECONDS * 1000), loads]);
    for (const front of fronts) front.goDown();
    await Promise.race([pause(outageSeconds * 1000), loads]);
    simulator.setImageCaches(newerImageCaches);
    origin.setList(lists.newer);
    for (const front of fronts) front.comeBack();
    const backAtMs = performance.now();
    await loads;
    await Promise.all(contestants.map((contestant) => untilRecovered(contestant, lists, backAtMs)));

    for (const { who, seen } of contestants)
      if (seen.wrong > 0) throw new Error(`${who} answers 200 with something other than the list`);
    return {
      title: `Outage: upstream away for ${outageSeconds} s, ${perSecond} requests a second, lists fresh for ${freshSeconds} s`,
      rows: contestants.map((contestant) => toRow(contestant, backAtMs)),
      notes: [
        `The load begins ${BEFORE_SECONDS} s before the outage and ends ${AFTER_SECONDS} s after; all are asked at once. Good: 200 with the list.`,
        'Calls tried: connections during the outage, which are accepted to be counted and reset at once; a closed port would refuse them.',
        'Recovered: the first answer with the list that upstream has since it is back; whoever pauses between failed calls sees it later.',
        'This service has its defaults. nginx has proxy_cache_use_stale, _background_update and _lock on, and checks no token.',
      ],
    };
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    await Promise.all(fronts.map((front) => front.stop()));
    await origin?.stop();
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
}

function toRow({ who, front, seen }: Contestant, backAtMs: number): Row {
  const waits = seen.waitsMs.sort((a, b) => a - b);
  const { requests, good, newListAtMs } = seen;
  return {
    who,
    requests,
    'good answers': good,
    // Down, so that 100 means all.
    'good %': Math.floor((good / requests) * 1000) / 10,
    'p99 wait ms': round(waits[Math.ceil(waits.length * 0.99) - 1] as number, 1),
    'calls tried': front.refused,
    'recovered after ms':
      newListAtMs === undefined ? `over ${RECOVERY_TIMEOUT_MS}` : round(newListAtMs - backAtMs),
  };
}

async function load(
  { server, tokens, seen }: Contestant,
  { old, newer }: Lists,
  perSecond: number,
  seconds: number,
): Promise<void> {
  await askAtRate({
    server: server.url,
    path: PATH,
    perSecond,
    seconds,
    headersOf: (request) => ({ authorization: `Bearer ${tokens[request % tokens.length]}` }),
    onAnswer({ status, body, atMs, waitedMs }) {
      seen.requests += 1;
      seen.waitsMs.push(waitedMs);
      if (status !== 200) return;
      if (body.equals(newer)) seen.newListAtMs ??= atMs;
      else if (!body.equals(old)) {
        seen.wrong += 1;
        return;
      }
      seen.good += 1;
    },
  });
}

/** Goes on asking, now and then, whoever has not asked upstream again when the load ended. */
async function untilRecovered(
  { server, tokens, seen }: Contestant,
  { newer }: Lists,
  backAtMs: number,
): Promise<void> {
  const giveUpAtMs = backAtMs + RECOVERY_TIMEOUT_MS;
  for (let count = 0; seen.newListAtMs === undefined && performance.now() < giveUpAtMs; count += 1) {
    const token = tokens[count % tokens.length] as string;
    const list = await getList(server.url + PATH, token).catch(() => undefined);
    if (list?.equals(newer)) seen.newListAtMs = performance.now();
    else await pause(RECOVERY_CHECK_MS);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await runAlone(import.meta.url, measureOutage);
