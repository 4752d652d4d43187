import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Agent, request } from 'undici';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { bundleWorker } from './bundle-worker.ts';
import { type GatedIssuer, startGatedIssuer } from './gated-issuer.ts';
import { type RunningWorkerd, startWorkerd } from './start-workerd.ts';

/** Many requests at once at a Worker that has just started: the bundle in workerd. */
let bundle: Awaited<ReturnType<typeof bundleWorker>>;
let simulator: Simulator;
let issuer: GatedIssuer;
let worker: RunningWorkerd;
/** As many connections as there are requests. */
const agent = new Agent();

/**
 * A Worker in front, for requests that end while the Worker behind it works: those that name a URL are dropped when
 * that has answered, and what they have begun with them.
 */
const FRONT = `export default {
  async fetch(request, { MAIN }) {
    const until = request.headers.get('x-drop-after');
    if (until === null) return MAIN.fetch(request);
    MAIN.fetch(request).catch(() => {});
    await (await fetch(until)).text();
    return new Response('dropped');
  },
};`;

/** The bundle without the platform's waitUntil, which lets a request go on after its end, but for 30 seconds only. */
function withoutWaitUntil(script: string): string {
  const replaced = script.replace(
    /import\s*\{\s*waitUntil as (\w+)\s*\}\s*from\s*"cloudflare:workers";/,
    'const $1=()=>{};',
  );
  expect(replaced).not.toBe(script);
  return replaced;
}

beforeAll(async () => {
  bundle = await bundleWorker();
  simulator = await startSimulator();
});
beforeEach(async () => {
  issuer = await startGatedIssuer();
  await startWorker(bundle.script);
});
afterEach(async () => {
  await Promise.all([worker.stop(), issuer.stop()]);
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), agent.destroy()]);
});

async function startWorker(script: string): Promise<void> {
  const bindings = {
    ...simulator.environment,
    ...issuer.environment,
    RATE_LIMIT_PER_MINUTE: '0',
    // No call times out while a test holds it.
    UPSTREAM_ATTEMPT_TIMEOUT_MS: '50000',
    UPSTREAM_DEADLINE_MS: '100000',
  };
  worker = await startWorkerd(script, bindings, bundle.compatibilityDate, { caller: FRONT });
}

interface Answer {
  readonly status: number;
  readonly retryAfter: unknown;
  readonly cacheStatus: unknown;
}

async function ask(path: string, token?: string, more: Record<string, string> = {}): Promise<Answer> {
  const sent = token === undefined ? more : { authorization: `Bearer ${token}`, ...more };
  const { statusCode, headers, body } = await request(worker.url + path, {
    dispatcher: agent,
    headers: sent,
  });
  await body.text();
  return {
    status: statusCode,
    retryAfter: headers['retry-after'],
    cacheStatus: headers['cache-status'],
  };
}

/** By now the requests that were sent before are in the isolate: it has answered others since. */
async function othersAreHere(): Promise<void> {
  for (let count = 0; count < 20; count += 1) await ask('/livez');
}

const statusesOf = (answers: readonly Answer[]) => new Set(answers.map(({ status }) => status));
const calls = () => simulator.count('/v5/imagecaches');

describe('a burst of callers at a cold isolate', () => {
  it('makes one upstream call and one load of the keys, and all are answered', async () => {
    issuer.hold('keys');
    simulator.hold('list');
    // Each caller has a token of its own.
    const tokens = await Promise.all(
      Array.from({ length: 100 }, (_, index) => issuer.sign({ jti: `${index}` })),
    );
    const answers = Promise.all(tokens.map((token) => ask('/imagecaches', token)));
    await issuer.gates.arrived('keys');
    await othersAreHere();
    issuer.gates.release('keys');
    await simulator.arrived('list');
    await othersAreHere();
    simulator.release('list');
    const all = await answers;
    expect(statusesOf(all)).toEqual(new Set([200]));
    expect(all.filter(({ cacheStatus }) => cacheStatus === 'imagecaches; fwd=miss; stored')).toHaveLength(1);
    expect(all.filter(({ cacheStatus }) => String(cacheStatus).includes('collapsed')).length).toBeGreaterThan(
      0,
    );
    expect([calls(), ...issuer.counts()]).toEqual([1, 1, 1]);
  });

  it('for as many names makes two calls at most', async () => {
    simulator.hold('list');
    const token = await issuer.sign();
    const answers = Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(`/imagecaches?name=web-${index}`, token)),
    );
    await simulator.arrived('list');
    await othersAreHere();
    simulator.release('list');
    expect(statusesOf(await answers)).toEqual(new Set([200]));
    expect(calls()).toBeLessThanOrEqual(2);
  });

  it('with made-up tokens loads the keys once, and so do probes', async () => {
    issuer.hold('keys');
    const tokens = await Promise.all(
      Array.from({ length: 100 }, (_, index) => issuer.sign({}, `made-up-${index}`)),
    );
    const answers = Promise.all(tokens.map((token) => ask('/imagecaches', token)));
    const probes = Promise.all(Array.from({ length: 100 }, () => ask('/readyz')));
    await issuer.gates.arrived('keys');
    await othersAreHere();
    issuer.gates.release('keys');
    expect(statusesOf(await answers)).toEqual(new Set([401]));
    // The first probe of an isolate waits for what it needs.
    expect(statusesOf(await probes)).toEqual(new Set([200]));
    expect(issuer.counts()).toEqual([1, 1]);
  });
});

