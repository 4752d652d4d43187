import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createIsolate } from '../../../src/runtime/worker/isolate.ts';
import { createTestKey, signTestToken, TEST_ISSUER, type TestKey } from '../../support/test-keys.ts';
import {
  TEST_ACCESS_KEY_ID,
  TEST_ENVIRONMENT,
  TEST_SECRET_ACCESS_KEY,
  vendorEntry,
  vendorList,
} from '../../support/test-service.ts';

/** Secrets are asked for again after 5 minutes, and after 5 seconds where they could not be read (docs/workers.md). */
const CHECK_INTERVAL_MS = 300_000;
const RETRY_AFTER_MS = 5000;

let key: TestKey;
let nowMs: number;
/** The access keys of the calls to the vendor. */
let signedBy: (string | undefined)[];
let lines: Record<string, unknown>[];
let answer: (accessKeyId: string | undefined) => Response;

beforeEach(async () => {
  key = await createTestKey('ES256');
  nowMs = Date.now();
  signedBy = [];
  lines = [];
  answer = () => vendorList(vendorEntry('web'));
  vi.spyOn(Date, 'now').mockImplementation(() => nowMs);
  for (const method of ['debug', 'info', 'log', 'warn', 'error'] as const)
    vi.spyOn(console, method).mockImplementation((line: string) => void lines.push(JSON.parse(line)));
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    if (String(input).startsWith(TEST_ISSUER)) return Response.json({ keys: [key.publicJwk] });
    const [, accessKeyId] =
      /Access=([^,]+)/.exec(new Headers(init?.headers).get('authorization') ?? '') ?? [];
    signedBy.push(accessKeyId);
    return answer(accessKeyId);
  });
});
afterEach(() => vi.restoreAllMocks());

/** A secret of Secrets Store that counts how often it is asked for. */
function secret(text: string) {
  const bound = {
    text,
    asked: 0,
    fails: false,
    before: async () => {},
    async get() {
      bound.asked += 1;
      await bound.before();
      if (bound.fails) throw new Error(`PLANTED ${bound.text}`);
      return bound.text;
    },
  };
  return bound;
}

function setUp(more: Record<string, unknown> = {}) {
  const [ak, sk] = [secret(TEST_ACCESS_KEY_ID), secret(TEST_SECRET_ACCESS_KEY)];
  const bindings = {
    ...TEST_ENVIRONMENT,
    HUAWEICLOUD_SDK_AK: ak,
    HUAWEICLOUD_SDK_SK: sk,
    // No call outlives its request, and its test.
    CACHE_STALE_WHILE_REVALIDATE_SECONDS: 0,
    ...more,
  };
  const isolate = createIsolate();
  const get = async (path = '/imagecaches', headers: Record<string, string> = {}) => {
    const authorization = `Bearer ${await signTestToken(key, nowMs)}`;
    const request = new Request(`https://worker.example.test${path}`, {
      headers: { authorization, ...headers },
    });
    const response = await isolate.fetch(request, bindings, {});
    return { status: response.status, headers: response.headers, body: (await response.json()) as object };
  };
  return { ak, sk, get };
}
const messages = (level: string) => lines.filter((line) => line.level === level).map(({ msg }) => msg);

