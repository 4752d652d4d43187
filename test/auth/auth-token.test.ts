import { describe, expect, it } from 'vitest';
import { signRequest } from '../../src/signing/sign-request.ts';
import { createTestService, type TestService } from '../support/test-service.ts';

const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
const SDK_KEYS = JSON.stringify({ keys: [{ ...KEY, subject: 'billing' }] });
const HOST = 'bff.example.test';
const LISTS = `https://${HOST}/v5/imagecaches`;
const PROJECTS = `https://${HOST}/v3/projects?name=cn-north-4`;
const MALFORMED =
  'Bearer realm="imagecaches", error="invalid_token", error_description="the token is malformed"';

/** As the vendor's IAM makes them: a signed message in base64, with '-' where base64 has '/'. */
const CLOUD_TOKEN = `MIIPlantedCloudToken${'Zx9-+Q=7'.repeat(400)}`;

const createService = (environment: Record<string, string> = {}) =>
  createTestService({ SDK_KEYS, ...environment });

const ask = (service: TestService, headers: Record<string, string> | [string, string][], url = LISTS) =>
  service.app.request(url, { headers });

const lastLine = (service: TestService) =>
  service.logger.lines.findLast(({ message }) => message === 'request')?.fields;

async function signedHeaders(service: TestService, url = LISTS): Promise<Record<string, string>> {
  const nowMs = service.clock.now();
  const { headers } = await signRequest({ method: 'GET', url: new URL(url), headers: {} }, KEY, { nowMs });
  return { host: HOST, ...headers };
}

/** What a denied caller is told. */
async function expectDenied(response: Response): Promise<string> {
  expect(response.status).toBe(401);
  expect(response.headers.get('www-authenticate')).toBe(MALFORMED);
  const { error_code: code, error_msg: message } = (await response.json()) as Record<string, string>;
  expect(code).toBe('APIGW.0301');
  return message as string;
}

describe('a token in X-Auth-Token', () => {
  it("is as good as in Authorization for the vendor's documented request, and is the same caller", async () => {
    const service = await createService({ RATE_LIMIT_PER_MINUTE: '3' });
    const token = await service.token();
    // "Making an API Request" in the vendor's API reference has these two headers.
    const headers = { 'Content-Type': 'application/json', 'X-Auth-Token': token };
    for (const url of [LISTS, PROJECTS]) {
      const response = await ask(service, headers, url);
      expect(response.status).toBe(200);
      expect(lastLine(service)).toMatchObject({ subject: 'service-a', access: 'granted' });
    }
    expect(
      (await service.get('/imagecaches', { headers: { authorization: `Bearer ${token}` } })).status,
    ).toBe(200);
    // One principal, one limit.
    expect((await ask(service, headers)).status).toBe(429);
    expect(service.calls).toHaveLength(1);
  });

  it('needs the scope too', async () => {
    const service = await createService();
    const response = await ask(service, { 'x-auth-token': await service.token({ scope: 'other' }) });
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ error_code: 'APIGW.0302' });
  });

  it.each<[string, (token: string) => [string, string][]]>([
    [
      'twice',
      (token) => [
        ['x-auth-token', token],
        ['x-auth-token', token],
      ],
    ],
    [
      'and in Authorization',
      (token) => [
        ['x-auth-token', token],
        ['authorization', `bearer  ${token}`],
      ],
    ],
    [
      'beside one that is empty',
      (token) => [
        ['x-auth-token', ''],
        ['authorization', `Bearer ${token}`],
      ],
    ],
  ])('may be sent %s', async (_name, headersOf) => {
    const service = await createService();
    expect((await ask(service, headersOf(await service.token()))).status).toBe(200);
  });

  it.each<[string, (token: string, other: string) => [string, string][]]>([
    [
      'twice, and they differ',
      (token, other) => [
        ['x-auth-token', token],
        ['x-auth-token', other],
      ],
    ],
    [
      'with an empty one',
      (token) => [
        ['x-auth-token', token],
        ['x-auth-token', ''],
      ],
    ],
    [
      'with another one in Authorization',
      (a, b) => [
        ['x-auth-token', a],
        ['authorization', `Bearer ${b}`],
      ],
    ],
    [
      'with the other one in Authorization',
      (a, b) => [
        ['x-auth-token', b],
        ['authorization', `Bearer ${a}`],
      ],
    ],
    [
      'with two in Authorization',
      (a) => [
        ['x-auth-token', a],
        ['authorization', `Bearer ${a}, Bearer ${a}`],
      ],
    ],
    [
      'with a password',
      (token) => [
        ['x-auth-token', token],
        ['authorization', 'Basic dTpw'],
      ],
    ],
    [
      'with a bare scheme',
      (token) => [
        ['x-auth-token', token],
        ['authorization', 'Bearer'],
      ],
    ],
    ['with a scheme', (token) => [['x-auth-token', `Bearer ${token}`]]],
  ])('is denied %s, also when both were verified lately', async (_name, headersOf) => {
    const service = await createService();
    const tokens = [await service.token(), await service.token({ sub: 'somebody-else' })] as const;
    for (const token of tokens) expect((await ask(service, { 'x-auth-token': token })).status).toBe(200);
    expect(await expectDenied(await ask(service, headersOf(...tokens)))).not.toContain('eyJ');
    expect(lastLine(service)).toMatchObject({ subject: undefined, access: 'refused' });
  });

  it('says what contradicts it', async () => {
    const service = await createService();
    const token = await service.token();
    const other = await service.token({ sub: 'somebody-else' });
    const differ = 'Authentication required: the tokens that were sent differ: send one';
    const contradict =
      'Authentication required: X-Auth-Token and another Authorization than Bearer contradict each other: send one of the two';
    for (const [authorization, message] of [
      [`Bearer ${other}`, differ],
      ['Basic dTpw', contradict],
      ['SDK-HMAC-SHA256 Access=a, SignedHeaders=x-sdk-date, Signature=0', contradict],
    ] as const)
      expect(await expectDenied(await ask(service, { 'x-auth-token': token, authorization }))).toBe(message);
  });

  it.each([LISTS, PROJECTS])('is denied with a signature, which alone is good: %s', async (url) => {
    const service = await createService();
    const signed = await signedHeaders(service, url);
    expect((await ask(service, signed, url)).status).toBe(200);
    await expectDenied(await ask(service, { ...signed, 'x-auth-token': await service.token() }, url));
    // Where the client has signed the token with the rest, too.
    const token = await service.token();
    const nowMs = service.clock.now();
    const request = { method: 'GET', url: new URL(url), headers: { 'x-auth-token': token } };
    const { headers } = await signRequest(request, KEY, { nowMs });
    expect(headers.authorization).toContain('x-auth-token');
    await expectDenied(await ask(service, { host: HOST, 'x-auth-token': token, ...headers }, url));
  });

  it('counts as a failed attempt of its address when it does not hold', async () => {
    const service = await createTestService(
      { TRUSTED_PROXIES: 'none', AUTH_FAILURES_PER_MINUTE: '2' },
      { clientAddress: () => '192.0.2.1' },
    );
    for (const status of [401, 401, 429])
      expect((await ask(service, { 'x-auth-token': 'a.b.c' })).status).toBe(status);
  });

  it('means nothing at /imagecaches: alone it is no token, and beside one it changes nothing', async () => {
    const service = await createService();
    const url = `https://${HOST}/imagecaches`;
    const alone = await ask(service, { 'x-auth-token': await service.token() }, url);
    expect(alone.status).toBe(401);
    expect(alone.headers.get('www-authenticate')).toBe('Bearer realm="imagecaches"');
    expect(alone.headers.get('vary')).toBeNull();
    const other = await service.token({ sub: 'somebody-else' });
    const beside = await service.get(url, { headers: { 'x-auth-token': other } });
    expect(beside.status).toBe(200);
    expect(beside.headers.get('vary')).toBe('Authorization');
    expect(lastLine(service)).toMatchObject({ subject: 'service-a' });
  });

  it('is named by Vary in each answer below /v5 and /v3', async () => {
    const service = await createService();
    const headers = { 'x-auth-token': await service.token() };
    for (const [url, more, status] of [
      [LISTS, {}, 200],
      [LISTS, { 'if-none-match': '*' }, 304],
      [`${LISTS}?name=`, {}, 400],
      [LISTS, { 'x-auth-token': 'x' }, 401],
      [PROJECTS, {}, 200],
      [PROJECTS, { 'x-auth-token': 'x' }, 401],
    ] as const) {
      const response = await ask(service, { ...headers, ...more }, url);
      expect([response.status, response.headers.get('vary')]).toEqual([
        status,
        'Authorization, X-Auth-Token',
      ]);
    }
  });
});

