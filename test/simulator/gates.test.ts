import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Simulator, startSimulator } from './simulator.ts';
import { RawConnection, sendSigned, signedRequestText } from './wire-client.ts';

let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator();
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

test('holds all requests until it is released', async () => {
  simulator.hold('a');
  let answered = 0;
  const answers = [1, 2, 3].map(async () => {
    const answer = await sendSigned(simulator);
    answered += 1;
    return answer.status;
  });
  await simulator.arrived('a', 3);
  expect(answered).toBe(0);
  simulator.release('a');
  expect(await Promise.all(answers)).toEqual([200, 200, 200]);
  expect(simulator.pendingRules).toEqual([]);
  expect((await sendSigned(simulator)).status).toBe(200);
});

test('lets go one at a time, oldest first', async () => {
  simulator.hold('a');
  const first = sendSigned(simulator);
  await simulator.arrived('a', 1);
  const second = sendSigned(simulator);
  await simulator.arrived('a', 2);
  simulator.release('a', 1);
  await first;
  expect(simulator.requests.map(({ outcome }) => outcome)).toEqual(['answered', 'open']);
  simulator.release('a', 1);
  await second;
});

test('holds only what matches, and answers as scripted', async () => {
  simulator.hold('a', { match: { name: 'x' }, answer: { kind: 'refuse', error: 'unavailable' } });
  expect((await sendSigned(simulator)).status).toBe(200);
  const held = sendSigned(simulator, { query: { name: 'x' } });
  await simulator.arrived('a');
  simulator.release('a');
  expect((await held).status).toBe(503);
});

test('a scripted gate can stand between the headers and the body', async () => {
  simulator.script({ gate: 'body', gateAt: 'before-body' });
  const connection = new RawConnection(simulator).send(signedRequestText(simulator));
  await simulator.arrived('body');
  await connection.until(() => connection.head.includes('Content-Length'));
  expect(connection.body).toHaveLength(0);
  simulator.release('body');
  await connection.until(() => connection.body.length > 1000);
  connection.close();
});

test('arrived waits for those to come, and holding again starts the count at zero', async () => {
  const arrived = simulator.arrived('a');
  simulator.hold('a');
  const first = sendSigned(simulator);
  await arrived;
  simulator.release('a');
  await first;
  simulator.hold('a');
  let seen = false;
  const again = simulator.arrived('a').then(() => {
    seen = true;
  });
  await Promise.resolve();
  expect(seen).toBe(false);
  const second = sendSigned(simulator);
  await again;
  simulator.release('a');
  await second;
});

test('notices a client that goes away while it is held', async () => {
  simulator.hold('a');
  const connection = new RawConnection(simulator).send(signedRequestText(simulator));
  await simulator.arrived('a');
  connection.close();
  await simulator.abandoned('a');
  await simulator.idle();
  expect(simulator.requests[0]?.outcome).toBe('aborted');
  simulator.release('a');
});

test('a reset lets the held go and ends the waits', async () => {
  simulator.hold('a');
  const held = sendSigned(simulator);
  await simulator.arrived('a');
  const waiting = simulator.arrived('a', 2);
  simulator.reset();
  await expect(waiting).rejects.toThrow(/reset or stopped/);
  expect((await held).status).toBe(200);
  expect(simulator.count()).toBe(0);
});