describe('a first request that is cancelled', () => {
  interface Phase {
    readonly what: string;
    readonly gate: 'discovery' | 'keys' | 'list';
    readonly gateAt?: 'before-headers' | 'before-body';
    /** Of upstream calls, discoveries and loads of the keys, when the first one of them was lost. */
    readonly counts: readonly number[];
  }
  const phases: readonly Phase[] = [
    { what: 'the OpenID configuration', gate: 'discovery', counts: [1, 2, 1] },
    { what: 'the keys', gate: 'keys', counts: [1, 2, 2] },
    { what: 'the head of the list', gate: 'list', gateAt: 'before-headers', counts: [3, 1, 1] },
    { what: 'the body of the list', gate: 'list', gateAt: 'before-body', counts: [3, 1, 1] },
  ];

  /** Drops a first request at the gate of its phase; what it has begun is held there. @returns the answers of 20 others */
  async function cancelFirst({ gate, gateAt }: Phase): Promise<{ readonly others: Promise<Answer[]> }> {
    if (gate === 'list') simulator.hold(gate, { times: 1, ...(gateAt && { gateAt }) });
    else issuer.hold(gate);
    const arrived = () => (gate === 'list' ? simulator.arrived(gate) : issuer.gates.arrived(gate));
    const cancel = Promise.withResolvers<void>();
    const control = createServer(async (_request, response) => {
      await cancel.promise;
      response.end();
    });
    await new Promise<void>((resolve) => control.listen(0, '127.0.0.1', resolve));
    const { port } = control.address() as AddressInfo;
    const token = await issuer.sign();
    const dropped = ask('/imagecaches', token, { 'x-drop-after': `http://127.0.0.1:${port}/` });
    await arrived();
    const others = Promise.all(Array.from({ length: 20 }, () => ask('/imagecaches', token)));
    await othersAreHere();
    cancel.resolve();
    await dropped;
    control.close();
    return { others };
  }

  it.each(phases)('while it waits for $what: its work goes on for others', async (phase) => {
    const { gate } = phase;
    const { others } = await cancelFirst(phase);
    await othersAreHere();
    if (gate === 'list') simulator.release(gate);
    else issuer.gates.release(gate);
    expect(statusesOf(await others)).toEqual(new Set([200]));
    expect([calls(), ...issuer.counts()]).toEqual([1, 1, 1]);
  });

  it.each(phases)('and its work with it, while it waits for $what: another takes over', async (phase) => {
    const { gate, counts } = phase;
    await worker.stop();
    await startWorker(withoutWaitUntil(bundle.script));
    // A key that was never accepted has one call until it is answered, or for 39 seconds.
    if (gate === 'list') await ask('/imagecaches?name=another', await issuer.sign());
    const { others } = await cancelFirst(phase);
    issuer.letThrough(gate);
    expect(statusesOf(await others)).toEqual(new Set([200]));
    expect([calls(), ...issuer.counts()]).toEqual(counts);
  });
});

describe('a failure during a burst counts once', () => {
  it('when it is the issuer: all are told to come back after the first pause, of one second', async () => {
    issuer.hold('discovery');
    issuer.answerWith(500);
    const token = await issuer.sign();
    const answers = Promise.all(Array.from({ length: 20 }, () => ask('/imagecaches', token)));
    const probe = ask('/readyz');
    await issuer.gates.arrived('discovery');
    await othersAreHere();
    issuer.answerWith(200);
    issuer.gates.release('discovery');
    for (const { status, retryAfter } of await answers) expect([status, retryAfter]).toEqual([503, '1']);
    expect(worker.output()).toContain('"failures":1,');
    expect(worker.output()).not.toContain('"failures":2,');
    expect((await probe).status).toBe(503);
    // The pause is over before it would be for a second failure.
    let answer = await ask('/imagecaches', token);
    while (answer.status === 503) {
      expect(answer.retryAfter).toBe('1');
      answer = await ask('/imagecaches', token);
    }
    expect(answer.status).toBe(200);
    expect(issuer.counts()).toEqual([2, 1]);
  });

  it('when it is upstream: one call and its repetition fail, and the next caller is served', async () => {
    const answer = { kind: 'respond', status: 500, text: '{}' } as const;
    simulator.script({ times: 2, gate: 'failure', answer });
    const token = await issuer.sign();
    const answers = Promise.all(Array.from({ length: 20 }, () => ask('/imagecaches', token)));
    await simulator.arrived('failure');
    await othersAreHere();
    simulator.release('failure');
    expect(statusesOf(await answers)).toEqual(new Set([502]));
    expect(calls()).toBe(2);
    expect((await ask('/imagecaches', token)).status).toBe(200);
    expect(worker.output()).not.toContain('circuit breaker');
  });
});
