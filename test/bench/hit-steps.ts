/**
 * What each thing that a hit keeps saves: the CPU time of the step with it and without, in alternating rounds within one
 * process. Prints JSON for bench.ts.
 */
import { closeSync, openSync, write } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { Histogram, Registry } from 'prom-client';
import { VERIFIED_TOKEN_MAX_ENTRIES } from '../../src/auth/verified-tokens.ts';
import type { CacheAnswer } from '../../src/cache/list-cache.ts';
import { listHeaders } from '../../src/imagecaches/answer-headers.ts';
import type { RequestFields } from '../../src/observability/logger.ts';
import { createLogDestination } from '../../src/runtime/node/telemetry/log-destination.ts';
import { createRequestRenderer } from '../../src/runtime/node/telemetry/request-line.ts';
import { TalliedHistogram } from '../../src/runtime/node/telemetry/tallied-histogram.ts';
import { median } from './report.ts';

const ROUNDS = 15;
const CALLS_PER_ROUND = 19_200;
/** Calls in one turn of the event loop, as many as there are connections in the bench of hits. */
const CALLS_PER_TURN = 64;

interface Step {
  readonly what: string;
  readonly kept: (call: number) => unknown;
  readonly without: (call: number) => unknown;
}

/** Of one caller, as the log of a hit has it. */
const fields: RequestFields = {
  requestId: '5c2f2f1e-0f2c-4d55-9b1c-3a5f0a6f0001',
  method: 'GET',
  route: '/imagecaches',
  status: 200,
  ms: 0,
  access: 'granted',
  name: undefined,
  cache: 'hit',
  subject: 'demo-user',
  issuer: 'http://127.0.0.1:8081',
  code: undefined,
  reason: undefined,
};

function logLine(): Step {
  const render = createRequestRenderer(() => ',"time":"2026-01-01T00:00:00.000Z"');
  const batch = Buffer.alloc(4096);
  // Each line is written, as it would be: a joined text is not put together before somebody reads it.
  return {
    what: 'the end of the last log line',
    kept: () => batch.write(render('info', { ...fields })),
    without: (call) => batch.write(render('info', { ...fields, ms: call % 2 })),
  };
}

function headersOfList(): Step {
  const response = {
    body: new Uint8Array(0),
    etag: '"6f8a"',
    begunAtMs: 0,
    storedAtMs: 0,
    freshUntilMs: 3_600_000,
  };
  const answer: CacheAnswer = { response, outcome: 'hit', forwarded: undefined, stored: false };
  const at = (nowMs: number) =>
    listHeaders(response, answer, { isForced: false, vary: 'Authorization', nowMs }).full;
  return {
    what: 'headers of a list, for a second',
    kept: () => at(12_000),
    without: (call) => at((call % 2) * 1000),
  };
}

function headerPairs(): Step {
  const response = {
    body: new Uint8Array(0),
    etag: '"6f8a"',
    begunAtMs: 0,
    storedAtMs: 0,
    freshUntilMs: 3_600_000,
  };
  const answer: CacheAnswer = { response, outcome: 'hit', forwarded: undefined, stored: false };
  const { full } = listHeaders(response, answer, { isForced: false, vary: 'Authorization', nowMs: 12_000 });
  const made = new WeakMap([[full, [...Object.entries(full).flat(), 'x-request-id', '']]]);
  return {
    what: 'headers as names and values in turn',
    kept: () => {
      const pairs = made.get(full) as string[];
      pairs[pairs.length - 1] = fields.requestId;
      return pairs;
    },
    without: () => [...Object.entries(full).flat(), 'x-request-id', fields.requestId],
  };
}

/** Each request brings its token as a text of its own, whose hash is not known yet. */
function tokenKeys(): Step {
  const token = Buffer.from(`eyJhbGciOiJSUzI1NiJ9.${'a'.repeat(280)}.${'b'.repeat(342)}`);
  const text = token.toString('latin1');
  const byTail = new LRUCache<string, object>({ max: VERIFIED_TOKEN_MAX_ENTRIES });
  const byToken = new LRUCache<string, object>({ max: VERIFIED_TOKEN_MAX_ENTRIES });
  byTail.set(text.slice(-64), { token: text });
  byToken.set(text, { token: text });
  return {
    what: 'verified tokens by their last 64 characters',
    kept: () => {
      const sent = token.toString('latin1');
      const known = byTail.get(sent.slice(-64)) as { token: string };
      return known.token === sent;
    },
    without: () => byToken.get(token.toString('latin1')),
  };
}

function logWrites(file: number): Step {
  const line = createRequestRenderer(() => ',"time":"2026-01-01T00:00:00.000Z"')('info', fields);
  const { write: gather } = createLogDestination(file);
  return {
    what: 'log lines written together',
    kept: () => gather(line),
    without: () => new Promise<void>((resolve) => write(file, line, () => resolve())),
  };
}

/** A hit counts its time and the age of the list. */
function histograms(): Step {
  const labelNames = ['route', 'method', 'status'] as const;
  const labels = { route: '/imagecaches', method: 'GET', status: '200' };
  const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
  const options = { name: 'seconds', help: 'Seconds.', labelNames, buckets };
  const tallied = new TalliedHistogram({ ...options, labelNames: [...labelNames] }, new Registry()).addSeries(
    labels,
  );
  const usual = new Histogram({ ...options, labelNames: [...labelNames], registers: [] });
  return {
    what: 'two histograms in plain numbers',
    kept: () => {
      tallied.observe(0.0001);
      tallied.observe(0.0002);
    },
    without: () => {
      usual.observe(labels, 0.0001);
      usual.observe(labels, 0.0002);
    },
  };
}

/** Microseconds of user and system time for each call, by all threads. */
async function cost(step: (call: number) => unknown): Promise<number> {
  const before = process.cpuUsage();
  const pending: Promise<unknown>[] = [];
  for (let call = 1; call <= CALLS_PER_ROUND; call += 1) {
    const result = step(call);
    if (result instanceof Promise) pending.push(result);
    if (call % CALLS_PER_TURN > 0) continue;
    await Promise.all(pending.splice(0));
    // What is written comes back.
    await new Promise(setImmediate);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / CALLS_PER_ROUND;
}

/** What `cost` itself takes. */
const nothing = () => undefined;

const file = openSync(process.argv[2] as string, 'w');
const steps = [logLine(), headersOfList(), headerPairs(), tokenKeys(), logWrites(file), histograms()];
const results = [];
for (const { what, kept, without } of steps) {
  const ofKept: number[] = [];
  const ofWithout: number[] = [];
  const ofNothing: number[] = [];
  // The first round warms up.
  for (let round = -1; round < ROUNDS; round += 1) {
    const samples = [await cost(nothing), await cost(kept), await cost(without)] as const;
    if (round < 0) continue;
    ofNothing.push(samples[0]);
    ofKept.push(samples[1]);
    ofWithout.push(samples[2]);
  }
  const idle = median(ofNothing);
  results.push({ what, keptUs: median(ofKept) - idle, withoutUs: median(ofWithout) - idle });
}
closeSync(file);
process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit(0));
