import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { bundleWorker } from './bundle-worker.ts';
import { type RunningWorkerd, startWorkerd } from './start-workerd.ts';

/** Another Worker: it sends on all requests but those for /call, whose body is the list of arguments of one call. */
const CALLER = `
export default {
  async fetch(request, { MAIN, IMAGE_CACHES }) {
    if (new URL(request.url).pathname !== '/call') return MAIN.fetch(request);
    try {
      return Response.json({ value: await IMAGE_CACHES.list(...(await request.json())) });
    } catch (error) {
      return Response.json({ thrown: String(error) });
    }
  },
};
`;

let script: string;
let compatibilityDate: string;
let simulator: Simulator;
let issuer: TokenIssuer;
const workers: RunningWorkerd[] = [];

beforeAll(async () => {
  ({ script, compatibilityDate } = await bundleWorker());
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop()));
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

async function startWorkers(more: Record<string, string> = {}) {
  const bindings = {
    ...simulator.environment,
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    ...more,
  };
  const worker = await startWorkerd(script, bindings, compatibilityDate, { caller: CALLER });
  workers.push(worker);
  return {
    output: worker.output,
    call: async (...args: unknown[]) => {
      const response = await fetch(`${worker.url}/call`, { method: 'POST', body: JSON.stringify(args) });
      return (await response.json()) as {
        value: Record<string, unknown> & { image_caches: { name: string }[] };
      };
    },
    get: async (path: string) =>
      fetch(worker.url + path, { headers: { authorization: `Bearer ${await issuer.sign()}` } }),
  };
}

describe('another Worker, by a service binding', () => {
  it('gets the same data as a caller with a token, from the same cache', async () => {
    const { call, get, output } = await startWorkers({ SERVICE_BINDING: 'on' });
    const { value: all } = await call();
    expect(all.image_caches).toHaveLength(50);
    expect(await (await get('/imagecaches')).json()).toEqual(all);
    const { name } = all.image_caches[7] as { name: string };
    expect((await call(name)).value).toEqual(await (await get(`/imagecaches?name=${name}`)).json());
    expect((await call('nobody-has-it')).value).toEqual({ image_caches: [] });
    expect((await call(null)).value).toEqual(all);
    expect(simulator.count('/v5/imagecaches')).toBe(1);
    const lines = output()
      .split('\n')
      .filter((line) => line.includes('"RPC"'));
    expect(lines.map((line) => JSON.parse(line))).toMatchObject(
      ['miss', 'derived', 'derived', 'hit'].map((cache) => ({
        level: 'info',
        method: 'RPC',
        route: 'list',
        status: 200,
        access: 'granted',
        cache,
        msg: 'request',
      })),
    );
  });

  it('gets problems as values', async () => {
    const { call } = await startWorkers({ SERVICE_BINDING: 'on' });
    expect((await call('A')).value).toEqual({
      type: 'urn:imagecaches-bff:problem:invalid_query',
      title: 'Invalid query',
      status: 400,
      detail: expect.stringContaining("parameter 'name' is 'A'; it must be 1 to 128 characters"),
      instance: expect.stringMatching(/^[0-9a-f-]{36}$/),
      code: 'invalid_query',
    });
    expect((await call('')).value).toMatchObject({ code: 'invalid_query' });
    expect((await call({ name: 'a' })).value).toMatchObject({
      code: 'invalid_query',
      detail: "'name' must be a string",
    });
    simulator.script({ times: 'always', answer: { kind: 'respond', status: 500, text: 'PLANTED' } });
    const { value } = await call();
    expect(value).toMatchObject({ code: 'upstream_failed', status: 502 });
    expect(JSON.stringify(value)).not.toContain('PLANTED');
  });

  it.each([{}, { SERVICE_BINDING: 'off' }])('gets nothing where that is not on: %j', async (more) => {
    const { call, get } = await startWorkers(more);
    expect((await call()).value).toEqual({
      type: 'urn:imagecaches-bff:problem:forbidden',
      title: 'Forbidden',
      status: 403,
      detail: 'SERVICE_BINDING is off',
      instance: expect.any(String),
      code: 'forbidden',
    });
    expect(simulator.requests).toEqual([]);
    expect((await get('/imagecaches')).status).toBe(200);
  });

  it('gets a problem where the service is not configured', async () => {
    const { call, output } = await startWorkers({ SERVICE_BINDING: 'PLANTED' });
    expect((await call()).value).toMatchObject({ code: 'internal', status: 503 });
    expect(output()).toContain(`"setting":"SERVICE_BINDING","fault":"must be 'on', 'off', 'true' or 'false'`);
    expect(output()).not.toContain('PLANTED');
  });
});
