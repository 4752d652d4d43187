import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { LOCKOUT_MS } from './access-keys.ts';
import { DEFAULT_ACCESS_KEY, DEFAULT_PROJECT, type Simulator, startSimulator } from './simulator.ts';
import { formatSdkDate, type HeaderPair, signWithHeaders } from './verify-signature.ts';
import { send, sendSigned, signHeaders } from './wire-client.ts';

const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const MINUTE_MS = 60_000;

let clockMs = START_MS;
let simulator: Simulator;

beforeAll(async () => {
  simulator = await startSimulator({ now: () => clockMs });
});
afterEach(() => {
  clockMs = START_MS;
  simulator.reset();
});
afterAll(() => simulator.stop());

/** Sends with these headers changed; undefined takes one out. */
async function sendChanged(target: string, changed: Record<string, string | undefined>, body?: string) {
  const headers = { ...signHeaders(simulator), ...changed };
  const kept = Object.entries(headers).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return send(simulator, target, {
    headers: Object.fromEntries(kept),
    ...(body === undefined ? {} : { body }),
  });
}

function refusalOf(text: string) {
  return {
    error_code: 'APIGW.0301',
    error_msg: expect.stringContaining(`Incorrect IAM authentication information: ${text}`),
    request_id: expect.stringMatching(/^[0-9a-f]{32}$/),
  };
}

describe('what the official signer signed', () => {
  test('is accepted, with query, further headers and a body', async () => {
    expect((await sendSigned(simulator)).status).toBe(200);
    expect(
      (await sendSigned(simulator, { query: { name: 'search-worker-02', other: ['b', 'a', 'ü +'] } })).status,
    ).toBe(200);
    const headers = { 'X-Project-Id': DEFAULT_PROJECT.id, 'content-type': 'application/json' };
    expect((await sendSigned(simulator, { headers, data: { a: 'é' } })).status).toBe(200);
    expect(simulator.requests.map(({ authentication }) => authentication)).toEqual(Array(3).fill('accepted'));
  });

  test('is refused when changed on the way', async () => {
    const wrong = refusalOf('verify aksk signature fail, canonicalRequest:GET|/v5/imagecaches/|');
    const answers = [
      await sendChanged('/v5/imagecaches?name=a', {}),
      await sendChanged('/v5/imagecaches', { host: 'elsewhere.example.com' }),
      await sendChanged('/v5/imagecaches', {}, '{}'),
      await sendChanged('/v5/imagecaches', { 'X-Sdk-Date': formatSdkDate(START_MS + 1000) }),
      await send(simulator, '/v5/imagecaches', { headers: signHeaders(simulator, { path: '/v3/projects' }) }),
    ];
    for (const answer of answers) {
      expect(answer.status).toBe(401);
      expect(answer.json()).toEqual(wrong);
      expect(answer.headers['x-request-id']).toBe((answer.json() as { request_id: string }).request_id);
    }
    expect(simulator.requests.map(({ authentication }) => authentication)).toEqual(
      Array(answers.length).fill('bad-signature'),
    );
  });

  test('prints the canonical request it computed', async () => {
    const { host, 'X-Sdk-Date': date } = signHeaders(simulator);
    const answer = await sendChanged('/v5/imagecaches?name=a', {});
    expect((answer.json() as { error_msg: string }).error_msg).toBe(
      `Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:GET|/v5/imagecaches/|name=a|host:${host}|x-sdk-date:${date}||host;x-sdk-date|e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855`,
    );
  });

  test('is refused for a key that does not exist, and names it', async () => {
    const accessKey = { ...DEFAULT_ACCESS_KEY, accessKeyId: 'NOSUCHACCESSKEY00001' };
    const answer = await sendSigned(simulator, { accessKey });
    expect(answer.status).toBe(401);
    expect(answer.json()).toEqual(refusalOf('ak NOSUCHACCESSKEY00001 not exist'));
    expect(simulator.requests[0]?.authentication).toBe('unknown-key');
  });

  test('is refused without Authorization, or with another scheme', async () => {
    const none = await sendChanged('/v5/imagecaches', { Authorization: undefined });
    expect(none.json()).toEqual(refusalOf('x-auth-token not found'));
    const bearer = await sendChanged('/v5/imagecaches', { Authorization: 'Bearer abc' });
    expect(bearer.json()).toEqual(refusalOf('authorization header format is invalid'));
    expect([none.status, bearer.status]).toEqual([401, 401]);
  });
});

test('the headers that the Go SDK signs are enough: no host, no content-type', async () => {
  const headers: HeaderPair[] = [
    ['X-Sdk-Date', formatSdkDate(START_MS)],
    ['X-Project-Id', DEFAULT_PROJECT.id],
    ['Content-Type', 'application/json'],
  ];
  const request = { method: 'GET', rawUrl: '/v5/imagecaches', headers, body: Buffer.alloc(0) };
  const authorization = signWithHeaders(request, DEFAULT_ACCESS_KEY, ['x-sdk-date', 'x-project-id']);
  expect(authorization).toContain('SignedHeaders=x-project-id;x-sdk-date,');
  const sent = { ...Object.fromEntries(headers), Authorization: authorization };
  expect((await send(simulator, '/v5/imagecaches', { headers: sent })).status).toBe(200);
  expect((await send(simulator, '/v5/imagecaches', { headers: { ...sent, host: 'other' } })).status).toBe(
    200,
  );
  expect(
    (await send(simulator, '/v5/imagecaches', { headers: { ...sent, 'X-Project-Id': 'x' } })).status,
  ).toBe(401);
});

