import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http, { type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { parseConfig } from '../../../src/config/config.ts';
import { type RunningService, startService } from '../../../src/runtime/node/server/start-service.ts';
import { DEFAULT_PROJECT, type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { freePort } from '../../support/free-port.ts';
import { parseSamples } from '../../support/parse-samples.ts';
import { connectRaw } from '../../support/raw-connection.ts';
import { createRecordingLogger } from '../../support/recording-logger.ts';
import { startCold } from '../../support/start-cold.ts';

/** What a process is put together from, started in this one so that its parts can be watched. */
const PATH = '/v5/imagecaches';

let simulator: Simulator;
let issuer: TokenIssuer;
let folder: string;
const running: RunningService[] = [];

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  folder = await mkdtemp(join(tmpdir(), 'start-service-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  // What the stand-in holds would be waited for.
  simulator.reset();
  await Promise.all(running.splice(0).map((service) => service.stop()));
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
  await rm(folder, { recursive: true });
});

async function start(more: Record<string, string | undefined> = {}) {
  const logger = createRecordingLogger();
  const metricsPort = await freePort();
  const environment: Record<string, string | undefined> = {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: String(metricsPort),
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SHUTDOWN_DELAY_SECONDS: '0',
    ...more,
  };
  const service = await startCold(simulator, async () => {
    const started = await startService(parseConfig(environment), logger);
    running.push(started);
    await started.warmed;
    return started;
  });
  const token = await issuer.sign();
  return {
    ...service,
    logger,
    metricsPort,
    messages: () => logger.lines.map(({ message }) => message),
    get: (path: string, headers: Record<string, string> = {}) =>
      fetch(service.url + path, { headers: { authorization: `Bearer ${token}`, ...headers } }),
    /** Begins a request and leaves before it is answered. */
    leave: async (path: string, until: Promise<void>) => {
      const request = http.get(service.url + path, { headers: { authorization: `Bearer ${token}` } });
      const closed = new Promise((resolve) => request.on('close', resolve).on('error', resolve));
      await until;
      request.destroy();
      await closed;
    },
    scrape: async () => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
      const samples = parseSamples(text);
      return (series: string) => samples.get(`imagecaches_${series}`);
    },
  };
}

const sentHeader = (name: string) =>
  simulator.requests
    .filter(({ path }) => path === PATH)
    .map(({ headers }) => headers.find(([header]) => header.toLowerCase() === name)?.[1]);

describe('connections of callers', () => {
  it('stay open longer than those of common load balancers, on every path', async () => {
    const { get } = await start();
    for (const path of ['/livez', '/imagecaches', '/imagecaches?name=A', '/nowhere', '//']) {
      const response = await get(path);
      expect([path, response.headers.get('keep-alive')]).toEqual([path, 'timeout=65']);
      expect([path, response.headers.get('connection')]).toEqual([path, 'keep-alive']);
    }
  });

  it('are as many as MAX_CONNECTIONS, and 100 of those who scrape: then the oldest idle one makes room', async () => {
    const { port, metricsPort, get, scrape } = await start({ MAX_CONNECTIONS: '10' });
    for (const [listener, most] of [
      [port, 10],
      [metricsPort, 100],
    ] as const) {
      const first = connectRaw(listener);
      await once(first.socket, 'connect');
      const others = Array.from({ length: most }, () => connectRaw(listener));
      expect(await first.closed).toBe('');
      for (const { socket } of others) socket.destroy();
    }
    expect((await get('/imagecaches')).status).toBe(200);
    expect((await scrape())('cache_entries')).toBe(1);
  });

  it('have 10 seconds for their headers, 15 for a request, and are kept for 65', async () => {
    const { get, port } = await start();
    const servers: Server[] = [];
    const note = (message: unknown) => void servers.push((message as { server: Server }).server);
    subscribe('http.server.request.start', note);
    try {
      await get('/livez');
    } finally {
      unsubscribe('http.server.request.start', note);
    }
    const [server] = servers;
    expect(server?.address()).toMatchObject({ port });
    expect(server).toMatchObject({
      headersTimeout: 10_000,
      requestTimeout: 15_000,
      keepAliveTimeout: 65_000,
    });
  });
});

describe('callers', () => {
  it('who ask at the same time share one call', async () => {
    const { get, scrape } = await start();
    simulator.hold('cold');
    const waiting = Array.from({ length: 20 }, () => get('/imagecaches'));
    await simulator.arrived('cold');
    // Once more when all of them are inside: the list is asked for by each before this one is refused.
    expect((await get('/imagecaches?name=A')).status).toBe(400);
    simulator.release('cold');
    expect(new Set((await Promise.all(waiting)).map(({ status }) => status))).toEqual(new Set([200]));
    expect(simulator.count(PATH)).toBe(1);
    expect((await scrape())('cache_answers_total{outcome="miss"}')).toBe(1);
  });

  it('are told apart behind a trusted proxy, so that one who guesses shuts out nobody else', async () => {
    const { url } = await start({ TRUSTED_PROXIES: '127.0.0.1', AUTH_FAILURES_PER_MINUTE: '3' });
    const guess = async (from: string) => {
      const headers = { authorization: 'Bearer x', 'x-forwarded-for': from };
      return (await fetch(`${url}/imagecaches`, { headers })).status;
    };
    const statuses = [];
    for (let count = 0; count < 4; count += 1) statuses.push(await guess('192.0.2.1'));
    expect(statuses).toEqual([401, 401, 401, 429]);
    expect(await guess('192.0.2.2')).toBe(401);
  });

  it.each([
    ['x-forwarded-for', '192.0.2.1:1234', '192.0.2.2:1234'],
    ['x-forwarded-for', '[2001:db8:0:1::1]:1234', '[2001:db8:0:2::1]:1234'],
    ['x-forwarded-for', '"[2001:db8:0:1::1]"', '"[2001:db8:0:2::1]"'],
    ['x-forwarded-for', '::ffff:c000:201', '::ffff:c000:202'],
    ['forwarded', 'for="192.0.2.1:1234";proto=http', 'for="192.0.2.2:1234";proto=http'],
    ['forwarded', 'for="[2001:db8:0:1::1]:1234"', 'for="[2001:db8:0:2::1]:1234"'],
  ])('are told apart by %s: %s', async (header, guesser, other) => {
    const { url } = await start({ TRUSTED_PROXIES: '127.0.0.1', AUTH_FAILURES_PER_MINUTE: '1' });
    const guess = async (from: string) => {
      const headers = { authorization: 'Bearer x', [header]: from };
      return (await fetch(`${url}/imagecaches`, { headers })).status;
    };
    expect([await guess(guesser), await guess(guesser), await guess(other)]).toEqual([401, 429, 401]);
  });

  it('who can decompress are given less', async () => {
    const { get } = await start();
    for (const coding of ['br', 'gzip'])
      expect((await get('/imagecaches', { 'accept-encoding': coding })).headers.get('content-encoding')).toBe(
        coding,
      );
  });

  it('may bring tokens whose keys are in a file', async () => {
    const file = join(folder, 'jwks.json');
    await writeFile(file, await (await fetch(`${issuer.issuer}/jwks.json`)).text());
    const { get } = await start({ AUTH_JWKS_FILE: file });
    expect((await get('/imagecaches')).status).toBe(200);
  });

  it('find the pages that belong to Node', async () => {
    const { get } = await start();
    expect((await get('/docs')).status).toBe(200);
  });
});

describe('calls upstream', () => {
  it('bring the project of the settings', async () => {
    const { get } = await start();
    expect((await get('/imagecaches')).status).toBe(200);
    expect(sentHeader('x-project-id')).toEqual([DEFAULT_PROJECT.id]);
    const without = await start({ HUAWEICLOUD_SDK_PROJECT_ID: undefined });
    simulator.forgetRequests();
    expect((await without.get('/imagecaches')).status).toBe(200);
    expect(sentHeader('x-project-id')).toEqual([undefined]);
  });

  it('bring the project that IAM names', async () => {
    const project = { id: 'fedcba9876543210fedcba9876543210', name: 'cn-north-4' };
    simulator.setProjects([project]);
    const { get } = await start({ HUAWEICLOUD_SDK_PROJECT_ID: 'auto', CCE_REGION: 'cn-north-4' });
    expect((await get('/imagecaches')).status).toBe(200);
    expect(sentHeader('x-project-id')).toEqual([project.id]);
  });

  it('are signed with the credential of the settings, which does not expire', async () => {
    const { get, scrape } = await start();
    expect((await get('/imagecaches')).status).toBe(200);
    expect(sentHeader('authorization')[0]).toContain(`Access=${simulator.environment.HUAWEICLOUD_SDK_AK},`);
    expect(sentHeader('x-security-token')).toEqual([undefined]);
    expect((await scrape())('credential_expiry_timestamp_seconds')).toBe(Number.POSITIVE_INFINITY);
  });

  it('are signed with the credential of the node, and its expiry is gauged', async () => {
    simulator.setMetadata({ lifetimeSeconds: 7200 });
    const begunSeconds = Math.floor(simulator.now() / 1000);
    const { get, scrape } = await start({
      HUAWEICLOUD_CREDENTIALS: 'metadata',
      HUAWEICLOUD_METADATA_ENDPOINT: simulator.url,
      HUAWEICLOUD_SDK_AK: undefined,
      HUAWEICLOUD_SDK_SK: undefined,
    });
    const endSeconds = Math.ceil(simulator.now() / 1000);
    expect((await get('/imagecaches')).status).toBe(200);
    expect(sentHeader('authorization')[0]).toContain('Access=SIMULATORTEMP');
    expect(sentHeader('x-security-token')[0]).toMatch(/^simulator-security-token-/);
    const expiry = (await scrape())('credential_expiry_timestamp_seconds');
    expect(expiry).toBeGreaterThanOrEqual(begunSeconds + 7200);
    expect(expiry).toBeLessThanOrEqual(endSeconds + 7200);
  });

  it('go over connections that are counted, and used again', async () => {
    const { get, scrape } = await start();
    const plain = async () => (await scrape())('outbound_connections_total{begin="plain"}');
    // Those to the issuer, and that of the call of the start.
    const atStart = (await plain()) ?? 0;
    expect(atStart).toBeGreaterThan(1);
    for (const name of ['a', 'b', 'c']) expect((await get(`/imagecaches?name=${name}`)).status).toBe(200);
    expect(simulator.connectionCount).toBe(1);
    expect(await plain()).toBe(atStart);
  });
});

describe('readiness', () => {
  it('does not come before what the first request would wait for', async () => {
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const keys = http.createServer(async (_request, response) => {
      asked.resolve();
      await gate.promise;
      response.end(await (await fetch(`${issuer.issuer}/jwks.json`)).text());
    });
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = keys.address() as { port: number };
      const starting = start({ AUTH_JWKS_URL: `http://127.0.0.1:${port}/jwks` });
      await asked.promise;
      const service = running.at(-1) as RunningService;
      const unready = await fetch(`${service.url}/readyz`);
      expect([unready.status, await unready.json()]).toEqual([
        503,
        { status: 'unready', failing: ['lifecycle', 'keys'] },
      ]);
      gate.resolve();
      const { get } = await starting;
      expect((await get('/readyz')).status).toBe(200);
    } finally {
      gate.resolve();
      keys.closeAllConnections();
      await new Promise((resolve) => keys.close(resolve));
    }
  });
});

