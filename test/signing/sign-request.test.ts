import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { KeyPair } from '../../src/signing/credential.ts';
import { hashSha256 } from '../../src/signing/sha256.ts';
import {
  formatSdkDate,
  type RequestToSign,
  type SignedRequest,
  sign,
  signRequest,
} from '../../src/signing/sign-request.ts';

/** SHA-256 of no bytes (NIST CAVP, SHA256ShortMsg, Len = 0). */
const EMPTY_PAYLOAD_HASH = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

const SEED = 20_260_102;
const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const URL_OF_LIST = new URL('https://cce.cn-north-4.myhuaweicloud.com/v5/imagecaches');
const SECRET = 'PLANTEDsecretAccessKey0000000000000000001';
const TOKEN = 'PLANTEDsecurityToken00000000000000000001';

function newCredential(more: Partial<KeyPair> = {}): KeyPair {
  return Object.freeze({ accessKeyId: 'AKEXAMPLE', secretAccessKey: SECRET, ...more });
}

function signWith(
  more: Partial<RequestToSign>,
  credential: KeyPair = newCredential(),
  nowMs = NOW_MS,
): Promise<SignedRequest> {
  return signRequest({ method: 'GET', url: URL_OF_LIST, ...more }, credential, { nowMs });
}

describe('formatSdkDate', () => {
  it.each([
    [0, '19700101T000000Z'],
    [999, '19700101T000000Z'],
    [999.999, '19700101T000000Z'],
    [1000, '19700101T000001Z'],
    [-1, '19691231T235959Z'],
    [-0.5, '19691231T235959Z'],
    [Date.UTC(2026, 0, 2, 3, 4, 5, 500), '20260102T030405Z'],
    [Date.UTC(2024, 1, 29, 23, 59, 59, 999), '20240229T235959Z'],
    [Date.UTC(2025, 11, 31, 23, 59, 59, 999), '20251231T235959Z'],
    [Date.UTC(2026, 0, 1), '20260101T000000Z'],
    [Date.parse('0000-01-01T00:00:00Z'), '00000101T000000Z'],
    [Date.parse('9999-12-31T23:59:59.999Z'), '99991231T235959Z'],
    [Date.parse('9999-12-31T23:59:59.999Z') + 0.5, '99991231T235959Z'],
  ])('writes %d as %s', (nowMs, sdkDate) => {
    expect(formatSdkDate(nowMs)).toBe(sdkDate);
  });

  it.each([
    Date.parse('0000-01-01T00:00:00Z') - 1,
    Date.parse('0000-01-01T00:00:00Z') - 0.5,
    Date.parse('9999-12-31T23:59:59.999Z') + 1,
    Number.MAX_VALUE,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
  ])('refuses %d', (nowMs) => {
    expect(() => formatSdkDate(nowMs)).toThrow(RangeError);
  });

  it('is the first 19 characters of ISO 8601 without its marks', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0000-01-01'), max: new Date(253_402_300_799_999), noInvalidDate: true }),
        (date) => {
          expect(formatSdkDate(date.getTime())).toBe(
            `${date.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`,
          );
        },
      ),
      { seed: SEED },
    );
  });
});

describe('the headers to send', () => {
  it('are the signed ones without host, and authorization', async () => {
    const { headers, signature, signedHeaders } = await signWith(
      { headers: { 'X-Project-Id': ' 0123 ' } },
      newCredential({ securityToken: TOKEN }),
    );
    expect(signedHeaders).toBe('host;x-project-id;x-sdk-date;x-security-token');
    expect(headers).toEqual({
      'x-project-id': '0123',
      'x-sdk-date': '20260102T030405Z',
      'x-security-token': TOKEN,
      authorization: `SDK-HMAC-SHA256 Access=AKEXAMPLE, SignedHeaders=${signedHeaders}, Signature=${signature}`,
    });
    expect(signature).toMatch(/^[0-9a-f]{64}$/);
    expect([...new Headers(headers).keys()]).toHaveLength(4);
  });

  it('hold a header of any name', async () => {
    const given: Record<string, string> = JSON.parse('{"__proto__":"a","constructor":"b"}');
    const { headers, signedHeaders } = await signWith({ headers: given });
    expect(signedHeaders).toBe('__proto__;constructor;host;x-sdk-date');
    expect(Object.entries(headers).slice(0, 2)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ]);
  });
});

