/** `node test/bench/stampede.ts [--quick] [--krakend <binary>]`: many callers at once, and nothing is cached yet. */
import { once } from 'node:events';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { startTokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { IMAGE_CACHES_PATH } from '../simulator/image-caches-endpoint.ts';
import { startSimulator } from '../simulator/simulator.ts';
import { startKrakend } from './peers.ts';
import { median, type Row, round, type Section } from './report.ts';
import { type MeasureOptions, runAlone } from './run-alone.ts';
import { type StartedServer, startNginx, startScript } from './servers.ts';
import { type ListOrigin, listOfService, startListOrigin, startService, tokensFor } from './upstreams.ts';

/** About what a list takes that comes from another network. */
const UPSTREAM_DELAY_MS = 200;
const CALLER_TIMEOUT_MS = 60_000;

/** One kind of server: each time it is started there is nothing in its cache. */
interface Contestant {
  readonly who: string;
  readonly start: () => Promise<StartedServer | undefined>;
  readonly upstream: { readonly calls: () => number; readonly forgetCalls: () => void };
}

interface Outcome {
  readonly upstreamCalls: number;
  readonly answers: number;
  readonly errors: number;
  readonly medianMs: number;
  readonly longestMs: number;
}

/**
 * Lets so many callers ask at once for a list that is not cached, each over a connection and with a token of its own.
 *
 * @throws when an answer with 200 is not the list
 */
export async function measureStampede({ quick, folder, krakend }: MeasureOptions): Promise<Section> {
  const callers = quick ? 250 : 500;
  const rounds = quick ? 1 : 3;
  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  let origin: ListOrigin | undefined;
  try {
    const log = (name: string) => join(folder, `stampede-${name}.log`);
    const list = await listOfService({ simulator, issuer, log: log('list') });
    const tokens = await tokensFor(issuer, callers);
    origin = await startListOrigin({ list, freshSeconds: 3600, delayMs: UPSTREAM_DELAY_MS });
    const { url: originUrl } = origin;
    const upstream = { calls: () => origin?.calls ?? 0, forgetCalls: () => origin?.forgetCalls() };
    const contestants: Contestant[] = [
      {
        who: 'this service',
        start: () => {
          const match = { path: IMAGE_CACHES_PATH };
          simulator.clearScript();
          // The one call of the start fails, so that nothing is cached.
          simulator.script(
            { match, answer: { kind: 'redirect' }, times: 1 },
            { match, times: 'always', delayBeforeHeadersMs: UPSTREAM_DELAY_MS },
          );
          return startService({ simulator, issuer, log: log('service') });
        },
        upstream: {
          calls: () => simulator.count(IMAGE_CACHES_PATH),
          forgetCalls: () => simulator.forgetRequests(),
        },
      },
      {
        who: 'nginx proxy_cache, no token',
        start: () => startNginx({ origin: originUrl, folder }),
        upstream,
      },
      {
        who: 'nginx with proxy_cache_lock on',
        start: () => startNginx({ origin: originUrl, folder, directives: ['proxy_cache_lock on;'] }),
        upstream,
      },
      {
        who: '50 lines: Hono, jose, LRU',
        start: () => startFiftyLines(originUrl, issuer.issuer, log('fifty-lines')),
        upstream,
      },
    ];
    if (krakend !== undefined)
      contestants.push({
        who: `KrakenD ${krakend.version}`,
        start: () =>
          startKrakend(krakend, {
            origin: originUrl,
            folder,
            issuer: issuer.issuer,
            audience: 'imagecaches',
            jwksUrl: `${issuer.issuer}/jwks.json`,
          }),
        upstream,
      });

    const outcomes = new Map<string, Outcome[]>();
    for (let count = 0; count < rounds; count += 1) {
      for (const contestant of contestants) {
        const outcome = await stampedeOnce(contestant, tokens, list);
        if (outcome === undefined) continue;
        outcomes.set(contestant.who, [...(outcomes.get(contestant.who) ?? []), outcome]);
      }
    }
    const rows = [...outcomes].map(([who, samples]) => toRow(who, samples));
    return { title: `Stampede: ${callers} callers at once, nothing cached`, rows, notes: notes(rounds) };
  } finally {
    await origin?.stop();
    await Promise.all([simulator.stop(), issuer.stop()]);
  }
}

function notes(rounds: number): string[] {
  return [
    `Upstream takes ${UPSTREAM_DELAY_MS} ms. ${rounds === 1 ? 'One round' : `Medians of ${rounds} rounds, for answers and errors the worst round`}; each starts a new process.`,
    'Each caller has a connection, open before, and a token of its own that the server has not seen; nginx checks none.',
    'Upstream of this service is the stand-in that checks signatures, that of the others a plain server with the same bytes.',
    'Callers and upstream share a process, so their own work for hundreds of answers is in the waits of all.',
  ];
}

function toRow(who: string, samples: readonly Outcome[]): Row {
  const middle = (of: (outcome: Outcome) => number) => round(median(samples.map(of)));
  return {
    who,
    'upstream calls': middle(({ upstreamCalls }) => upstreamCalls),
    'answers 200': Math.min(...samples.map(({ answers }) => answers)),
    errors: Math.max(...samples.map(({ errors }) => errors)),
    'median wait ms': middle(({ medianMs }) => medianMs),
    'longest wait ms': middle(({ longestMs }) => longestMs),
  };
}

/** Undefined when there is no such server here. */
async function stampedeOnce(
  { who, start, upstream }: Contestant,
  tokens: readonly string[],
  list: Buffer,
): Promise<Outcome | undefined> {
  const server = await start();
  if (server === undefined) return undefined;
  const sockets: Socket[] = [];
  try {
    const { hostname, port } = new URL(server.url);
    // Connecting is over before, so that all arrive at once.
    await Promise.all(
      tokens.map(async () => {
        const socket = connect(Number(port), hostname);
        sockets.push(socket);
        await once(socket, 'connect', { signal: AbortSignal.timeout(CALLER_TIMEOUT_MS) });
      }),
    );
    upstream.forgetCalls();
    const answers = await Promise.all(
      tokens.map((token, index) => ask(`${server.url}/imagecaches`, sockets[index] as Socket, token)),
    );
    const good = answers.filter(({ status }) => status === 200);
    if (good.some(({ body }) => !body.equals(list)))
      throw new Error(`${who} answers 200 with something other than the list`);
    const waits = answers.map(({ waitedMs }) => waitedMs);
    return {
      upstreamCalls: upstream.calls(),
      answers: good.length,
      errors: answers.length - good.length,
      medianMs: median(waits),
      longestMs: Math.max(...waits),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
    await server.stop();
  }
}

interface CallerAnswer {
  /** 0 when there was none. */
  readonly status: number;
  readonly body: Buffer;
  readonly waitedMs: number;
}

function ask(url: string, socket: Socket, token: string): Promise<CallerAnswer> {
  const startedAtMs = performance.now();
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const end = (status: number) =>
      resolve({ status, body: Buffer.concat(chunks), waitedMs: performance.now() - startedAtMs });
    const sent = request(url, {
      createConnection: () => socket,
      headers: { authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(CALLER_TIMEOUT_MS),
    });
    sent.once('error', () => end(0));
    sent.once('response', (response) => {
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', () => end(0));
      response.once('end', () => end(response.statusCode ?? 0));
    });
    sent.end();
  });
}

function startFiftyLines(origin: string, issuer: string, log: string): Promise<StartedServer> {
  const settings = {
    AUTH_ISSUER: issuer,
    AUTH_AUDIENCE: 'imagecaches',
    UPSTREAM: origin,
    TTL_SECONDS: '3600',
  };
  return startScript('test/bench/fifty-lines.ts', [], settings, log);
}

await runAlone(import.meta.url, measureStampede);
