import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { request } from 'undici';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { bundleWorker } from './bundle-worker.ts';
import { type RunningWorkerd, startWorkerd } from './start-workerd.ts';

/** The bundle as it would be deployed, in workerd, with the stand-in for CCE and a real token issuer around it. */
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

async function startWorker(more: Record<string, string> = {}) {
  const worker = await startWorkerd(
    script,
    {
      ...simulator.environment,
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      RATE_LIMIT_PER_MINUTE: '0',
      ...more,
    },
    compatibilityDate,
  );
  workers.push(worker);
  const { url } = worker;
  const token = await issuer.sign();
  return {
    url,
    token,
    output: worker.output,
    get: (path: string, headers: Record<string, string> = {}) =>
      fetch(url + path, { headers: { authorization: `Bearer ${token}`, ...headers } }),
  };
}

describe('the Worker', () => {
  it('serves the sanitised list from one signed call, then from its memory, with 304 and HEAD', async () => {
    const worker = await startWorker();
    const first = await worker.get('/imagecaches');
    expect(first.status).toBe(200);
    expect(first.headers.get('cache-status')).toBe('imagecaches; fwd=miss; stored');
    const body = await first.text();
    expect(JSON.parse(body).image_caches).toHaveLength(50);
    expect(body).not.toContain('building_config');
    const again = await worker.get('/imagecaches');
    expect(again.headers.get('cache-status')).toMatch(/^imagecaches; hit; ttl=\d+$/);
    expect(await again.text()).toBe(body);
    const etag = first.headers.get('etag') as string;
    expect((await worker.get('/imagecaches', { 'if-none-match': etag })).status).toBe(304);
    const named = await worker.get('/imagecaches?name=media-web-06');
    expect(named.headers.get('cache-status')).toContain('detail=derived');
    await named.text();
    const head = await fetch(`${worker.url}/imagecaches`, {
      method: 'HEAD',
      headers: { authorization: `Bearer ${worker.token}` },
    });
    expect(head.headers.get('content-length')).toBe(String(new TextEncoder().encode(body).byteLength));
    expect(simulator.count('/v5/imagecaches')).toBe(1);
  });

  it('refuses as the service on Node does, and prints no secret, token or upstream text', async () => {
    const worker = await startWorker({ CACHE_TTL_SECONDS: '1', LOG_LEVEL: 'debug' });
    const statusOf = async (path: string, headers: Record<string, string>) => {
      const response = await fetch(worker.url + path, { headers });
      const problem = (await response.json()) as { code?: string };
      return [response.status, problem.code];
    };
    expect(await statusOf('/imagecaches', {})).toEqual([401, 'unauthenticated']);
    expect(await statusOf('/imagecaches', { authorization: `Bearer ${worker.token}x` })).toEqual([
      401,
      'unauthenticated',
    ]);
    const authorization = `Bearer ${worker.token}`;
    expect(await statusOf('/imagecaches?name=A', { authorization })).toEqual([400, 'invalid_query']);
    expect(await statusOf('/nowhere', { authorization })).toEqual([404, 'not_found']);
    expect(await statusOf('/readyz', {})).toEqual([200, undefined]);
    simulator.script({
      times: 'always',
      answer: { kind: 'respond', status: 500, text: 'PLANTED-UPSTREAM-TEXT' },
    });
    expect(await statusOf('/imagecaches', { authorization })).toEqual([502, 'upstream_failed']);
    simulator.clearScript();
    simulator.script({ times: 'always', answer: { kind: 'refuse', error: 'bad-signature' } });
    await fetch(`${worker.url}/imagecaches`, { headers: { authorization } });
    const output = worker.output();
    expect(output).toContain('"msg":"request"');
    expect(output).toContain('"msg":"upstream call"');
    const { HUAWEICLOUD_SDK_AK = 'x', HUAWEICLOUD_SDK_SK = 'x' } = simulator.environment;
    for (const secret of [
      HUAWEICLOUD_SDK_AK,
      HUAWEICLOUD_SDK_SK,
      'PLANTED-UPSTREAM-TEXT',
      ...worker.token.split('.'),
    ])
      expect(output).not.toContain(secret);
  });

  it('says what is wrong with its bindings in one line of the log, and 503 to every caller', async () => {
    const worker = await startWorker({
      CACHE_TTL_SECONDS: 'PLANTED',
      AUTH_ISSUER: '',
      AUTH_ISUER: 'PLANTED',
      HUAWEICLOUD_SDK_SK: '',
      HUAWEICLOUD_SDK_SK_FILE: '/PLANTED',
    });
    for (const path of ['/imagecaches', '/readyz', '/nowhere', '/v5/imagecaches']) {
      const response = await worker.get(path, { 'x-request-id': 'asked-by-me' });
      expect(response.status).toBe(503);
      expect(await response.json()).toEqual({
        type: 'urn:imagecaches-bff:problem:internal',
        title: 'Internal error',
        status: 503,
        detail: 'the service is not configured',
        instance: 'asked-by-me',
        code: 'internal',
      });
    }
    const lines = worker
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    expect(lines.map((line) => JSON.parse(line))).toEqual([
      {
        level: 'error',
        time: expect.any(String),
        msg: 'the configuration has faults',
        faults: [
          { setting: 'CACHE_TTL_SECONDS', fault: expect.stringContaining('must be a whole number') },
          { setting: 'HUAWEICLOUD_SDK_SK', fault: expect.stringContaining('is missing') },
          { setting: 'AUTH_ISSUER', fault: expect.stringContaining('is missing') },
        ],
        unused: expect.arrayContaining([
          { setting: 'AUTH_ISUER', reason: 'did you mean AUTH_ISSUER?' },
          {
            setting: 'HUAWEICLOUD_SDK_SK_FILE',
            reason: 'Workers have no files; bind HUAWEICLOUD_SDK_SK itself',
          },
        ]),
      },
    ]);
    expect(worker.output()).not.toContain('PLANTED');
  });

  it('names bindings that have no effect in one line of the log', async () => {
    const worker = await startWorker({
      CONSOLE: 'on',
      METRICS_PORT: '9090',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.test:4318',
      HTTPS_PROXY: 'http://PLANTED.test:3128',
      IMAGECACHES_KV: 'PLANTED',
      CACHE_TTL_SECOND: 'PLANTED',
      AUTH_ISSUERS_FILE: '/PLANTED',
    });
    for (let count = 0; count < 3; count += 1) expect((await worker.get('/imagecaches')).status).toBe(200);
    const lines = worker
      .output()
      .split('\n')
      .filter((line) => line.includes('no effect'));
    expect(lines).toHaveLength(1);
    const { level, msg, unused } = JSON.parse(lines[0] as string) as {
      level: string;
      msg: string;
      unused: { setting: string; reason: string }[];
    };
    expect({ level, msg }).toEqual({ level: 'warn', msg: 'settings have no effect' });
    const reasons = Object.fromEntries(unused.map(({ setting, reason }) => [setting, reason]));
    expect(reasons).toMatchObject({
      CONSOLE: 'Workers do not read it',
      METRICS_PORT: 'Workers do not read it',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'Workers do not read it',
      HTTPS_PROXY: 'Workers do not read it',
      IMAGECACHES_KV: 'it must be bound to a KV namespace',
      CACHE_TTL_SECOND: 'did you mean CACHE_TTL_SECONDS?',
      AUTH_ISSUERS_FILE: 'Workers have no files; bind AUTH_ISSUERS itself',
    });
    // Those of the stand-in that are for the SDKs of callers.
    const others = ['HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4', 'HUAWEICLOUD_SDK_IAM_ENDPOINT'];
    expect(Object.keys(reasons)).toHaveLength(7 + others.length);
    expect(worker.output()).not.toContain('PLANTED');
  });

  it('goes on after requests that were cancelled while they fetched a list', async () => {
    const worker = await startWorker();
    simulator.hold('slow');
    const abort = new AbortController();
    const cancelled = Array.from({ length: 5 }, () =>
      request(`${worker.url}/imagecaches`, {
        headers: { authorization: `Bearer ${worker.token}` },
        signal: abort.signal,
      }).then(
        () => 'answered',
        () => 'cancelled',
      ),
    );
    await simulator.arrived('slow', 1);
    abort.abort();
    expect(new Set(await Promise.all(cancelled))).toEqual(new Set(['cancelled']));
    simulator.release('slow');
    const after = await Promise.all(Array.from({ length: 20 }, () => worker.get('/imagecaches')));
    expect(after.map(({ status }) => status)).toEqual(Array(20).fill(200));
    await Promise.all(after.map((response) => response.text()));
  });

  it('finishes a refresh though its answer has gone out', async () => {
    const worker = await startWorker({ CACHE_TTL_SECONDS: '1' });
    await (await worker.get('/imagecaches')).text();
    simulator.hold('refresh');
    for (let cacheStatus = ''; !cacheStatus.includes('stale-while-revalidate'); ) {
      const answer = await worker.get('/imagecaches');
      await answer.text();
      cacheStatus = answer.headers.get('cache-status') ?? '';
    }
    await simulator.arrived('refresh');
    // What ends with an answer has ended by the time that others are here.
    for (let count = 0; count < 20; count += 1) await (await worker.get('/livez')).text();
    simulator.release('refresh');
    await simulator.idle();
    expect(simulator.requests.map(({ outcome }) => outcome)).toEqual(['answered', 'answered']);
  });

  it('tells callers apart by the address that Cloudflare saw, so that one who guesses shuts out nobody else', async () => {
    const worker = await startWorker({ TRUSTED_PROXIES: 'none', AUTH_FAILURES_PER_MINUTE: '3' });
    const guess = async (from: string) => {
      const headers = { authorization: 'Bearer x', 'cf-connecting-ip': from };
      return (await fetch(`${worker.url}/imagecaches`, { headers })).status;
    };
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push(await guess('192.0.2.1'));
    expect(statuses).toEqual([401, 401, 401, 429]);
    expect(await guess('192.0.2.2')).toBe(401);
    // What a client says of itself counts for nothing.
    const forged = {
      authorization: 'Bearer x',
      'cf-connecting-ip': '192.0.2.1',
      'x-forwarded-for': '192.0.2.3',
    };
    expect((await fetch(`${worker.url}/imagecaches`, { headers: forged })).status).toBe(429);
  });

  it('signs with the credential of its bindings, and brings the project that they or IAM name', async () => {
    const sent = () =>
      simulator.requests
        .filter(({ path }) => path === '/v5/imagecaches')
        .map(({ headers }) => {
          const all = new Headers(headers.map(([name, value]) => [name, value]));
          return [/Access=([^,]+)/.exec(all.get('authorization') ?? '')?.[1], all.get('x-project-id')];
        });
    const { HUAWEICLOUD_SDK_AK: accessKeyId, HUAWEICLOUD_SDK_PROJECT_ID: configured } = simulator.environment;
    const worker = await startWorker();
    await (await worker.get('/imagecaches')).text();
    expect(sent()).toEqual([[accessKeyId, configured]]);

    simulator.forgetRequests();
    const project = { id: 'fedcba9876543210fedcba9876543210', name: 'cn-north-4' };
    simulator.setProjects([project]);
    const looking = await startWorker({ HUAWEICLOUD_SDK_PROJECT_ID: 'auto', CCE_REGION: 'cn-north-4' });
    expect((await looking.get('/imagecaches')).status).toBe(200);
    expect(sent()).toEqual([[accessKeyId, project.id]]);
  });

  it('goes on after requests that were cancelled while they fetched the keys', async () => {
    const gate = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    const keys = createServer(async (_request, response) => {
      arrived.resolve();
      await gate.promise;
      const jwks = await fetch(`${issuer.issuer}/jwks.json`);
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(await jwks.text());
    });
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = keys.address() as AddressInfo;
      const worker = await startWorker({ AUTH_JWKS_URL: `http://127.0.0.1:${port}/jwks` });
      const abort = new AbortController();
      const cancelled = Array.from({ length: 5 }, () =>
        request(`${worker.url}/imagecaches`, {
          headers: { authorization: `Bearer ${worker.token}` },
          signal: abort.signal,
        }).then(
          () => 'answered',
          () => 'cancelled',
        ),
      );
      await arrived.promise;
      abort.abort();
      expect(new Set(await Promise.all(cancelled))).toEqual(new Set(['cancelled']));
      gate.resolve();
      const after = await Promise.all(Array.from({ length: 20 }, () => worker.get('/imagecaches')));
      expect(after.map(({ status }) => status)).toEqual(Array(20).fill(200));
      await Promise.all(after.map((response) => response.text()));
    } finally {
      keys.closeAllConnections();
      await new Promise((resolve) => keys.close(resolve));
    }
  });
});