describe('what is signed', () => {
  it.each([
    ['https://a.test/', 'a.test'],
    ['https://a.test:443/', 'a.test'],
    ['https://a.test:80/', 'a.test:80'],
    ['http://a.test:80/', 'a.test'],
    ['http://user:pass@A.TEST:8080/', 'a.test:8080'],
    ['http://[::1]:8080/', '[::1]:8080'],
  ])('of %s, the host %s', async (url, host) => {
    expect((await signWith({ url: new URL(url) })).canonicalRequest).toContain(`\nhost:${host}\n`);
  });

  it('of a URL, the path and query as it sends them', async () => {
    const url = new URL('https://a.test/x/../é %3A?b=1+2&a=%2b&b=&c#fragment');
    const { canonicalRequest } = await signWith({ url });
    expect(canonicalRequest.split('\n').slice(0, 3)).toEqual([
      'GET',
      '/%C3%A9%20%3A/',
      'a=%2B&b=&b=1%202&c=',
    ]);
  });

  it('of parts, a query or none', async () => {
    const parts = { host: 'a.test', path: '/' };
    expect((await signWith({ url: parts })).canonicalRequest).toBe(
      (await signWith({ url: { ...parts, query: [] } })).canonicalRequest,
    );
    const { canonicalRequest } = await signWith({ url: { ...parts, query: [['a', 'b']] } });
    expect(canonicalRequest).toContain('GET\n/\na=b\nhost:a.test\n');
  });

  it.each(['host', 'Host', 'HOST'])('the header %s in place of that of the URL', async (name) => {
    const { headers, canonicalRequest } = await signWith({ headers: { [name]: 'b.test' } });
    expect(canonicalRequest).toContain('\nhost:b.test\n');
    expect(canonicalRequest).not.toContain('cce.');
    expect(Object.keys(headers)).toEqual(['x-sdk-date', 'authorization']);
  });

  it.each(['x-sdk-date', 'X-Sdk-Date'])('the header %s in place of the clock', async (name) => {
    const signed = await signWith({ headers: { [name]: '20060102T150405Z' } });
    expect(signed.headers['x-sdk-date']).toBe('20060102T150405Z');
    expect(signed).toEqual(await signWith({}, newCredential(), Date.UTC(2006, 0, 2, 15, 4, 5)));
  });

  it('the body, as text or as bytes', async () => {
    const asText = await signWith({ method: 'POST', body: '{"a":"镜"}' });
    expect(asText.canonicalRequest.endsWith(`\n${await hashSha256('{"a":"镜"}')}`)).toBe(true);
    expect(await signWith({ method: 'POST', body: new TextEncoder().encode('{"a":"镜"}') })).toEqual(asText);
    expect((await signWith({ body: '' })).canonicalRequest.endsWith(`\n${EMPTY_PAYLOAD_HASH}`)).toBe(true);
  });

  it('x-sdk-content-sha256 in place of the body', async () => {
    const headers = { 'x-sdk-content-sha256': 'UNSIGNED-PAYLOAD' };
    const one = await signWith({ headers, body: 'a' });
    expect(one.canonicalRequest.endsWith('\nUNSIGNED-PAYLOAD')).toBe(true);
    expect(one.headers['x-sdk-content-sha256']).toBe('UNSIGNED-PAYLOAD');
    expect(one).toEqual(await signWith({ headers, body: 'b' }));
  });
});

