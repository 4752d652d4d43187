import { afterEach, expect, it, vi } from 'vitest';
import worker from '../../../src/runtime/worker.ts';
import { createTestKey, signTestToken, TEST_ISSUER } from '../../support/test-keys.ts';
import { TEST_ENVIRONMENT, vendorEntry, vendorList } from '../../support/test-service.ts';

afterEach(() => vi.restoreAllMocks());

it('the Worker gets credentials from STS for a token in its bindings, once for an isolate', async () => {
  const key = await createTestKey('ES256');
  const calls: { readonly url: string; readonly init: RequestInit }[] = [];
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const url = String(input);
    if (url.startsWith(TEST_ISSUER)) return Response.json({ keys: [key.publicJwk] });
    calls.push({ url, init: init as RequestInit });
    if (!url.startsWith('https://sts.')) return vendorList(vendorEntry('keyless'));
    const expiration = new Date(Date.now() + 3_600_000).toISOString();
    return Response.json({
      credentials: { access_key_id: 'AK', secret_access_key: 'SK', security_token: 'ST', expiration },
    });
  });
  const { HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK, ...rest } = TEST_ENVIRONMENT;
  const bindings = {
    ...rest,
    HUAWEICLOUD_OIDC_PROVIDER_URN: 'iam::d1:oidcProvider:cluster',
    HUAWEICLOUD_OIDC_AGENCY_URN: 'iam::d1:agency:imagecaches',
    HUAWEICLOUD_OIDC_ID_TOKEN: 'a.b.c',
    CCE_REGION: 'cn-north-4',
  };
  const authorization = `Bearer ${await signTestToken(key, Date.now())}`;
  for (const query of ['', '?name=another']) {
    const url = `https://worker.example.test/imagecaches${query}`;
    const response = await worker.fetch(new Request(url, { headers: { authorization } }), bindings, {});
    expect(response.status).toBe(200);
    await response.text();
  }
  const [sts, list, ...others] = calls;
  expect(sts?.url).toBe('https://sts.cn-north-4.myhuaweicloud.com/v5/agencies/assume-with-oidc');
  expect(JSON.parse(String(sts?.init.body))).toMatchObject({ id_token: 'a.b.c', duration_seconds: 3600 });
  const headers = new Headers(list?.init.headers);
  expect(headers.get('x-security-token')).toBe('ST');
  expect(headers.get('authorization')).toMatch(/^SDK-HMAC-SHA256 Access=AK, /);
  expect(others.filter(({ url }) => url.startsWith('https://sts.'))).toEqual([]);
});
