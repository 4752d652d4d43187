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

/** A kind of server, and its upstream. */
interface Contestant {
  readonly who: string;
  readonly upstream: string;
  /** Undefined when there is no such server here. */
  readonly start: (upstream: string) => Promise<StartedServer | undefined>;
  /** From now on its upstream has the newer list. */
  readonly renew: () => void;
}

/** The same for all who are measured. */
interface Plan {
  readonly outageSeconds: number;
  readonly perSecond: number;
  /** Upstream's list before and after the outage: the second one shows who has asked again. */
  readonly old: Buffer;
  readonly newer: Buffer;
  readonly tokens: readonly string[];
}

interface Seen {
  requests: number;
  good: number;
  /** Answers with 200 that were neither list. */
  wrong: number;
  readonly waitsMs: number[];
  /** When the newer list came. */
  newerAtMs: number | undefined;
}

interface Outcome {
  readonly row: Row;
  /** By how much the load was late at most. */
  readonly lateMs: number;
}

/**
 * Takes upstream away from this service, nginx and the 50 lines, each asked at the same constant rate.
 *
 * @throws when an answer with 200 is neither list of upstream
 */
export async function measureOutage({ quick, folder }: MeasureOptions): Promise<Section> {
  const outageSeconds = quick ? 10 : 60;
  const freshSeconds = quick ? 2 : 30;
  const perSecond = quick ? 200 : 500;
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const origins: ListOrigin[] = [];
  try {
    const log = (name: string) => join(folder, `outage-${name}.log`);
    const service = { simulator, issuer, log: log('service') };
    const newerImageCaches = makeImageCaches(undefined, 1);
    const old = await listOfService(service);
    simulator.setImageCaches(newerImageCaches);
    const newer = await listOfService(service);
    simulator.setImageCaches(undefined);
    const tokens = await tokensFor(issuer, CALLERS);

    const withOrigin = async ({ who, start }: Pick<Contestant, 'who' | 'start'>): Promise<Contestant> => {
      const origin = await startListOrigin({ list: old, freshSeconds });
      origins.push(origin);
      return { who, start, upstream: origin.url, renew: () => origin.setList(newer) };
    };
    const fiftyLinesSettings = {
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      TTL_SECONDS: String(freshSeconds),
    };
    const contestants: Contestant[] = [
      {
        who: 'this service',
        upstream: simulator.url,
        start: (upstream) => startService({ ...service, upstream, freshSeconds }),
        renew: () => simulator.setImageCaches(newerImageCaches),
      },
      await withOrigin({
        who: 'nginx with its stale settings, no token',
        start: (origin) => startNginx({ origin, folder, freshSeconds, directives: NGINX_STALE }),
      }),
      await withOrigin({
        who: '50 lines: Hono, jose, LRU',
        start: (upstream) =>
          startScript(
            'test/bench/fifty-lines.ts',
            [],
            { ...fiftyLinesSettings, UPSTREAM: upstream },
            log('fifty-lines'),
          ),
      }),
    ];

    const plan: Plan = { outageSeconds, perSecond, old, newer, tokens };
    const outcomes: (Outcome | undefined)[] = [];
    // One after the other, so that two cores keep the rate; the quick one's rate is low enough for all at once.
    if (quick) outcomes.push(...(await allEnded(contestants.map((each) => loseUpstream(each, plan)))));
    else for (const each of contestants) outcomes.push(await loseUpstream(each, plan));
    const measured = outcomes.filter((outcome) => outcome !== undefined);
    const lateMs = Math.max(...measured.map((outcome) => outcome.lateMs));
    return {
      title: `Outage: upstream away for ${outageSeconds} s, ${perSecond} requests a second, lists fresh for ${freshSeconds} s`,
      rows: measured.map(({ row }) => row),
      notes: [
        `The load begins ${BEFORE_SECONDS} s before the outage and ends ${AFTER_SECONDS} s after; no request left more than ${round(lateMs)} ms late. Good: 200 with the list.`,
        'Calls tried: connections during the outage, which are accepted to be counted and reset at once; a closed port would refuse them.',
        'Recovered: the first answer with the list that upstream has since it is back; a peer that pauses between failed calls sees it later.',
        'This service has its defaults. nginx has proxy_cache_use_stale, _background_update and _lock on, and checks no token.',
      ],
    };
  } finally {
    await Promise.all(origins.map((origin) => origin.stop()));
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
}

/** Rejects like Promise.all, but not before all have ended: what they use is stopped then. */
async function allEnded<Value>(promises: readonly Promise<Value>[]): Promise<Value[]> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}

