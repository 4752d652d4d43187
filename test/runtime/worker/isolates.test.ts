import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { bundleWorker } from './bundle-worker.ts';
import { type RunningWorkerd, startWorkerd } from './start-workerd.ts';

/** Several isolates of the bundle with one Cache API, as the isolates of one place have it, and no KV. */
let bundle: Awaited<ReturnType<typeof bundleWorker>>;
let simulator: Simulator;
let issuer: TokenIssuer;
let workerd: RunningWorkerd;

const ISOLATES = 5;
/** Gives each request to the isolate that it names, under one host. */
const FRONT = `export default {
  fetch(request, bindings) {
    const { pathname, search } = new URL(request.url);
    const isolate = bindings[request.headers.get('x-isolate') ?? 'MAIN'];
    return isolate.fetch(new Request('https://lists.example.test' + pathname + search, request));
  },
};`;
/**
 * The bundle with longer waits: an isolate looks into the Cache API for 200 ms, and takes 50 ms for what others need to
 * announce a call, which a machine that is busy exceeds.
 */
const WITH_PATIENCE = `const setTimer = globalThis.setTimeout;
const longer = { 50: 500, 200: 20_000 };
globalThis.setTimeout = (callback, ms, ...rest) => setTimer(callback, longer[ms] ?? ms, ...rest);
`;
const NAMES = Array.from({ length: ISOLATES }, (_, index) => (index === 0 ? 'MAIN' : `MAIN${index + 1}`));

beforeAll(async () => {
  bundle = await bundleWorker();
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  await workerd.stop();
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

async function start(more: Readonly<Record<string, string>> = {}) {
  const bindings = {
    ...simulator.environment,
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '0',
    ...more,
  };
  workerd = await startWorkerd(WITH_PATIENCE + bundle.script, bindings, bundle.compatibilityDate, {
    caller: FRONT,
    cache: 'here',
    isolates: ISOLATES,
  });
  const authorization = `Bearer ${await issuer.sign()}`;
  return async (isolate: string, path = '/imagecaches') => {
    const response = await fetch(workerd.url + path, { headers: { authorization, 'x-isolate': isolate } });
    await response.text();
    return response;
  };
}

const calls = () => simulator.count('/v5/imagecaches');

describe('isolates of one place', () => {
  it('serve what one of them has loaded', async () => {
    const ask = await start();
    expect((await ask('MAIN')).headers.get('cache-status')).toBe('imagecaches; fwd=miss; stored');
    // After the answer.
    await workerd.printed(/^kept .*\/\*$/m);
    for (const isolate of NAMES.slice(1))
      expect((await ask(isolate)).headers.get('cache-status')).toMatch(/; hit; ttl=\d+; detail=shared$/);
    expect(calls()).toBe(1);
  });

  it('make one call with a wrong secret, however many ask them', async () => {
    const ask = await start({ HUAWEICLOUD_SDK_SK: 'a-wrong-secret-of-this-test' });
    for (let round = 0; round < 3; round += 1) {
      const answers = await Promise.all([...NAMES, ...NAMES].map((isolate) => ask(isolate)));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([502]));
    }
    expect(calls()).toBe(1);
    expect(workerd.output().match(/"msg":"upstream call"/g)).toHaveLength(1);
  });

  it('wait while one of them makes the first call with a key, and are answered then', async () => {
    const ask = await start();
    simulator.hold('list');
    const answers = Promise.all(NAMES.map((isolate) => ask(isolate)));
    await simulator.arrived('list');
    // Longer than an isolate takes to announce a call and to look again.
    for (let count = 0; count < 100; count += 1) await ask(NAMES[count % ISOLATES] as string, '/livez');
    expect(calls()).toBe(1);
    simulator.release('list');
    expect((await answers).map(({ status }) => status)).toEqual(Array(ISOLATES).fill(200));
  });
});