describe('what is refused', () => {
  it.each<[string, Partial<RequestToSign>, string]>([
    ['authorization of the caller', { headers: { Authorization: 'PLANTED' } }, 'authorization is for'],
    ['a token of the caller', { headers: { 'X-Security-Token': 'PLANTED' } }, 'x-security-token comes from'],
    ['a date of another form', { headers: { 'X-Sdk-Date': '2026-01-02T03:04:05Z' } }, 'x-sdk-date must'],
    ['a date of two lines', { headers: { 'X-Sdk-Date': '20260102T030405Z\nPLANTED' } }, 'header X-Sdk-Date'],
    ['a header given twice', { headers: { 'x-a': 'PLANTED', 'X-A': 'PLANTED' } }, 'header x-a twice'],
    ['two hosts', { headers: { host: 'PLANTED', Host: 'PLANTED' } }, 'header host twice'],
    ['no host', { url: { host: '', path: '/' } }, 'without a host'],
    ['a URL without a host', { url: new URL('data:,PLANTED') }, 'without a host'],
    ['an empty host header', { headers: { host: ' ' } }, 'without a host'],
    ['a host of two lines', { url: { host: 'a.test\nx-a:PLANTED', path: '/' } }, 'header host'],
    ['a method in lower case', { method: 'planted' }, 'method'],
    ['a broken escape', { url: new URL('https://a.test/PLANTED%') }, 'escape'],
    ['a lone surrogate', { url: { host: 'a.test', path: '/PLANTED\ud83d' } }, 'lone surrogate'],
  ])('%s, without a word of it', async (_, request, reason) => {
    const error = await signWith(request).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(reason);
    expect(String((error as Error).stack)).not.toMatch(/planted/i);
  });

  it('a time that is none', async () => {
    await expect(signWith({}, newCredential(), Number.NaN)).rejects.toThrow(RangeError);
  });
});

describe('the signature', () => {
  const name = fc
    .stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,8}$/)
    .filter((one) => !/^(?:host|authorization)$/i.test(one));
  const headers = fc.uniqueArray(fc.tuple(name, fc.stringMatching(/^[ -~]{0,8}$/)), {
    selector: ([one]) => one.toLowerCase(),
    maxLength: 6,
  });
  const text = fc.string({ unit: 'grapheme', maxLength: 4 });
  const query = fc.array(fc.tuple(text, text), { maxLength: 6 });

  it('does not depend on the order or case of headers nor on the order of the query', async () => {
    const shuffled = fc.tuple(headers, query).chain(([someHeaders, someQuery]) =>
      fc.record({
        one: fc.constant({ headers: someHeaders, query: someQuery }),
        other: fc.record({
          headers: fc.shuffledSubarray(someHeaders, { minLength: someHeaders.length }),
          query: fc.shuffledSubarray(someQuery, { minLength: someQuery.length }),
        }),
      }),
    );
    const credential = newCredential();
    await fc.assert(
      fc.asyncProperty(shuffled, async ({ one, other }) => {
        const target = { host: 'a.test', path: '/' };
        const signed = await signWith(
          { url: { ...target, query: one.query }, headers: Object.fromEntries(one.headers) },
          credential,
        );
        const inOtherCase = other.headers.map(([key, value]) => [key.toUpperCase(), `\t${value} `]);
        const again = await signWith(
          { url: { ...target, query: other.query }, headers: Object.fromEntries(inOtherCase) },
          credential,
        );
        expect(again).toEqual(signed);
      }),
      { seed: SEED },
    );
  });

  it('changes with each part of the request, the credential and the time', async () => {
    const base: RequestToSign = {
      method: 'POST',
      url: { host: 'a.test', path: '/a', query: [['a', 'b']] },
      headers: { 'x-a': 'b' },
      body: 'a',
    };
    const signatures = await Promise.all([
      signWith(base),
      signWith({ ...base, method: 'PUT' }),
      signWith({ ...base, url: { host: 'b.test', path: '/a', query: [['a', 'b']] } }),
      signWith({ ...base, url: { host: 'a.test', path: '/b', query: [['a', 'b']] } }),
      signWith({ ...base, url: { host: 'a.test', path: '/a', query: [['a', 'c']] } }),
      signWith({ ...base, headers: { 'x-a': 'c' } }),
      signWith({ ...base, headers: { 'x-b': 'b' } }),
      signWith({ ...base, body: 'b' }),
      signWith(base, newCredential({ secretAccessKey: 'another' })),
      signWith(base, newCredential({ securityToken: TOKEN })),
      signWith(base, newCredential(), NOW_MS + 1000),
    ]);
    expect(new Set(signatures.map(({ signature }) => signature)).size).toBe(signatures.length);
    // Neither the id of the key nor the fraction of a second is signed.
    const { signature } = await signWith(base, newCredential({ accessKeyId: 'ANOTHER' }), NOW_MS + 321);
    expect(signature).toBe(signatures[0]?.signature);
  });

  it('leaves what it was given as it was', async () => {
    const request = {
      method: 'POST',
      url: { host: 'a.test', path: '/b%3a', query: [['b', '2'] as const, ['a', '1'] as const] },
      headers: { 'X-B': ' b ', 'X-A': 'a' },
      body: new Uint8Array([1, 2, 3]),
    };
    const url = new URL('https://a.test/a%3a?b=2&a=1');
    const credential = { accessKeyId: 'AKEXAMPLE', secretAccessKey: SECRET, securityToken: TOKEN };
    const before = structuredClone([request, credential]);
    await signRequest(request, credential, { nowMs: NOW_MS });
    await signRequest({ ...request, url }, credential, { nowMs: NOW_MS });
    expect([request, credential]).toEqual(before);
    expect(Object.keys(request.headers)).toEqual(['X-B', 'X-A']);
    expect(url.href).toBe('https://a.test/a%3a?b=2&a=1');
  });
});

