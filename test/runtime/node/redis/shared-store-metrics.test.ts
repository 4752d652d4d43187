import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../../simulator/simulator.ts';
import { freePort } from '../../../support/free-port.ts';
import { parseSamples } from '../../../support/parse-samples.ts';
import { startCold } from '../../../support/start-cold.ts';
import { endAll, type RunningProcess, startProcess } from '../running-process.ts';
import { hasRedisServer, type RedisServer, startRedisServer } from './redis-server.ts';

describe.skipIf(!hasRedisServer())('the metrics of the shared store', () => {
  let simulator: Simulator;
  let issuer: TokenIssuer;
  let redis: RedisServer;
  const running: RunningProcess[] = [];

  beforeAll(async () => {
    simulator = await startSimulator();
    issuer = await startTokenIssuer();
    redis = await startRedisServer();
  });
  afterEach(() => endAll(running));
  afterAll(() => Promise.all([simulator.stop(), issuer.stop(), redis.stop()]));

  it('say what was done with it, how it went, and whether it answers', async () => {
    const metricsPort = await freePort();
    // Redis has all the time that it takes to answer.
    const service = startProcess('test/support/steered-service.ts', [], {
      ...simulator.environment,
      TEST_HELD_TIMERS_MS: '50',
      PORT: '0',
      METRICS_PORT: String(metricsPort),
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      REDIS_URL: redis.url,
    });
    running.push(service);
    const port = await startCold(simulator, async () => {
      const [, listening] = await service.printed(/"port":(\d+),"upstream".*"msg":"listening"/);
      while ((await fetch(`http://127.0.0.1:${listening}/readyz`)).status !== 200);
      return listening;
    });
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const get = async (name: string) =>
      (await fetch(`http://127.0.0.1:${port}/imagecaches?name=${name}`, { headers })).status;
    const sampleOf = async (series: string) => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
      return parseSamples(text).get(`imagecaches_shared_store_${series}`);
    };
    const uses = (operation: string, result: string) =>
      sampleOf(`operations_total{operation="${operation}",result="${result}"}`);

    await service.printed(/"msg":"the shared store answers"/);
    expect(await sampleOf('up')).toBe(1);
    // That of the start, which gave its turn up.
    while ((await uses('share', 'ok')) !== 1);
    expect(await uses('look_up', 'ok')).toBe(1);
    expect(await get('a')).toBe(200);
    expect(await uses('look_up', 'ok')).toBe(2);
    // After the answer, and 250 ms later.
    while ((await uses('share', 'ok')) !== 2);
    while ((await uses('limits', 'ok')) !== 1);

    await redis.kill();
    await service.printed(/"msg":"the shared store does not answer/);
    expect(await sampleOf('up')).toBe(0);
    expect(await sampleOf('fault{cause="unreachable"}')).toBe(1);
    expect(await get('b')).toBe(200);
    expect(await uses('look_up', 'skipped')).toBe(1);
    while ((await uses('share', 'skipped')) !== 1);

    await redis.restart();
    await service.printed(/"msg":"the shared store answers"[\s\S]*"msg":"the shared store answers"/);
    expect(await sampleOf('up')).toBe(1);
    expect(await sampleOf('fault{cause="unreachable"}')).toBeUndefined();
    expect(await get('c')).toBe(200);
    expect(await uses('look_up', 'ok')).toBe(3);
    expect(await uses('look_up', 'timeout')).toBeUndefined();
  });
});