describe('a stop', () => {
  it('waits for work that no caller waits for any more', async () => {
    const service = await start();
    const linesOfStart = service.logger.lines.length;
    simulator.hold('slow');
    await service.leave('/imagecaches', simulator.arrived('slow'));
    const stopped = service.stop();
    await expect.poll(service.messages).toContain('no longer accepting connections');
    simulator.release('slow');
    await stopped;
    expect(service.messages().at(-1)).toBe('stopped');
    const lines = service.logger.lines.slice(linesOfStart);
    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
    // The connection was not closed under it: it was answered to its end.
    expect(simulator.requests.filter(({ path }) => path === PATH)).toHaveLength(1);
  });

  it('gives load balancers no notice of what was never ready', async () => {
    const asked = Promise.withResolvers<void>();
    const keys = http.createServer(() => asked.resolve());
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = keys.address() as { port: number };
      const starting = start({
        AUTH_JWKS_URL: `http://127.0.0.1:${port}/jwks`,
        SHUTDOWN_DELAY_SECONDS: '600',
      });
      await asked.promise;
      await (running.at(-1) as RunningService).stop();
      const { messages } = await starting;
      expect(messages()).toContain('stopped');
    } finally {
      keys.closeAllConnections();
      await new Promise((resolve) => keys.close(resolve));
    }
  });

  it('drops that work after a second, without a word of what fails by that', async () => {
    const service = await start({ UPSTREAM_ATTEMPT_TIMEOUT_MS: '60000', UPSTREAM_DEADLINE_MS: '60000' });
    const linesOfStart = service.logger.lines.length;
    simulator.hold('hang');
    await service.leave('/imagecaches', simulator.arrived('hang'));
    const left = simulator.abandoned('hang');
    await service.stop();
    await left;
    expect(service.messages().at(-1)).toBe('stopped');
    const lines = service.logger.lines.slice(linesOfStart);
    expect(lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  it('is one, however often it is asked for, and frees the ports', async () => {
    const service = await start();
    await Promise.all([service.stop(), service.stop()]);
    expect(service.messages().filter((message) => message === 'stopped')).toHaveLength(1);
    await expect(service.get('/livez')).rejects.toThrow('fetch failed');
    await expect(service.scrape()).rejects.toThrow('fetch failed');
  });
});
