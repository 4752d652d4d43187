import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createIsolate } from '../../../src/runtime/worker/isolate.ts';
import { findUnusedBindings } from '../../../src/runtime/worker/parse-bindings.ts';
import { createTestKey, signTestToken, TEST_ISSUER, type TestKey } from '../../support/test-keys.ts';
import { TEST_ENVIRONMENT, vendorEntry, vendorList } from '../../support/test-service.ts';

let key: TestKey;
beforeEach(async () => {
  key = await createTestKey('ES256');
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) =>
    String(input).startsWith(TEST_ISSUER)
      ? Response.json({ keys: [key.publicJwk] })
      : vendorList(vendorEntry('web')),
  );
});
afterEach(() => vi.restoreAllMocks());

/** Answers of one isolate with this rate limiter bound, by the subject that asks. */
function setUp(limiter: unknown, perMinute: number) {
  const isolate = createIsolate();
  const bindings = {
    ...TEST_ENVIRONMENT,
    RATE_LIMIT_PER_MINUTE: perMinute,
    IMAGECACHES_RATE_LIMITER: limiter,
  };
  return async (subject: string) => {
    const authorization = `Bearer ${await signTestToken(key, Date.now(), { sub: subject })}`;
    const request = new Request('https://worker.example.test/imagecaches', { headers: { authorization } });
    const response = await isolate.fetch(request, bindings, {});
    return { status: response.status, headers: response.headers, body: (await response.json()) as object };
  };
}

it('the rate limiter of the platform counts principals, in place of the own one', async () => {
  const keys: string[] = [];
  const limiter = {
    limit: async ({ key: counted }: { key: string }) => {
      keys.push(counted);
      return { success: keys.filter((other) => other === counted).length <= 2 };
    },
  };
  const get = setUp(limiter, 1);
  expect([(await get('a')).status, (await get('a')).status]).toEqual([200, 200]);
  const denied = await get('a');
  expect(denied.status).toBe(429);
  expect(denied.headers.get('retry-after')).toBe('10');
  expect(denied.headers.has('ratelimit')).toBe(false);
  expect(denied.body).toMatchObject({
    code: 'rate_limited',
    detail: 'more requests than this place takes of one caller',
  });
  expect((await get('b')).status).toBe(200);
  expect(new Set(keys).size).toBe(2);
  expect(keys).toHaveLength(4);
});

it.each([
  ['fails', { limit: () => Promise.reject(new Error('down')) }],
  ['does not answer', { limit: () => new Promise<never>(() => undefined) }],
  ['is none', 'PLANTED'],
  ['is not bound', undefined],
])('the own one counts where that of the platform %s', async (_what, limiter) => {
  const get = setUp(limiter, 2);
  const answers = [await get('a'), await get('a'), await get('a')];
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429]);
  expect(answers[2]?.headers.get('ratelimit-policy')).toBe('"principal";q=2;w=60');
});

it('what is no rate limiter is named', () => {
  const unused = (bound: unknown) =>
    findUnusedBindings({ ...TEST_ENVIRONMENT, IMAGECACHES_RATE_LIMITER: bound });
  expect(unused('text')).toEqual([
    { setting: 'IMAGECACHES_RATE_LIMITER', reason: 'it must be bound to a rate limiter' },
  ]);
  expect(unused({ limit: async () => ({ success: true }) })).toEqual([]);
});