describe("a token of the cloud's IAM that is sent by mistake", () => {
  it.each<[string, string, (token: string) => Record<string, string>]>([
    ['in X-Auth-Token', LISTS, (token) => ({ 'x-auth-token': token })],
    ['in X-Auth-Token twice', LISTS, (token) => ({ 'x-auth-token': `${token}, ${token}` })],
    ['in X-Auth-Token for a project', PROJECTS, (token) => ({ 'x-auth-token': token })],
    ['in Authorization', LISTS, (token) => ({ authorization: `Bearer ${token}` })],
    ['in both', LISTS, (token) => ({ 'x-auth-token': token, authorization: `Bearer ${token}` })],
    [
      'in X-Auth-Token with a password',
      LISTS,
      (token) => ({ 'x-auth-token': token, authorization: 'Basic x' }),
    ],
  ])('is denied with words that say so: %s', async (_name, url, headersOf) => {
    const service = await createService();
    for (const token of [CLOUD_TOKEN, `gAAAAA${'Planted_'.repeat(40)}`, CLOUD_TOKEN.padEnd(20_000, 'x')]) {
      const message = await expectDenied(await ask(service, headersOf(token), url));
      expect(message).toContain("a token of the cloud's IAM does not hold here");
      expect(message).not.toContain(token.slice(0, 20));
      expect(lastLine(service)).toMatchObject({ access: 'refused', reason: 'opaque_token' });
    }
    expect(JSON.stringify(service.logger.lines)).not.toContain('Planted');
    expect([service.calls.length, service.keyCalls.length]).toEqual([0, 0]);
  });

  it('is named beside a token that holds, which does not let it in', async () => {
    const service = await createService();
    const good = await service.token();
    for (const headers of [
      { 'x-auth-token': CLOUD_TOKEN, authorization: `Bearer ${good}` },
      { 'x-auth-token': good, authorization: `Bearer ${CLOUD_TOKEN}` },
      { 'x-auth-token': `${good}, ${CLOUD_TOKEN}` },
    ])
      expect(await expectDenied(await ask(service, headers))).toContain("the cloud's IAM");
  });

  it('is kept nowhere: nothing of it is looked up or checked', async () => {
    const flights: string[] = [];
    const service = await createTestService(
      {},
      {
        createSingleFlight: () => ({
          run: (key) => {
            flights.push(key);
            throw new Error('not expected');
          },
        }),
      },
    );
    await expectDenied(await ask(service, { 'x-auth-token': CLOUD_TOKEN }));
    await expectDenied(await ask(service, { authorization: `Bearer ${CLOUD_TOKEN}` }));
    expect(flights).toEqual([]);
  });
});
