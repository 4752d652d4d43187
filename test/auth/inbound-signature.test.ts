import { createHmac, hash } from 'node:crypto';
import { AKSKSigner } from '@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js';
import { describe, expect, it, vi } from 'vitest';
import { createClientAddress } from '../../src/runtime/node/platform/client-address.ts';
import { buildCanonicalRequest } from '../../src/signing/canonical-request.ts';
import type { Digests } from '../../src/signing/digests.ts';
import { hashSha256 } from '../../src/signing/sha256.ts';
import { buildStringToSign, formatSdkDate, sign, signRequest } from '../../src/signing/sign-request.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

/** A date may differ from the clock by 15 minutes, as at the vendor (docs/sdk-clients.md). */
const MAX_SKEW_MS = 900_000;
/** The last signatures that replay protection remembers (docs/sdk-clients.md). */
const MAX_REMEMBERED_SIGNATURES = 10_000;
/** The file of the keys is read once a second at most: a pair that is taken out stops within about a second. */
const KEYS_CHECK_INTERVAL_MS = 1000;
/** A reading that hangs is given up after 1 second. */
const KEYS_READ_TIMEOUT_MS = 1000;
/** SHA-256 of no bytes (NIST CAVP, SHA256ShortMsg, Len = 0). */
const EMPTY_PAYLOAD_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
const EXPIRING = { accessKeyId: 'LKEXPIRES0001', secretAccessKey: 'another-secret-0123456789abcdefghijklm' };
const READER = { accessKeyId: 'LKNOSCOPE0001', secretAccessKey: 'a-third-secret-0123456789abcdefghijklm' };
const DOCUMENT = {
  keys: [
    { ...KEY, subject: 'billing' },
    { ...EXPIRING, subject: 'audit', expiresAt: '2026-01-02T04:00:00Z' },
    { ...READER, subject: 'other', scopes: ['something:else'] },
  ],
};
const HOST = 'bff.example.test';
/** As WebCrypto's, and fast enough for thousands. */
const NODE_DIGESTS: Digests = {
  sha256: (data) => hash('sha256', data, 'hex'),
  hmacSha256: (text, { secretAccessKey }) => createHmac('sha256', secretAccessKey).update(text).digest('hex'),
};
const URL_V5 = `https://${HOST}/v5/imagecaches`;

const createService = (environment: Record<string, string> = {}, overrides = {}) =>
  createTestService({ SDK_KEYS: JSON.stringify(DOCUMENT), ...environment }, overrides);

interface SignedOptions {
  readonly url?: string;
  readonly key?: typeof KEY;
  readonly headers?: Record<string, string>;
  readonly nowMs: number;
}

async function signedHeaders({
  url = URL_V5,
  key = KEY,
  headers = {},
  nowMs,
}: SignedOptions): Promise<Record<string, string>> {
  const signed = await signRequest({ method: 'GET', url: new URL(url), headers }, key, { nowMs });
  return { host: new URL(url).host, ...signed.headers };
}

async function send(service: TestService, more: Omit<SignedOptions, 'nowMs'> & { atMs?: number } = {}) {
  const headers = await signedHeaders({ ...more, nowMs: more.atMs ?? service.clock.now() });
  return service.app.request(more.url ?? URL_V5, { headers });
}

