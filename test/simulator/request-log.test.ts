import { Agent } from 'node:http';
import { expect, test } from 'vitest';
import { MAX_RECORDED_REQUESTS, RequestLog } from './request-log.ts';
import { startSimulator } from './simulator.ts';
import { RawConnection, sendSigned, signedRequestText } from './wire-client.ts';

const request = {
  atMs: 0,
  method: 'GET',
  url: '/a?b',
  path: '/a',
  headers: [],
  bodyBytes: 0,
  socketId: 1,
  reusedSocket: false,
  authentication: 'none' as const,
  outcome: 'open' as const,
};

test('keeps the last ten thousand and counts them all', () => {
  const log = new RequestLog();
  for (let n = 0; n < MAX_RECORDED_REQUESTS + 5; n += 1)
    log.add({ ...request, path: n % 2 === 0 ? '/a' : '/b' });
  expect(log.requests).toHaveLength(10_000);
  expect(log.requests[0]?.sequence).toBe(6);
  expect([log.count(), log.count('/a'), log.count('/c')]).toEqual([10_005, 5003, 0]);
});

test('a request that was open at the reset does not disturb the counts', async () => {
  const log = new RequestLog();
  const old = log.add(request);
  const idle = log.idle();
  log.reset();
  await idle;
  log.add(request);
  log.finish(old, 'answered');
  expect([log.count(), log.openCount]).toEqual([1, 1]);
});

test('records the request as it came', async () => {
  const simulator = await startSimulator();
  const connection = new RawConnection(simulator);
  connection.send(
    signedRequestText(simulator)
      .replace('/v5/imagecaches', '/v5/imagecaches?a=%62&a=+')
      .replace('host', 'hOST'),
  );
  await simulator.received(1);
  const [recorded] = simulator.requests;
  expect(recorded).toMatchObject({
    sequence: 1,
    method: 'GET',
    url: '/v5/imagecaches?a=%62&a=+',
    path: '/v5/imagecaches',
    socketId: 1,
    reusedSocket: false,
  });
  expect(recorded?.headers).toContainEqual(['hOST', `127.0.0.1:${simulator.port}`]);
  await simulator.stop();
});

test('tells connections apart', async () => {
  const simulator = await startSimulator();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await sendSigned(simulator, {}, agent);
  await sendSigned(simulator, {}, agent);
  await sendSigned(simulator);
  expect(simulator.requests.map(({ socketId, reusedSocket }) => [socketId, reusedSocket])).toEqual([
    [1, false],
    [1, true],
    [2, false],
  ]);
  expect(simulator.connectionCount).toBe(2);
  agent.destroy();
  await simulator.stop();
});
