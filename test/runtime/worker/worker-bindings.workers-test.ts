import { env } from 'cloudflare:workers';
import { afterEach, expect, it, vi } from 'vitest';
import type { KvNamespace } from '../../../src/runtime/worker/edge-entries.ts';
import worker from '../../../src/runtime/worker.ts';
import { createTestKey, signTestToken, TEST_ISSUER } from '../../support/test-keys.ts';
import { TEST_ENVIRONMENT, vendorEntry, vendorList } from '../../support/test-service.ts';

const KV = env.IMAGECACHES_KV as KvNamespace & {
  list(): Promise<{ readonly keys: readonly { readonly name: string }[] }>;
};

afterEach(() => vi.restoreAllMocks());

it('the Worker shares its lists in the KV namespace that is bound, and in a cache under its own host', async () => {
  const key = await createTestKey('ES256');
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input) =>
    String(input).startsWith(TEST_ISSUER)
      ? Response.json({ keys: [key.publicJwk] })
      : vendorList(vendorEntry('bound')),
  );
  const bindings = { ...TEST_ENVIRONMENT, IMAGECACHES_KV: KV };
  const authorization = `Bearer ${await signTestToken(key, Date.now())}`;
  const request = new Request('https://worker.example.test/imagecaches', { headers: { authorization } });
  const response = await worker.fetch(request, bindings, {});
  expect(response.status).toBe(200);
  const body = await response.text();
  let start = '';
  await vi.waitFor(
    async () => {
      const { keys } = await KV.list();
      const found = keys.flatMap(
        ({ name }) => /^(imagecaches-bff:(?!1:test).*):entry:imagecaches\/\*$/.exec(name)?.[1] ?? [],
      );
      expect(found).toHaveLength(1);
      [start = ''] = found;
    },
    { timeout: 50_000 },
  );
  const cache = await caches.open('imagecaches-bff');
  const cached = await cache.match(`https://worker.example.test/${start}/imagecaches/*`);
  expect(await cached?.text()).toBe(body);
});