describe('the clock', () => {
  test('a skew refuses, says so with both times, and shows in Date', async () => {
    const atMs = START_MS;
    simulator.setClockSkewMs(15 * MINUTE_MS);
    expect((await sendSigned(simulator, { atMs })).status).toBe(200);
    simulator.setClockSkewMs(15 * MINUTE_MS + 1000);
    const answer = await sendSigned(simulator, { atMs });
    expect(answer.status).toBe(401);
    expect(answer.json()).toEqual(
      refusalOf(
        'calc aksk signature fail:signature expired, signature time:20260102T030405Z,server time:20260102T031906Z',
      ),
    );
    expect(answer.headers.date).toBe('Fri, 02 Jan 2026 03:19:06 GMT');
    expect((await sendSigned(simulator)).status).toBe(200);
  });

  test('a signed date that is not sent, or sent unsigned, is refused', async () => {
    const answer = await sendChanged('/v5/imagecaches', { 'X-Sdk-Date': undefined });
    expect(answer.status).toBe(401);
    expect(simulator.requests.at(-1)?.authentication).toBe('missing-date');
  });
});

describe('the lockout', () => {
  const wrongKey = { ...DEFAULT_ACCESS_KEY, secretAccessKey: 'wrong' };
  const failTimes = async (times: number) => {
    for (let n = 0; n < times; n += 1) await sendSigned(simulator, { accessKey: wrongKey });
  };

  test('five failures do not lock, a success starts the count again', async () => {
    await failTimes(5);
    expect((await sendSigned(simulator)).status).toBe(200);
    await failTimes(5);
    expect((await sendSigned(simulator)).status).toBe(200);
  });

  test('the sixth in a row refuses the right signature for five minutes', async () => {
    expect(LOCKOUT_MS).toBe(300_000);
    await failTimes(6);
    const locked = await sendSigned(simulator);
    expect(locked.status).toBe(401);
    expect(locked.json()).toEqual(refusalOf('AK access failed to reach the limit,forbidden.'));
    expect(simulator.credentials.isLocked(DEFAULT_ACCESS_KEY.accessKeyId, clockMs)).toBe(true);
    clockMs += LOCKOUT_MS - 1;
    expect((await sendSigned(simulator)).status).toBe(401);
    clockMs += 1;
    expect((await sendSigned(simulator)).status).toBe(200);
  });

  test('it locks one key only, and can be lifted', async () => {
    const other = { accessKeyId: 'OTHERACCESSKEY', secretAccessKey: 'other' };
    simulator.credentials.add(other);
    await failTimes(6);
    expect((await sendSigned(simulator, { accessKey: other })).status).toBe(200);
    expect((await sendSigned(simulator)).status).toBe(401);
    simulator.credentials.unlock();
    expect((await sendSigned(simulator)).status).toBe(200);
  });

  test('a scripted refusal does not count', async () => {
    simulator.script({ times: 10, answer: { kind: 'refuse', error: 'bad-signature' } });
    for (let n = 0; n < 10; n += 1) expect((await sendSigned(simulator)).status).toBe(401);
    expect((await sendSigned(simulator)).status).toBe(200);
  });
});

describe('temporary credentials', () => {
  const temporary = {
    accessKeyId: 'TEMPORARYKEY',
    secretAccessKey: 'temporary-secret',
    securityToken: 'temporary-token',
    expiresAtMs: START_MS + MINUTE_MS,
  };

  test('need their token, and only theirs, until they expire', async () => {
    simulator.credentials.add(temporary);
    const statusWith = async (accessKey: typeof temporary | Omit<typeof temporary, 'securityToken'>) =>
      (await sendSigned(simulator, { accessKey })).status;
    const { securityToken: _, ...withoutToken } = temporary;
    expect(await statusWith(temporary)).toBe(200);
    expect(await statusWith(withoutToken)).toBe(401);
    expect(await statusWith({ ...temporary, securityToken: 'another' })).toBe(401);
    clockMs += MINUTE_MS;
    expect(await statusWith(temporary)).toBe(401);
    expect(simulator.requests.map(({ authentication }) => authentication)).toEqual([
      'accepted',
      'security-token',
      'security-token',
      'expired-key',
    ]);
  });

  test('a permanent key must not bring one', async () => {
    const accessKey = { ...DEFAULT_ACCESS_KEY, securityToken: 'stray' };
    expect((await sendSigned(simulator, { accessKey })).status).toBe(401);
  });

  test('keys can be replaced and removed while it runs', async () => {
    simulator.credentials.replace([temporary]);
    expect((await sendSigned(simulator)).status).toBe(401);
    expect((await sendSigned(simulator, { accessKey: temporary })).status).toBe(200);
    simulator.credentials.remove(temporary.accessKeyId);
    expect((await sendSigned(simulator, { accessKey: temporary })).status).toBe(401);
  });
});

test('IAM refuses in its own shape', async () => {
  const answer = await send(simulator, '/v3/projects');
  expect(answer.status).toBe(401);
  expect(answer.json()).toMatchObject({ error: { code: 401, message: expect.any(String) } });
});
