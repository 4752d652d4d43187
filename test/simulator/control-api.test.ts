import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { DEFAULT_ACCESS_KEY, type Simulator, startSimulator } from './simulator.ts';
import { send, sendSigned } from './wire-client.ts';

let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator();
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

async function control(method: string, path: string, body?: unknown) {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const answer = await send(simulator, `/__control${path}`, {
    method,
    ...(text === undefined ? {} : { body: text }),
  });
  return { status: answer.status, json: answer.text === '' ? undefined : (answer.json() as never) };
}

test('lists its endpoints', async () => {
  const { json } = await control('GET', '');
  expect(json).toMatchObject({ endpoints: expect.arrayContaining(['POST /__control/script']) });
});

test('takes one rule or several, shows and clears them', async () => {
  await control('POST', '/script', { answer: { kind: 'refuse', error: 'unavailable' } });
  const added = await control('POST', '/script', [{ times: 'always', answer: { kind: 'hang' } }, {}]);
  expect(added).toEqual({ status: 200, json: { rules: 3 } });
  expect((await sendSigned(simulator)).status).toBe(503);
  const { json } = await control('GET', '/script');
  expect(json).toMatchObject({ rules: [{ left: null, rule: { answer: { kind: 'hang' } } }, { left: 1 }] });
  expect((await control('DELETE', '/script')).status).toBe(204);
  expect((await sendSigned(simulator)).status).toBe(200);
});

test('holds, tells of arrivals, releases', async () => {
  await control('POST', '/hold', { gate: 'a', rule: { match: { name: null } } });
  const held = sendSigned(simulator);
  expect((await control('GET', '/arrived?gate=a&count=1&timeoutMs=10000')).status).toBe(200);
  expect((await control('GET', '/arrived?gate=a&count=2&timeoutMs=1')).status).toBe(408);
  expect((await control('GET', '/abandoned?gate=a&timeoutMs=1')).status).toBe(408);
  expect((await control('GET', '/received?count=1&path=/v5/imagecaches')).status).toBe(200);
  expect((await control('GET', '/idle?timeoutMs=1')).status).toBe(408);
  expect((await control('POST', '/release', { gate: 'a' })).status).toBe(204);
  expect((await held).status).toBe(200);
  expect((await control('GET', '/idle')).status).toBe(200);
});

test('shows what arrived, without the calls to itself', async () => {
  await sendSigned(simulator);
  await send(simulator, '/other');
  expect((await control('GET', '/count')).json).toEqual({ count: 2, connections: expect.any(Number) });
  expect((await control('GET', '/count?path=/other')).json).toMatchObject({ count: 1 });
  const { json } = await control('GET', '/requests?last=1');
  expect(json).toMatchObject({ requests: [{ method: 'GET', path: '/other', sequence: 2 }] });
  const { json: byPath } = await control('GET', '/requests?path=/v5/imagecaches');
  expect(byPath).toMatchObject({ requests: [{ url: '/v5/imagecaches', authentication: 'accepted' }] });
  await control('DELETE', '/requests');
  expect(simulator.count()).toBe(0);
});

test('sets the clock', async () => {
  const { json } = await control('PUT', '/clock', { skewMs: 3_600_000 });
  expect(json).toEqual({ nowMs: expect.any(Number) });
  expect((await sendSigned(simulator, { atMs: Date.now() })).status).toBe(401);
});

test('replaces data, projects and credentials, and resets all', async () => {
  await control('PUT', '/image-caches', [{ name: 'a' }]);
  expect((await sendSigned(simulator)).text).toBe('{"image_caches":[{"name":"a"}]}');
  await control('DELETE', '/image-caches');
  await control('PUT', '/projects', [{ id: 'p', name: 'cn-east-3' }]);
  expect((await sendSigned(simulator, { headers: { 'X-Project-Id': 'p' } })).status).toBe(200);
  const other = { accessKeyId: 'OTHER', secretAccessKey: 'other' };
  await control('PUT', '/credentials', [other]);
  expect((await sendSigned(simulator)).status).toBe(401);
  await control('POST', '/credentials', DEFAULT_ACCESS_KEY);
  expect((await sendSigned(simulator)).status).toBe(200);
  expect((await control('GET', '/credentials')).json).toEqual({ credentials: [other, DEFAULT_ACCESS_KEY] });
  await control('POST', '/reset');
  expect((await sendSigned(simulator, { accessKey: other })).status).toBe(401);
  expect((await sendSigned(simulator)).json()).toMatchObject({ image_caches: { length: 50 } });
});

