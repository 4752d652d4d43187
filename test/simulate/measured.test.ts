import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { freePort } from '../support/free-port.ts';
import { simulateReplica } from './simulate-replica.ts';

const PATH = '/v5/imagecaches';
const TTL_SECONDS = 1;
const CALLS = 12;
const NAMES = 20;
const LIST_SHARE = 0.2;
/** Part of the requests' time that the simulation may be off, either way: both are random. */
const TOLERANCE = 0.4;

let simulator: Simulator;
let issuer: TokenIssuer;
const running: RunningProcess[] = [];
beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
});
afterAll(async () => {
  await endAll(running);
  await Promise.all([simulator.stop(), issuer.stop()]);
});

it('a real process makes the calls that the simulation says', async () => {
  const metricsPort = await freePort();
  const service = startProcess('src/runtime/node.ts', [], {
    ...simulator.environment,
    PORT: '0',
    METRICS_PORT: String(metricsPort),
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '0',
    CACHE_TTL_SECONDS: String(TTL_SECONDS),
  });
  running.push(service);
  const [, port] = await service.printed(/"port":(\d+).*"msg":"listening"/);
  const headers = { authorization: `Bearer ${await issuer.sign()}` };
  let requests = 0;
  const ask = async () => {
    requests += 1;
    const isList = requests % (1 / LIST_SHARE) === 0;
    const path = isList ? '/imagecaches' : `/imagecaches?name=made-up-${requests % NAMES}`;
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { headers });
    await response.arrayBuffer();
  };
  while ((await fetch(`http://127.0.0.1:${port}/readyz`)).status !== 200);
  // A life to warm up, then the calls of some more; one request after the other, as fast as they are answered.
  while (simulator.count(PATH) < 3) await ask();
  const [begunMs, requestsBefore, callsBefore] = [performance.now(), requests, simulator.count(PATH)];
  while (simulator.count(PATH) < callsBefore + CALLS) await ask();
  const elapsedMs = performance.now() - begunMs;

  // On a busy machine calls take longer, and lists are refreshed earlier.
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const total = (name: string) =>
    Number(
      new RegExp(`^imagecaches_upstream_call_duration_seconds_${name}{result="ok"} (.+)$`, 'm').exec(
        metrics,
      )?.[1],
    );
  const upstreamMs = (total('sum') / total('count')) * 1000;

  const simulated = await simulateReplica({
    requestsPerSecond: ((requests - requestsBefore) * 1000) / elapsedMs,
    names: NAMES,
    listShare: LIST_SHARE,
    ttlMs: TTL_SECONDS * 1000,
    upstreamMs,
    durationMs: 200_000,
    seed: 11,
  });
  const measuredPerMinute = (CALLS * 60_000) / elapsedMs;
  expect(measuredPerMinute / simulated.upstreamCallsPerMinute).toBeGreaterThan(1 - TOLERANCE);
  expect(measuredPerMinute / simulated.upstreamCallsPerMinute).toBeLessThan(1 + TOLERANCE);
}, 60_000);
