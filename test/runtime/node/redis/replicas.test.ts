import { createClient } from '@redis/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../../simulator/simulator.ts';
import { startCold } from '../../../support/start-cold.ts';
import { endAll, type RunningProcess, startProcess } from '../running-process.ts';
import { hasRedisServer, type RedisServer, startRedisServer } from './redis-server.ts';

const PATH = '/v5/imagecaches';
const STEERED = 'test/support/steered-service.ts';
const REPLICAS = 3;
const CALLERS = 6;
const PASSWORD = 'PlantedRedisPassword0002';

interface Replica extends RunningProcess {
  readonly url: string;
}

describe.skipIf(!hasRedisServer())('three replicas on one Redis', () => {
  let simulator: Simulator;
  let issuer: TokenIssuer;
  let redis: RedisServer;
  let redisUrl: string;
  const running: RunningProcess[] = [];

  beforeAll(async () => {
    simulator = await startSimulator();
    issuer = await startTokenIssuer();
  });
  beforeEach(async () => {
    redis = await startRedisServer(['--requirepass', PASSWORD]);
    redisUrl = redis.url.replace('//', `//:${PASSWORD}@`);
  });
  afterEach(async () => {
    await endAll(running);
    redis.thaw();
    await redis.stop();
    simulator.reset();
  });
  afterAll(async () => {
    await Promise.all([simulator.stop(), issuer.stop()]);
  });

  /**
   * Its clock moves on with SIGUSR2. Redis has all the time that it takes: a replica without an answer within 50 ms, or without
   * a connection within 2 seconds of its start, loads alone, and on a busy machine that says nothing. Nor does a list end
   * meanwhile, or come near its end.
   */
  async function startReplica(
    more: Record<string, string> = {},
    script = STEERED,
    isReady: (status: number) => boolean = (status) => status === 200,
  ): Promise<Replica> {
    const started = startProcess(script, [], {
      TEST_HELD_TIMERS_MS: '50,2000',
      TEST_CLOCK_STEP_MS: '121000',
      ...simulator.environment,
      CACHE_TTL_SECONDS: '120',
      CACHE_EMPTY_TTL_SECONDS: '120',
      PORT: '0',
      METRICS_PORT: '0',
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      RATE_LIMIT_PER_MINUTE: '0',
      REDIS_URL: redisUrl,
      ...more,
    });
    running.push(started);
    const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
    const url = `http://127.0.0.1:${port}`;
    while (!isReady((await fetch(`${url}/readyz`)).status));
    return { ...started, url };
  }

  async function startReplicas(more: Record<string, string> = {}, script = STEERED): Promise<Replica[]> {
    const replicas = await Promise.all(Array.from({ length: REPLICAS }, () => startReplica(more, script)));
    await Promise.all(replicas.map(({ printed }) => printed(/"msg":"the shared store answers"/)));
    return replicas;
  }

  async function get(
    replica: Replica,
    token: string,
    more: Record<string, string> = {},
    path = '/imagecaches',
  ) {
    const response = await fetch(replica.url + path, {
      headers: { authorization: `Bearer ${token}`, ...more },
    });
    const body = await response.text();
    return { status: response.status, cacheStatus: response.headers.get('cache-status') ?? '', body };
  }

  /** Callers of all replicas, one request after the other each, until told to stop. */
  function startLoad(replicas: readonly Replica[], token: string) {
    const statuses = new Map<number, number>();
    const waiters: { readonly each: number; readonly resolve: () => void }[] = [];
    const answered = new Array<number>(CALLERS).fill(0);
    let isOver = false;
    const callers = Array.from({ length: CALLERS }, async (_, index) => {
      const replica = replicas[index % replicas.length] as Replica;
      while (!isOver) {
        const { status } = await get(replica, token);
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        answered[index] = (answered[index] as number) + 1;
        for (const { each, resolve } of waiters) if (Math.min(...answered) >= each) resolve();
      }
    });
    return {
      statuses,
      /** Resolves when each caller was answered so often. */
      answeredEach: (each: number) => new Promise<void>((resolve) => waiters.push({ each, resolve })),
      stop: async () => {
        isOver = true;
        await Promise.all(callers);
      },
    };
  }

  it('call upstream once for a key and period, under load', async () => {
    // Who waits for the load of another is told of it, and looks for it before the clock moves.
    const replicas = await startReplicas({ TEST_HELD_TIMERS_MS: '50,500,2000' });
    const token = await issuer.sign();
    for (let period = 1; period <= 4; period += 1) {
      const load = startLoad(replicas, token);
      await load.answeredEach(10);
      await simulator.received(period, PATH);
      await load.stop();
      expect([...load.statuses.keys()]).toEqual([200]);
      // A replica that still waits for what was loaded would wait through the whole step of the clock, and load alone.
      for (const replica of replicas) while (!/; hit; ttl=\d/.test((await get(replica, token)).cacheStatus));
      expect(simulator.count(PATH)).toBe(period);
      // Past a fresh life of 2 minutes.
      for (const { child } of replicas) child.kill('SIGUSR2');
      const moved = new RegExp(`(?:"msg":"moved on"[\\s\\S]*){${period}}`);
      await Promise.all(replicas.map(({ printed }) => printed(moved)));
    }
  });

  it('make one call for callers that come to all of them at once', async () => {
    const replicas = await startCold(simulator, startReplicas, REPLICAS);
    const token = await issuer.sign();
    simulator.hold('cold');
    const waiting = Array.from({ length: 60 }, (_, index) =>
      get(replicas[index % REPLICAS] as Replica, token),
    );
    await simulator.arrived('cold');
    simulator.release('cold');
    const answers = await Promise.all(waiting);
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(simulator.count(PATH)).toBe(1);
  });

  it('show a forced refresh everywhere', async () => {
    const replicas = await startReplicas();
    const token = await issuer.sign({ scope: 'imagecaches:read imagecaches:refresh' });
    for (const replica of replicas) await get(replica, token);
    simulator.setImageCaches([]);
    const [first, ...others] = replicas as [Replica, ...Replica[]];
    // At most once a second for a key.
    let refreshed = '';
    while (!refreshed.includes('image_caches":[]'))
      refreshed = (await get(first, token, { 'cache-control': 'no-cache' })).body;
    for (const replica of others) {
      let body = '';
      while (body !== refreshed) ({ body } = await get(replica, token));
    }
    expect(simulator.count(PATH)).toBe(2);
  });

  it('answer from what was shared when upstream is down and they have just started', async () => {
    const first = await startReplica();
    await first.printed(/"msg":"the shared store answers"/);
    const token = await issuer.sign();
    const { body } = await get(first, token);
    const client = createClient({ url: redisUrl });
    await client.connect();
    let key: string | undefined;
    while (key === undefined) [key] = await client.keys('*:entry:*');
    await endAll(running);
    // As if time had passed: no longer fresh.
    const nowMs = Date.now();
    await client.hSet(key, {
      begun: String(nowMs - 60_001),
      stored: String(nowMs - 60_000),
      fresh: String(nowMs - 30_000),
    });
    client.destroy();
    simulator.script({ answer: { kind: 'respond', status: 500 }, times: 100 });
    const second = await startReplica();
    await second.printed(/"msg":"the shared store answers"/);
    const answer = await get(second, token);
    expect(answer.status).toBe(200);
    expect(answer.body === body).toBe(true);
    // It was taken in at the start, when the first call failed.
    expect(answer.cacheStatus).toContain('detail=stale');
  });

  it('give no caller an error while Redis freezes, ends, comes back and is emptied', async () => {
    const replicas = await startReplicas({ CACHE_TTL_SECONDS: '1' }, 'src/runtime/node.ts');
    const token = await issuer.sign();
    const load = startLoad(replicas, token);
    const more = async (count: number) => simulator.received(simulator.count(PATH) + count, PATH);
    const say = (pattern: RegExp) => Promise.all(replicas.map(({ printed }) => printed(pattern)));
    await more(1);
    redis.freeze();
    await say(/"msg":"the shared store does not answer/);
    await more(3);
    redis.thaw();
    await redis.restart();
    await say(/"msg":"the shared store answers"[\s\S]*"msg":"the shared store answers"/);
    await more(3);
    await redis.kill();
    await more(3);
    await load.stop();
    expect([...load.statuses.keys()]).toEqual([200]);
    for (const { stdout, stderr } of replicas) {
      expect(stdout()).not.toContain(PASSWORD);
      expect(stderr()).toBe('');
    }
  });

  it('prove a key that is rejected by one call, when ten of them start at once and callers keep asking', async () => {
    const wrong = {
      HUAWEICLOUD_SDK_SK: `${simulator.environment.HUAWEICLOUD_SDK_SK}x`,
      // However slow the machine is, they wait for each other.
      UPSTREAM_DEADLINE_MS: '60000',
    };
    const started = Array.from({ length: 10 }, () => startReplica(wrong, STEERED, () => true));
    const replicas = await Promise.all(started);
    const token = await issuer.sign();
    for (let round = 0; round < 3; round += 1) {
      const answers = await Promise.all(replicas.map((replica) => get(replica, token)));
      expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(502));
    }
    expect(simulator.count(PATH)).toBe(1);
    for (const { url } of replicas) expect((await fetch(`${url}/readyz`)).status).toBe(503);
  });

  it('count requests of a caller together', async () => {
    const replicas = await startReplicas({ RATE_LIMIT_PER_MINUTE: '6' });
    const token = await issuer.sign();
    const [first, second] = replicas as [Replica, Replica];
    const client = createClient({ url: redisUrl });
    await client.connect();
    /** Until when all is used that was told. */
    const told = async () => {
      const [key] = await client.keys('*:use:*');
      return key === undefined ? 0 : Number(await client.get(key));
    };
    const begunAtMs = Date.now();
    for (let count = 0; count < 5; count += 1) expect((await get(first, token)).status).toBe(200);
    // Each use is ten seconds of the minute, however long it takes to tell them.
    while ((await told()) < begunAtMs + 50_000);
    let status = 200;
    let passed = 0;
    while (status === 200) {
      const before = await told();
      ({ status } = await get(second, token));
      passed += 1;
      while (status === 200 && (await told()) === before);
    }
    client.destroy();
    expect(status).toBe(429);
    // Alone it would have let through 6, and more with time.
    expect(passed).toBeLessThan(5);
  });
});