test('lifts a lockout', async () => {
  const accessKey = { ...DEFAULT_ACCESS_KEY, secretAccessKey: 'wrong' };
  for (let n = 0; n < 6; n += 1) await sendSigned(simulator, { accessKey });
  expect((await sendSigned(simulator)).status).toBe(401);
  await control('POST', '/unlock');
  expect((await sendSigned(simulator)).status).toBe(200);
});

test('changes the credential endpoints', async () => {
  await control('PUT', '/metadata', { sessionTokens: 405 });
  expect((await send(simulator, '/meta-data/latest/api/token', { method: 'PUT' })).status).toBe(405);
  await control('PUT', '/metadata', { sessionTokens: 'issued' });
  const tokenOf = { method: 'PUT', headers: { 'X-Metadata-Token-Ttl-Seconds': '60' } };
  const { text: token } = await send(simulator, '/meta-data/latest/api/token', tokenOf);
  await control('POST', '/metadata/invalidate');
  const headers = { 'X-Metadata-Token': token };
  expect((await send(simulator, '/openstack/latest/securitykey', { headers })).status).toBe(401);
  await control('PUT', '/pod-identity', { token: 'new' });
  await control('PUT', '/auth-tokens', ['token']);
  const withToken = { headers: { 'x-auth-token': 'token' } };
  expect((await send(simulator, '/v5/imagecaches', withToken)).status).toBe(200);
  await control('PUT', '/sts', { idTokens: [] });
  const sts = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  expect((await send(simulator, '/v5/agencies/assume-with-oidc', sts)).status).toBe(400);
  const pod = { method: 'POST', headers: { authorization: 'new' }, body: '{}' };
  expect((await send(simulator, '/v1/credentials', pod)).status).toBe(200);
});

describe('bad calls get a reason and change nothing', () => {
  test.each([
    ['POST', '/script', { answer: { kind: 'explode' } }, 'answer'],
    ['POST', '/script', [{}, { tmies: 2 }], 'tmies'],
    ['POST', '/script', undefined, 'bad rule'],
    ['POST', '/script', '{"a":', 'not JSON'],
    ['POST', '/hold', { gate: '' }, 'gate'],
    ['POST', '/hold', { gate: 'a', rule: { delay: 1 } }, 'delay'],
    ['POST', '/release', {}, 'gate'],
    ['GET', '/arrived', undefined, 'expected string'],
    ['GET', '/arrived?gate=a&count=0', undefined, 'count'],
    ['GET', '/arrived?gate=a&timeoutMs=9999999', undefined, 'timeoutMs'],
    ['GET', '/requests?last=x', undefined, 'number'],
    ['PUT', '/clock', { skewMs: '5' }, 'skewMs'],
    ['PUT', '/image-caches', { name: 'a' }, 'array'],
    ['PUT', '/projects', [{ id: 'a' }], 'name'],
    ['PUT', '/credentials', [{ accessKeyId: 'a' }], 'secretAccessKey'],
    ['PUT', '/metadata', { sessionTokens: 500 }, 'sessionTokens'],
    ['PUT', '/pod-identity', { path: 'relative' }, 'path'],
    ['PUT', '/sts', { spelling: 'kebab' }, 'spelling'],
  ])('%s %s %j', async (method, path, body, reason) => {
    const answer = await control(method, path, body);
    expect(answer).toEqual({ status: 400, json: { error: expect.stringContaining(reason) } });
    expect(simulator.pendingRules).toEqual([]);
    expect((await sendSigned(simulator)).status).toBe(200);
  });

  test('an unknown endpoint is 404, and its neighbours are not control', async () => {
    expect((await control('GET', '/nothing')).status).toBe(404);
    expect((await send(simulator, '/__controlled')).json()).toMatchObject({ error_code: 'APIGW.0101' });
    expect(simulator.count()).toBe(1);
  });
});
