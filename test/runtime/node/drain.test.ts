import http from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { freePort } from '../../support/free-port.ts';
import { startCold } from '../../support/start-cold.ts';
import { endAll, type RunningProcess, startProcess } from './running-process.ts';

const REQUESTS_PER_SECOND = 500;
const CONNECTIONS = 50;
const TICK_MS = 10;
/** A balancer goes on sending so long after it has seen the failing readiness: some requests at this rate. */
const REQUESTS_AFTER_UNREADY = 400;

let simulator: Simulator;
let issuer: TokenIssuer;
const running: RunningProcess[] = [];

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
});
afterEach(async () => {
  await endAll(running);
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop()]);
});

async function startService(
  more: Record<string, string> = {},
  script = 'src/runtime/node.ts',
): Promise<RunningProcess & { url: string }> {
  const started = startProcess(script, [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '0',
    ...more,
  });
  running.push(started);
  return startCold(simulator, async () => {
    const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
    const url = `http://127.0.0.1:${port}`;
    while ((await fetch(`${url}/readyz`)).status !== 200);
    return { ...started, url };
  });
}

interface Seen {
  readonly statuses: Map<number | string, number>;
  sent: number;
}

/** One request over the shared keep-alive connections; what goes wrong on the wire is an outcome too. */
function get(url: string, path: string, headers: Record<string, string>, agent?: http.Agent) {
  const { hostname, port } = new URL(url);
  return new Promise<number | string>((resolve) => {
    http
      .get({ hostname, port, path, headers, ...(agent && { agent }) }, (response) => {
        response.resume();
        response.on('end', () => resolve(response.statusCode ?? 0));
        response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.name));
      })
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.name));
  });
}

/** Sends requests at the rate until told to stop. */
function startLoad(url: string, token: string) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const seen: Seen = { statuses: new Map(), sent: 0 };
  const pending = new Set<Promise<void>>();
  const waiters: { readonly sent: number; readonly resolve: () => void }[] = [];
  const timer = setInterval(() => {
    for (let count = 0; count < (REQUESTS_PER_SECOND * TICK_MS) / 1000; count += 1) {
      seen.sent += 1;
      const path = seen.sent % 10 === 0 ? '/imagecaches?name=search-worker-02' : '/imagecaches';
      const one = get(url, path, { authorization: `Bearer ${token}` }, agent).then((status) => {
        seen.statuses.set(status, (seen.statuses.get(status) ?? 0) + 1);
        pending.delete(one);
      });
      pending.add(one);
    }
    for (const waiter of waiters) if (seen.sent >= waiter.sent) waiter.resolve();
  }, TICK_MS);
  return {
    seen,
    /** Resolves when so many more were sent. */
    more: (count: number) =>
      new Promise<void>((resolve) => waiters.push({ sent: seen.sent + count, resolve })),
    stop: async () => {
      clearInterval(timer);
      await Promise.all(pending);
      agent.destroy();
    },
  };
}

describe('a drain', () => {
  it('at 500 requests a second with a slow upstream loses none of them', async () => {
    const service = await startService(
      {
        SHUTDOWN_DELAY_SECONDS: '7',
        SHUTDOWN_GRACE_SECONDS: '60',
        CACHE_TTL_SECONDS: '1',
        // The door is closed when the balancer has taken notice, however long sending takes this machine.
        TEST_HELD_TIMERS_MS: '7000',
      },
      'test/support/steered-service.ts',
    );
    const token = await issuer.sign();
    const load = startLoad(service.url, token);
    await load.more(300);
    // From here on upstream does not answer before the door is closed: a refresh is under way all the time.
    simulator.hold('slow');
    await simulator.arrived('slow');

    service.child.kill('SIGTERM');
    await service.printed(/"msg":"draining"/);
    expect(await get(service.url, '/readyz', {})).toBe(503);
    expect(await get(service.url, '/livez', {})).toBe(200);
    // Between the failing readiness and the closing of the door a balancer goes on sending for a while.
    await load.more(REQUESTS_AFTER_UNREADY);
    await load.stop();
    expect(service.stdout()).not.toContain('"msg":"no longer accepting connections"');
    service.child.kill('SIGUSR2');
    await service.printed(/"msg":"no longer accepting connections"/);
    simulator.release('slow');
    expect(await service.exited).toBe(0);

    expect(Object.fromEntries(load.seen.statuses)).toEqual({ 200: load.seen.sent });
    expect(load.seen.sent).toBeGreaterThanOrEqual(300 + REQUESTS_AFTER_UNREADY);
    expect(service.stdout()).toContain('"msg":"stopped"');
    expect(service.stdout()).not.toContain('the grace time is over');
    expect(service.stderr()).toBe('');
  });

  it('answers callers who wait for upstream when the door is closed', async () => {
    const service = await startService({
      SHUTDOWN_DELAY_SECONDS: '0',
      SHUTDOWN_GRACE_SECONDS: '60',
      UPSTREAM_ATTEMPT_TIMEOUT_MS: '60000',
      UPSTREAM_DEADLINE_MS: '60000',
    });
    const token = await issuer.sign();
    simulator.hold('slow');
    const waiting = Array.from({ length: 200 }, () =>
      get(
        service.url,
        '/imagecaches',
        { authorization: `Bearer ${token}` },
        new http.Agent({ keepAlive: true }),
      ),
    );
    await simulator.arrived('slow');
    // All of them are inside: the service answers in turn, so this one came after them.
    expect(await get(service.url, '/livez', {})).toBe(200);
    service.child.kill('SIGTERM');
    await service.printed(/"msg":"no longer accepting connections"/);
    simulator.release('slow');
    expect(await service.exited).toBe(0);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([200]));
  });
});

describe('kill -9', () => {
  it('leaves nothing behind: the same port serves again at once', async () => {
    const port = await freePort();
    const token = await issuer.sign();
    for (let life = 0; life < 3; life += 1) {
      const service = await startService({ PORT: String(port) });
      const load = startLoad(service.url, token);
      await load.more(100);
      expect(await get(service.url, '/imagecaches', { authorization: `Bearer ${token}` })).toBe(200);
      service.child.kill('SIGKILL');
      expect(await service.exited).toBe('SIGKILL');
      await load.stop();
    }
  });
});