describe('secrets of Secrets Store', () => {
  it('are asked for once by an isolate, however many requests come at first', async () => {
    const { ak, sk, get } = setUp();
    const answers = await Promise.all(Array.from({ length: 20 }, () => get()));
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200));
    for (let count = 0; count < 5; count += 1) {
      nowMs += 30_000;
      expect((await get()).status).toBe(200);
    }
    expect([ak.asked, sk.asked]).toEqual([1, 1]);
    expect(new Set(signedBy)).toEqual(new Set([TEST_ACCESS_KEY_ID]));
    expect(messages('warn')).toEqual([]);
  });

  it('are asked for again after 5 minutes, and a new pair is signed with', async () => {
    const { ak, sk, get } = setUp();
    await get();
    nowMs += CHECK_INTERVAL_MS - 1;
    await get('/imagecaches?name=a');
    expect([ak.asked, sk.asked]).toEqual([1, 1]);
    [ak.text, sk.text] = ['AKNEW00000000000002', 'SKnew-0000000000000002'];
    nowMs += CHECK_INTERVAL_MS;
    await get('/imagecaches?name=b');
    expect([signedBy.at(0), signedBy.at(-1)]).toEqual([TEST_ACCESS_KEY_ID, 'AKNEW00000000000002']);
    // A change counts when the next reading agrees.
    expect([ak.asked, sk.asked]).toEqual([3, 3]);
    nowMs += CHECK_INTERVAL_MS;
    await get('/imagecaches?name=c');
    expect([ak.asked, sk.asked]).toEqual([4, 4]);
  });

  it('are asked for again at once when the vendor has rejected the pair', async () => {
    const { ak, sk, get } = setUp();
    answer = (accessKeyId) =>
      accessKeyId === 'AKNEW00000000000002'
        ? vendorList(vendorEntry('web'))
        : Response.json({ error_code: 'APIGW.0301', error_msg: 'PLANTED' }, { status: 401 });
    ak.before = async () => {
      // Replaced after the isolate has read it.
      if (ak.asked === 2) [ak.text, sk.text] = ['AKNEW00000000000002', 'SKnew-0000000000000002'];
    };
    expect((await get()).status).toBe(200);
    expect(signedBy).toEqual([TEST_ACCESS_KEY_ID, 'AKNEW00000000000002']);
  });

  it('that cannot be read are a 503 and one line of the log, and are tried again after 5 seconds', async () => {
    const { ak, sk, get } = setUp();
    sk.fails = true;
    const refused = await Promise.all([
      get(),
      get('/readyz'),
      get('/v5/imagecaches', { 'x-request-id': 'mine' }),
    ]);
    for (const { status, headers, body } of refused) {
      expect([status, headers.get('retry-after')]).toEqual([503, '5']);
      expect(body).toMatchObject({ code: 'internal', status: 503, detail: 'the service is not configured' });
    }
    expect(refused[2]?.body).toMatchObject({ instance: 'mine' });
    expect([ak.asked, sk.asked]).toEqual([1, 1]);
    nowMs += RETRY_AFTER_MS - 1;
    expect((await get()).status).toBe(503);
    expect(sk.asked).toBe(1);
    nowMs += 1;
    expect((await get()).status).toBe(503);
    expect(sk.asked).toBe(2);
    expect(lines).toEqual([
      {
        level: 'error',
        time: expect.any(String),
        msg: 'the configuration has faults',
        faults: [{ setting: 'HUAWEICLOUD_SDK_SK', fault: 'could not be read from Secrets Store' }],
        unused: [],
      },
    ]);
    expect(JSON.stringify([lines, refused])).not.toMatch(/PLANTED|SKtest/);
    sk.fails = false;
    nowMs += RETRY_AFTER_MS;
    expect((await get()).status).toBe(200);
  });

  it('that are wrong are a fault by name, and are right once they have been corrected', async () => {
    const { sk, get } = setUp();
    sk.text = 'PLANTED with space';
    expect((await get()).status).toBe(503);
    expect((await get()).status).toBe(503);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      faults: [{ setting: 'HUAWEICLOUD_SDK_SK', fault: expect.stringContaining('without white space') }],
    });
    expect(JSON.stringify(lines)).not.toContain('PLANTED');
    sk.text = TEST_SECRET_ACCESS_KEY;
    nowMs += RETRY_AFTER_MS;
    expect((await get()).status).toBe(200);
  });

  it('stay in use when they cannot be read later', async () => {
    const { ak, sk, get } = setUp();
    await get();
    [ak.fails, sk.fails] = [true, true];
    nowMs += CHECK_INTERVAL_MS;
    expect((await get('/imagecaches?name=a')).status).toBe(200);
    nowMs += CHECK_INTERVAL_MS;
    expect((await get('/imagecaches?name=b')).status).toBe(200);
    expect(messages('warn')).toHaveLength(1);
    expect(JSON.stringify(lines)).not.toMatch(/PLANTED|SKtest/);
  });

  it('are asked for by another request when the first one was cancelled', async () => {
    const { sk, get } = setUp();
    sk.before = () => (sk.asked === 1 ? new Promise<never>(() => undefined) : Promise.resolve());
    // Never answered within this test, as if its request had been cancelled.
    const lost = get();
    lost.catch(() => undefined);
    await vi.waitFor(() => expect(sk.asked).toBe(1));
    const other = get();
    nowMs += 2500;
    expect((await other).status).toBe(200);
    expect(sk.asked).toBe(2);
  });

  it('may be any setting', async () => {
    const level = secret('debug');
    const { get } = setUp({ LOG_LEVEL: level });
    await get();
    await get();
    expect(level.asked).toBe(1);
    expect((await get()).status).toBe(200);
  });
});
