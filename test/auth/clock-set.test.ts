import { describe, expect, it } from 'vitest';
import { signRequest } from '../../src/signing/sign-request.ts';
import { createTestKey, signTestToken } from '../support/test-keys.ts';
import { createTestService, type TestService } from '../support/test-service.ts';

const HOUR_MS = 3_600_000;
/** For an unknown key keys are loaded at most once in 30 seconds (docs/callers.md). */
const KEYS_COOLDOWN_MS = 30_000;
const KEYS_RENEWAL_AGE_MS = 480_000;
const KEYS_MAX_AGE_MS = 600_000;
const KEYS_LAST_GOOD_MS = 24 * HOUR_MS;

const URL_V5 = 'https://bff.example.test/v5/imagecaches';
const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };

const ask = async (service: TestService, token: string | Promise<string>) =>
  (await service.get('/imagecaches', { headers: { authorization: `Bearer ${await token}` } })).status;

describe.each([
  ['back by 8 hours', -8 * HOUR_MS],
  ['back by 10 minutes', -600_000],
  ['forward by 10 minutes', 600_000],
  ['forward by 8 hours', 8 * HOUR_MS],
])('after the clock was set %s', (_what, byMs) => {
  it('an unknown key id loads the keys after the same cooldown', async () => {
    const service = await createTestService();
    expect(await ask(service, service.token())).toBe(200);
    const next = await createTestKey('RS256', 'next');
    service.issuer = () => Response.json({ keys: [next.publicJwk] });
    service.clock.set(byMs);
    await service.clock.advance(KEYS_COOLDOWN_MS - 1);
    expect(await ask(service, signTestToken(next, service.clock.now()))).toBe(401);
    expect(service.keyCalls).toHaveLength(1);
    await service.clock.advance(1);
    expect(await ask(service, signTestToken(next, service.clock.now()))).toBe(200);
    expect(service.keyCalls).toHaveLength(2);
  });

  it('keys are renewed at the same age, and one that was taken back stops as soon', async () => {
    const service = await createTestService();
    expect(await ask(service, service.token())).toBe(200);
    const next = await createTestKey('RS256', 'next');
    service.issuer = () => Response.json({ keys: [next.publicJwk] });
    service.clock.set(byMs);
    await service.clock.advance(KEYS_RENEWAL_AGE_MS - 1);
    expect(await ask(service, service.token({ jti: 'a' }))).toBe(200);
    expect(service.keyCalls).toHaveLength(1);
    await service.clock.advance(1);
    await ask(service, service.token({ jti: 'b' }));
    await Promise.all(service.background);
    expect(service.keyCalls).toHaveLength(2);
    expect(await ask(service, service.token({ jti: 'c' }))).toBe(401);
    expect(await ask(service, signTestToken(next, service.clock.now()))).toBe(200);
  });

  it('keys that nobody asked for meanwhile are loaded before they are used', async () => {
    const service = await createTestService();
    expect(await ask(service, service.token())).toBe(200);
    const next = await createTestKey('RS256', 'next');
    service.issuer = () => Response.json({ keys: [next.publicJwk] });
    service.clock.set(byMs);
    await service.clock.advance(KEYS_MAX_AGE_MS);
    expect(await ask(service, service.token({ jti: 'a' }))).toBe(401);
  });

  it('keys that failed once are asked for after the same pause', async () => {
    const service = await createTestService();
    const { issuer } = service;
    service.issuer = () => new Response(null, { status: 500 });
    expect(await ask(service, service.token())).toBe(503);
    service.issuer = issuer;
    service.clock.set(byMs);
    const early = await service.get('/imagecaches');
    expect([early.status, early.headers.get('retry-after')]).toEqual([503, '1']);
    await service.clock.advance(1000);
    expect(await ask(service, service.token())).toBe(200);
    expect(service.keyCalls).toHaveLength(2);
  });

  it('the last good keys serve for the same 24 hours of an outage', async () => {
    const service = await createTestService();
    expect(await ask(service, service.token())).toBe(200);
    service.issuer = () => new Response(null, { status: 500 });
    service.clock.set(byMs);
    await service.clock.advance(KEYS_LAST_GOOD_MS - 1);
    expect(await ask(service, service.token())).toBe(200);
    await service.clock.advance(1);
    expect(await ask(service, service.token({ jti: 'a' }))).toBe(503);
  });

  it('a file of keys is followed within the same time: added, taken out', async () => {
    const document = (...keys: (typeof KEY)[]) =>
      JSON.stringify({ keys: keys.map((key) => ({ ...key, subject: 'billing' })) });
    let text = document(KEY);
    const service = await createTestService(
      { SDK_KEYS: text, SDK_KEYS_FILE: '/keys.json' },
      { readTextFile: async () => text },
    );
    const send = async (key = KEY) => {
      const nowMs = service.clock.now();
      const { headers } = await signRequest({ method: 'GET', url: new URL(URL_V5), headers: {} }, key, {
        nowMs,
      });
      return (await service.app.request(URL_V5, { headers: { ...headers, host: 'bff.example.test' } }))
        .status;
    };
    expect(await send()).toBe(200);
    const added = { accessKeyId: 'LKADDED000001', secretAccessKey: 'secret-of-the-new-one-0123456789abcdef' };
    text = document(added);
    service.clock.set(byMs);
    await service.clock.advance(999);
    expect([await send(), await send(added)]).toEqual([200, 401]);
    await service.clock.advance(1);
    expect([await send(), await send(added)]).toEqual([401, 200]);
  });

  it('a token is good for as long as the clock says, not longer than it is remembered', async () => {
    const service = await createTestService();
    const startMs = service.clock.now();
    const token = await signTestToken(service.key, startMs, { exp: startMs / 1000 + 300 });
    expect(await ask(service, token)).toBe(200);
    service.clock.set(byMs);
    expect(await ask(service, token)).toBe(byMs > 0 ? 401 : 200);
  });
});