describe('requests signed with a key pair of ours', () => {
  it('get the very list that a token gets, with one log line that says who', async () => {
    const service = await createService();
    const byToken = await service.get('/imagecaches');
    const bySignature = await send(service);
    expect(bySignature.status).toBe(200);
    expect(await bySignature.text()).toBe(await byToken.text());
    expect(service.calls).toHaveLength(1);
    const line = service.logger.lines.findLast(({ message }) => message === 'request')?.fields;
    expect(line).toMatchObject({ subject: 'billing', issuer: 'sdk-keys', access: 'granted', cache: 'hit' });
    for (const secret of [KEY.secretAccessKey, KEY.accessKeyId]) {
      expect(JSON.stringify(service.logger.lines)).not.toContain(secret);
    }
  });

  it('without scopes of their own may do what AUTH_SCOPE asks for, whatever it is called', async () => {
    const service = await createService({ AUTH_SCOPE: 'something:else' });
    expect((await send(service)).status).toBe(200);
    expect((await send(service, { key: READER })).status).toBe(200);
    const strict = await createService({ AUTH_SCOPE: 'a:third' });
    expect((await send(strict)).status).toBe(200);
    expect((await send(strict, { key: READER })).status).toBe(403);
  });

  it("hold as the vendor's own Node signer makes them, with content-type signed and a filter", async () => {
    const service = await createService();
    service.upstream = ({ url }) => vendorList(vendorEntry(url.searchParams.get('name') ?? 'none'));
    const request = {
      method: 'GET',
      endpoint: URL_V5,
      queryParams: { name: 'web-base' },
      headers: { 'content-type': 'application/json', 'x-project-id': 'abc' },
    };
    const credential = { getAk: () => KEY.accessKeyId, getSk: () => KEY.secretAccessKey };
    vi.useFakeTimers({ toFake: ['Date'], now: service.clock.now() });
    const headers: Record<string, string> = AKSKSigner.sign(request as never, credential as never);
    vi.useRealTimers();
    expect(headers.Authorization).toContain('content-type;host;x-project-id;x-sdk-date');
    const response = await service.app.request(`${URL_V5}?name=web-base`, {
      headers: { ...headers, host: HOST },
    });
    expect(await response.json()).toMatchObject({ image_caches: [{ name: 'web-base' }] });
  });

  it('are not taken at /imagecaches, nor at all where no key pairs are configured', async () => {
    const service = await createService();
    const url = `https://${HOST}/imagecaches`;
    expect((await send(service, { url })).status).toBe(401);
    expect((await send(await createTestService())).status).toBe(401);
  });

  it('are refused when the path, the query, a signed header, the date or the signature is another', async () => {
    const service = await createService();
    const headers = await signedHeaders({
      nowMs: service.clock.now(),
      headers: { 'x-project-id': 'abc' },
    });
    const good = headers.authorization as string;
    const changed: [string, Record<string, string>][] = [
      [`${URL_V5}?name=a`, headers],
      [`https://${HOST}/v3/projects?name=cn-north-4`, headers],
      [URL_V5, { ...headers, 'x-project-id': 'abd' }],
      [URL_V5, { ...headers, host: 'other.example.test' }],
      [URL_V5, { ...headers, 'x-sdk-date': '20260102T030406Z' }],
      [URL_V5, { ...headers, authorization: good.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')) }],
      [URL_V5, { ...headers, authorization: good.replace('host;', '') }],
      [URL_V5, { ...headers, authorization: good.replace(KEY.accessKeyId, READER.accessKeyId) }],
      [URL_V5, { ...headers, authorization: good.replace(KEY.accessKeyId, 'LKUNKNOWN0001') }],
      [URL_V5, { ...headers, authorization: good.replace('SignedHeaders=', 'SignedHeaders=host;') }],
      [URL_V5, { ...headers, authorization: good.replace('SignedHeaders=', 'SignedHeaders=x-absent;') }],
      [URL_V5, { ...headers, authorization: good.replace(/Signature=.*/, 'Signature=') }],
      [URL_V5, { ...headers, authorization: `${good}, Extra=1` }],
      [
        URL_V5,
        { ...headers, authorization: good.replace('SDK-HMAC-SHA256', 'SDK-HMAC-SHA256 SDK-HMAC-SHA256') },
      ],
    ];
    expect((await service.app.request(URL_V5, { headers })).status).toBe(200);
    const bodies = new Set<string>();
    for (const [url, sent] of changed) {
      const response = await service.app.request(url, { headers: sent });
      expect(response.status, JSON.stringify(sent)).toBe(401);
      expect(response.headers.get('www-authenticate')).toBe('SDK-HMAC-SHA256');
      const { request_id, ...body } = (await response.json()) as Record<string, string>;
      expect(request_id).toBe(response.headers.get('x-request-id'));
      bodies.add(JSON.stringify(body));
    }
    // Which of them it was is for the log.
    expect(bodies).toEqual(
      new Set([
        JSON.stringify({
          error_code: 'APIGW.0301',
          error_msg: 'Authentication required: the signature is not valid here',
        }),
      ]),
    );
  });

  it('need a signed date within 15 minutes of the clock', async () => {
    const service = await createService();
    const nowMs = service.clock.now();
    for (const offsetMs of [-MAX_SKEW_MS, MAX_SKEW_MS])
      expect((await send(service, { atMs: nowMs + offsetMs })).status).toBe(200);
    for (const offsetMs of [-MAX_SKEW_MS - 1000, MAX_SKEW_MS + 1000]) {
      const response = await send(service, { atMs: nowMs + offsetMs });
      expect(response.status).toBe(401);
      expect(await response.json()).toMatchObject({ error_msg: expect.stringContaining('15 minutes') });
    }

    // A good signature in all but this: without the date in it, it would be good for ever.
    const sdkDate = formatSdkDate(nowMs);
    const canonicalRequest = buildCanonicalRequest({
      method: 'GET',
      canonicalUri: '/v5/imagecaches/',
      canonicalQueryString: '',
      canonicalHeaders: `host:${HOST}\n`,
      signedHeaders: 'host',
      payloadHash: EMPTY_PAYLOAD_HASH,
    });
    const signature = await sign(buildStringToSign(sdkDate, await hashSha256(canonicalRequest)), KEY);
    const authorization = `SDK-HMAC-SHA256 Access=${KEY.accessKeyId}, SignedHeaders=host, Signature=${signature}`;
    const response = await service.app.request(URL_V5, {
      headers: { host: HOST, 'x-sdk-date': sdkDate, authorization },
    });
    expect(response.status).toBe(401);
    expect(service.logger.lines.at(-1)?.fields.reason).toBe('date_not_signed');
  });

  it('stop with their key, and are forbidden without its scope', async () => {
    const service = await createService();
    await service.clock.advance(Date.UTC(2026, 0, 2, 4) - service.clock.now() - 1000);
    expect((await send(service, { key: EXPIRING })).status).toBe(200);
    await service.clock.advance(1000);
    expect((await send(service, { key: EXPIRING })).status).toBe(401);
    const forbidden = await send(service, { key: READER });
    expect(forbidden.status).toBe(403);
    expect(await forbidden.json()).toMatchObject({ error_code: 'APIGW.0302' });
  });

  it('may name the public host that a proxy has replaced, and no third one', async () => {
    const service = await createService({ SDK_PUBLIC_HOST: 'api.example.com' });
    for (const [signedHost, status] of [
      ['api.example.com', 200],
      [HOST, 200],
      ['third.example.com', 401],
    ] as const) {
      const headers = await signedHeaders({
        url: `https://${signedHost}/v5/imagecaches`,
        nowMs: service.clock.now(),
      });
      const response = await service.app.request(URL_V5, { headers: { ...headers, host: HOST } });
      expect(response.status, signedHost).toBe(status);
    }
  });

  it('are good for the address that sent them first, where replay is refused', async () => {
    let address = '198.51.100.1';
    const service = await createService(
      { SDK_REPLAY_PROTECTION: 'on', TRUSTED_PROXIES: 'none' },
      { clientAddress: () => address },
    );
    const headers = await signedHeaders({ nowMs: service.clock.now() });
    const ask = async () => (await service.app.request(URL_V5, { headers })).status;
    expect([await ask(), await ask()]).toEqual([200, 200]);
    address = '198.51.100.2';
    expect(await ask()).toBe(401);
    expect((await send(service, { atMs: service.clock.now() + 1000 })).status).toBe(200);
  });

  it.each([
    ['x-forwarded-for', '203.0.113.9:1234', '::ffff:cb00:7109', '203.0.113.8:1234'],
    ['x-forwarded-for', '[2001:db8::1]:1234', '"[2001:DB8:0::1]"', '[2001:db8::2]:1234'],
    ['forwarded', 'for="[2001:db8::1]:1234"', 'for="[2001:db8:0::1]"', 'for="[2001:db8::2]:1234"'],
  ])('are good for one address behind a proxy that writes %s: %s', async (header, from, same, other) => {
    const service = await createService(
      { SDK_REPLAY_PROTECTION: 'on', TRUSTED_PROXIES: '10.0.0.0/8' },
      { clientAddress: createClientAddress(['10.0.0.0/8']) },
    );
    const headers = await signedHeaders({ nowMs: service.clock.now() });
    const env = { incoming: { socket: { remoteAddress: '10.0.0.1' } } };
    const ask = async (sender: string) =>
      (await service.app.request(URL_V5, { headers: { ...headers, [header]: sender } }, env)).status;
    expect([await ask(from), await ask(same), await ask(other)]).toEqual([200, 200, 401]);
  });

  it('are remembered against replay for as long as their date is good, up to 30 minutes', async () => {
    let address = '198.51.100.1';
    const service = await createService(
      { SDK_REPLAY_PROTECTION: 'on', TRUSTED_PROXIES: 'none' },
      { clientAddress: () => address },
    );
    await service.clock.advance(1000 - (service.clock.now() % 1000));
    const headers = await signedHeaders({ nowMs: service.clock.now() + MAX_SKEW_MS });
    expect((await service.app.request(URL_V5, { headers })).status).toBe(200);
    address = '198.51.100.2';
    await service.clock.advance(2 * MAX_SKEW_MS - 1);
    expect((await service.app.request(URL_V5, { headers })).status).toBe(401);
    expect(service.logger.lines.at(-1)?.fields.reason).toBe('replayed');
  });

  it('are remembered against replay, 10,000 of them: the one not seen for longest is forgotten', async () => {
    let address = '198.51.100.1';
    const service = await createService(
      { SDK_REPLAY_PROTECTION: 'on', TRUSTED_PROXIES: 'none', RATE_LIMIT_PER_MINUTE: '0' },
      { clientAddress: () => address, digests: NODE_DIGESTS },
    );
    const ask = async (number: number) => {
      const request = { method: 'GET', url: new URL(URL_V5), headers: { 'x-number': String(number) } };
      const signed = await signRequest(request, KEY, { nowMs: service.clock.now(), digests: NODE_DIGESTS });
      return (await service.app.request(URL_V5, { headers: { host: HOST, ...signed.headers } })).status;
    };
    for (let number = 1; number <= MAX_REMEMBERED_SIGNATURES; number += 1) await ask(number);
    address = '198.51.100.2';
    // The first is known still, and by that the second becomes the one not seen for longest.
    expect(await ask(1)).toBe(401);
    expect(await ask(0)).toBe(200);
    expect(await ask(3)).toBe(401);
    expect(await ask(2)).toBe(200);
  });

  it('ask for the file of the keys once a second at most, and wait a second for it', async () => {
    let reading: Promise<string> = Promise.resolve(JSON.stringify(DOCUMENT));
    let readings = 0;
    const service = await createService(
      { SDK_KEYS_FILE: '/keys.json' },
      {
        readTextFile: () => {
          readings += 1;
          return reading;
        },
      },
    );
    expect((await send(service)).status).toBe(200);
    await service.clock.advance(KEYS_CHECK_INTERVAL_MS - 1);
    expect((await send(service)).status).toBe(200);
    expect(readings).toBe(1);
    await service.clock.advance(1);
    // A mount that hangs: the keys that are held go on.
    reading = new Promise(() => undefined);
    let status: number | undefined;
    const sent = send(service).then((response) => {
      status = response.status;
    });
    await service.clock.scheduled(KEYS_READ_TIMEOUT_MS);
    await service.clock.advance(KEYS_READ_TIMEOUT_MS - 1);
    expect([readings, status]).toEqual([2, undefined]);
    await service.clock.advance(1);
    await sent;
    expect(status).toBe(200);
  });

  it('follow the file of the keys: added, taken out, broken', async () => {
    let text: string | Error = JSON.stringify(DOCUMENT);
    const service = await createService(
      { SDK_KEYS_FILE: '/keys.json' },
      {
        readTextFile: async () => {
          if (text instanceof Error) throw text;
          return text;
        },
      },
    );
    const added = { accessKeyId: 'LKADDED000001', secretAccessKey: 'secret-of-the-new-one-0123456789abcdef' };
    expect((await send(service)).status).toBe(200);
    text = JSON.stringify({ keys: [{ ...added, subject: 'new' }] });
    await service.clock.advance(1000);
    expect((await send(service, { key: added })).status).toBe(200);
    expect((await send(service)).status).toBe(401);
    for (const bad of ['{"keys":', new Error('planted-in-error')]) {
      text = bad;
      await service.clock.advance(1000);
      expect((await send(service, { key: added })).status).toBe(200);
      expect((await send(service)).status).toBe(401);
    }
    expect(JSON.stringify(service.logger.lines)).not.toContain('planted-in-error');
    expect(
      service.logger.lines.filter(({ level }) => level === 'warn').map(({ fields }) => fields.reason),
    ).toEqual(expect.arrayContaining(['not_a_key_document', 'unreadable']));
  });
});

describe('/v5/imagecaches', () => {
  it('takes a token too, and answers errors as the vendor does', async () => {
    const service = await createService();
    expect((await service.get('/v5/imagecaches')).status).toBe(200);
    const bad = await service.get('/v5/imagecaches?name=A');
    expect([bad.status, bad.headers.get('content-type')]).toEqual([400, 'application/json']);
    expect(await bad.json()).toEqual({
      error_code: 'IMAGECACHES.invalid_query',
      error_msg: expect.stringContaining("parameter 'name'"),
      request_id: bad.headers.get('x-request-id'),
    });
    expect((await service.app.request(URL_V5)).headers.get('www-authenticate')).toContain('Bearer');
    expect((await service.app.request(URL_V5, { method: 'POST' })).status).toBe(405);
  });
});

describe('/v3/projects', () => {
  const projects = (region: string) => `https://${HOST}/v3/projects?name=${region}`;

  it('gives one made-up project for each region, always the same, and without a call upstream', async () => {
    const service = await createService();
    const idOf = async (region: string) => {
      const body = (await (await send(service, { url: projects(region) })).json()) as {
        projects: { id: string; name: string }[];
      };
      expect(body.projects).toHaveLength(1);
      expect(body.projects[0]?.name).toBe(region);
      return body.projects[0]?.id;
    };
    const id = await idOf('cn-north-4');
    expect(id).toMatch(/^[0-9a-f]{32}$/);
    expect(await idOf('cn-north-4')).toBe(id);
    expect(await idOf('ap-southeast-1')).not.toBe(id);
    expect(service.calls).toHaveLength(0);
  });

  it('is for callers with a key or a token only, and for regions only', async () => {
    const service = await createService();
    expect((await service.app.request(projects('cn-north-4'))).status).toBe(401);
    expect((await service.get('/v3/projects?name=cn-north-4')).status).toBe(200);
    for (const query of ['', '?name=', '?name=A', '?name=cn-north-4&name=cn-north-4', '?id=cn-north-4'])
      expect((await send(service, { url: `https://${HOST}/v3/projects${query}` })).status, query).toBe(400);
  });
});