async function loseUpstream(contestant: Contestant, plan: Plan): Promise<Outcome | undefined> {
  const front = await startFront(contestant.upstream);
  let server: StartedServer | undefined;
  try {
    server = await contestant.start(front.url);
    return server && (await measureOne(contestant, server, front, plan));
  } finally {
    await server?.stop();
    await front.stop();
  }
}

async function measureOne(
  { who, renew }: Contestant,
  { url }: StartedServer,
  front: Front,
  plan: Plan,
): Promise<Outcome> {
  const { outageSeconds, perSecond, old, newer, tokens } = plan;
  const seen: Seen = { requests: 0, good: 0, wrong: 0, waitsMs: [], newerAtMs: undefined };
  // It has the list before the load begins.
  const list = await getList(url + PATH, tokens[0] as string);
  if (!list.equals(old)) throw new Error(`${who} does not answer the list`);

  const load = askAtRate({
    server: url,
    path: PATH,
    perSecond,
    seconds: BEFORE_SECONDS + outageSeconds + AFTER_SECONDS,
    headersOf: (request) => ({ authorization: `Bearer ${tokens[request % tokens.length]}` }),
    onAnswer({ status, body, atMs, waitedMs }) {
      seen.requests += 1;
      seen.waitsMs.push(waitedMs);
      if (status !== 200) return;
      const isNewer = body.equals(newer);
      if (isNewer) seen.newerAtMs ??= atMs;
      if (isNewer || body.equals(old)) seen.good += 1;
      else seen.wrong += 1;
    },
  });
  await Promise.race([pause(BEFORE_SECONDS * 1000), load]);
  front.goDown();
  await Promise.race([pause(outageSeconds * 1000), load]);
  renew();
  front.comeBack();
  const backAtMs = performance.now();
  const lateMs = await load;
  if (seen.wrong > 0) throw new Error(`${who} answers 200 with something other than the list`);

  // A peer that has not asked upstream again when the load ends is asked now and then.
  for (let count = 0; seen.newerAtMs === undefined; count += 1) {
    if (performance.now() > backAtMs + RECOVERY_TIMEOUT_MS) break;
    const token = tokens[count % tokens.length] as string;
    const later = await getList(url + PATH, token).catch(() => undefined);
    if (later?.equals(newer)) seen.newerAtMs = performance.now();
    else await pause(RECOVERY_CHECK_MS);
  }
  return { row: toRow(who, seen, front.refused, backAtMs), lateMs };
}

function toRow(who: string, seen: Seen, tried: number, backAtMs: number): Row {
  const { requests, good, newerAtMs } = seen;
  const waits = seen.waitsMs.sort((a, b) => a - b);
  return {
    who,
    requests,
    'good answers': good,
    // Down, so that 100 means all.
    'good %': Math.floor((good / requests) * 1000) / 10,
    'p99 wait ms': round(waits[Math.ceil(waits.length * 0.99) - 1] as number, 1),
    'calls tried': tried,
    'recovered after ms':
      newerAtMs === undefined ? `over ${RECOVERY_TIMEOUT_MS}` : round(newerAtMs - backAtMs),
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

await runAlone(import.meta.url, measureOutage);