describe('the imported key', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('is imported once per credential object', async () => {
    const importKey = vi.spyOn(crypto.subtle, 'importKey');
    const [one, other] = [newCredential(), newCredential()];
    for (const credential of [one, one, other, one, other]) await signWith({}, credential);
    await sign('text', one);
    expect(importKey).toHaveBeenCalledTimes(2);
    for (const call of importKey.mock.calls)
      expect(call.slice(2)).toEqual([{ name: 'HMAC', hash: 'SHA-256' }, false, ['sign']]);
  });

  it('is not waited for across requests: a request that never goes on holds up no other', async () => {
    const importKey = vi.spyOn(crypto.subtle, 'importKey');
    importKey.mockReturnValueOnce(new Promise(() => {}));
    const credential = newCredential();
    const stuck = vi.fn();
    signWith({}, credential).then(stuck, stuck);
    await vi.waitFor(() => expect(importKey).toHaveBeenCalledTimes(1), { timeout: 50_000 });
    expect((await signWith({}, credential)).signature).toMatch(/^[0-9a-f]{64}$/);
    expect(importKey).toHaveBeenCalledTimes(2);
    expect(stuck).not.toHaveBeenCalled();
  });

  it('is imported again after a failure', async () => {
    vi.spyOn(crypto.subtle, 'importKey').mockRejectedValueOnce(new Error('once'));
    const credential = newCredential();
    await expect(signWith({}, credential)).rejects.toThrow('once');
    await expect(signWith({}, credential)).resolves.toBeDefined();
  });
});

describe('secrets', () => {
  it('are not in the result, but for the token where it is sent', async () => {
    const signed = await signWith({}, newCredential({ securityToken: TOKEN }));
    expect(JSON.stringify(signed)).not.toContain(SECRET);
    const { headers, canonicalRequest, ...rest } = signed;
    expect(headers['x-security-token']).toBe(TOKEN);
    expect(headers.authorization).not.toContain(TOKEN);
    expect(canonicalRequest).toContain(TOKEN);
    expect(JSON.stringify(rest)).not.toContain(TOKEN);
  });

  it.each([
    ['key', { secretAccessKey: `${SECRET}\n` }],
    ['access key id', { secretAccessKey: SECRET, accessKeyId: `${SECRET}\n` }],
    ['token', { securityToken: `${TOKEN}\r\nx: y` }],
  ])('are not in the error about a bad %s', async (_, more) => {
    const error = await signWith({}, newCredential(more)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TypeError);
    expect(JSON.stringify([String((error as Error).stack), error, (error as Error).cause])).not.toContain(
      'PLANTED',
    );
  });
});
