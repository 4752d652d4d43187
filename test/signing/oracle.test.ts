import { AKSKSigner } from '@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { NameValuePair } from '../../src/signing/canonical-request.ts';
import { type SignedRequest, signRequest } from '../../src/signing/sign-request.ts';

/** The same 1,000 requests in every run. After a failure fast-check prints the path to the smallest one. */
const SEED = 20_260_102;
const RUNS = 1000;

/** A request that both signers can be asked to sign. */
interface Plan {
  readonly method: string;
  readonly origin: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  readonly headers: Readonly<Record<string, string>>;
  /** Sent as JSON; undefined: no body. */
  readonly data: unknown;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly securityToken: string | undefined;
  readonly nowMs: number;
  /** How our signer is given the URL. */
  readonly form: 'parts' | 'url';
  /** The machine's locale, which the SDK's signer goes by. */
  readonly locale: string;
}

const PLAIN: Plan = {
  method: 'GET',
  origin: 'https://cce.cn-north-4.myhuaweicloud.com',
  path: '/v5/imagecaches',
  query: {},
  headers: {},
  data: undefined,
  accessKeyId: 'AKEXAMPLE',
  secretAccessKey: 'an-invented-secret',
  securityToken: undefined,
  nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 678),
  form: 'parts',
  locale: 'en',
};

beforeAll(() => {
  vi.useFakeTimers({ toFake: ['Date'] });
});
afterAll(() => {
  vi.useRealTimers();
});

/** All headers that the SDK would send, in lower case. */
function signWithSdk(plan: Plan): Record<string, string> {
  const { method, origin, path, query, headers, data, securityToken } = plan;
  const request = {
    method,
    endpoint: origin + path,
    // A copy: it sorts the arrays in place.
    queryParams: Object.fromEntries(Object.entries(query).map(([name, value]) => [name, copyOf(value)])),
    headers: { ...headers, ...(securityToken === undefined ? {} : { 'X-Security-Token': securityToken }) },
    ...(data === undefined ? {} : { data }),
  };
  const credential = { getAk: () => plan.accessKeyId, getSk: () => plan.secretAccessKey };
  vi.setSystemTime(plan.nowMs);
  const signed: Record<string, string> = inLocale(plan.locale, () =>
    AKSKSigner.sign(request as never, credential as never),
  );
  return Object.fromEntries(Object.entries(signed).map(([name, value]) => [name.toLowerCase(), value]));
}

function signWithOurs(plan: Plan): Promise<SignedRequest> {
  const { method, path, headers, data, accessKeyId, secretAccessKey, securityToken, nowMs } = plan;
  const query = Object.entries(plan.query).flatMap(([name, value]) =>
    [value].flat().map((one): NameValuePair => [name, one]),
  );
  const url = new URL(plan.origin + path);
  for (const [name, value] of query) url.searchParams.append(name, value);
  return signRequest(
    {
      method,
      url: plan.form === 'url' ? url : { host: url.host, path, query },
      headers,
      body: data === undefined ? undefined : JSON.stringify(data),
    },
    { accessKeyId, secretAccessKey, securityToken },
    { nowMs },
  );
}

async function expectAgreement(plan: Plan): Promise<void> {
  const { host, ...sdk } = signWithSdk(plan);
  expect((await signWithOurs(plan)).headers).toEqual(sdk);
}

/** The SDK sorts and lower-cases by the machine's locale, which cannot be set from within. */
function inLocale<Result>(locale: string, action: () => Result): Result {
  const { compare } = new Intl.Collator(locale);
  const { toLocaleLowerCase } = String.prototype;
  const spies = [
    vi.spyOn(String.prototype, 'localeCompare').mockImplementation(function (this: string, that: string) {
      return compare(this, that);
    }),
    vi.spyOn(String.prototype, 'toLocaleLowerCase').mockImplementation(function (this: string) {
      return toLocaleLowerCase.call(this, locale);
    }),
  ];
  try {
    return action();
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}

function copyOf(value: string | readonly string[]): string | string[] {
  return typeof value === 'string' ? value : [...value];
}

interface Quirk {
  readonly name: string;
  /** Where the two differ. */
  readonly differs: Partial<Plan>;
  /** A part of our canonical request there; undefined: ours refuses to sign. */
  readonly ours: string | undefined;
  /** The next best request, on which they agree. */
  readonly agrees: Partial<Plan>;
}

/** In path characters that the SDK's URL parser escapes, and the signer then escapes once more. */
const ESCAPED_TWICE = [...' "\'<>^`{|}\t\n\r'];

/** Every place known where the SDK's signer (3.1.211) and ours part. */
const QUIRKS: readonly Quirk[] = [
  {
    name: 'the SDK escapes an escape in the path again',
    differs: { path: '/a%3Ab' },
    ours: '\n/a%3Ab/\n',
    agrees: { path: '/a:b' },
  },
  ...ESCAPED_TWICE.map((character) => ({
    name: `the SDK escapes ${JSON.stringify(character)} in the path twice`,
    differs: { path: `/a${character}b` },
    ours: `\n/a%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}b/\n`,
    agrees: { path: '/a!b' },
  })),
  {
    name: 'the SDK takes a backslash in the path for a slash',
    differs: { path: '/a\\b' },
    ours: '\n/a%5Cb/\n',
    agrees: { path: '/a/b' },
  },
  {
    name: 'the SDK drops white space at the end of the path',
    differs: { path: '/a\u00a0' },
    ours: '\n/a%C2%A0/\n',
    agrees: { path: '/a\u00a0b' },
  },
  {
    name: 'the SDK signs a % that begins no escape',
    differs: { path: '/a%' },
    ours: undefined,
    agrees: { path: '/a' },
  },
  {
    name: 'the SDK signs dot segments, which URL and fetch resolve',
    differs: { path: '/a/../b', form: 'url' },
    ours: '\n/b/\n',
    agrees: { path: '/a/../b', form: 'parts' },
  },
  {
    name: 'the SDK signs the port where it is the default',
    differs: { origin: 'https://a.test:443' },
    ours: '\nhost:a.test\n',
    agrees: { origin: 'https://a.test:8443' },
  },
  {
    name: 'the SDK sorts query names by UTF-16 units',
    differs: { query: { '\u{1f600}': '1', '\uff5e': '2' } },
    ours: '\n%EF%BD%9E=2&%F0%9F%98%80=1\n',
    agrees: { query: { '\u{1f600}': '1', '\ud7ff': '2' } },
  },
  {
    name: 'the SDK sorts the values of a query name by UTF-16 units',
    differs: { query: { a: ['\u{1f600}', '\uff5e'] } },
    ours: '\na=%EF%BD%9E&a=%F0%9F%98%80\n',
    agrees: { query: { a: ['\u{1f600}', '\ud7ff'] } },
  },
  {
    name: 'the SDK makes wrong UTF-8 of a lone surrogate',
    differs: { query: { a: '\ude00b' } },
    ours: undefined,
    agrees: { query: { a: '\ud83d\ude00b' } },
  },
  {
    name: 'the SDK signs header values untrimmed',
    differs: { headers: { 'X-Language': ' en-us' } },
    ours: '\nx-language:en-us\n',
    agrees: { headers: { 'X-Language': 'en us' } },
  },
  {
    name: 'the SDK signs header values that have no one form on the wire',
    differs: { headers: { 'X-Language': 'é' } },
    ours: undefined,
    agrees: { headers: { 'X-Language': 'e' } },
  },
  {
    name: 'the SDK sorts header lines by another rule than their names, as _ shows',
    differs: { headers: { 'x-a_': '1', 'x-a0': '2' } },
    ours: '\nx-a0:2\nx-a_:1\nx-sdk-date:20260102T030405Z\n\nhost;x-a0;x-a_;x-sdk-date\n',
    agrees: { headers: { 'x-a-': '1', 'x-a0': '2' } },
  },
  {
    name: 'the SDK sorts header lines by the locale',
    differs: { headers: { 'x-aa': '1', 'x-b': '2' }, locale: 'da' },
    ours: '\nx-aa:1\nx-b:2\n',
    agrees: { headers: { 'x-aa': '1', 'x-b': '2' }, locale: 'en' },
  },
  {
    name: 'the SDK lower-cases header names by the locale',
    differs: { headers: { 'X-Project-Id': '1' }, locale: 'tr' },
    ours: '\nx-project-id:1\n',
    agrees: { headers: { 'X-Project-Id': '1' }, locale: 'en' },
  },
  {
    name: 'the SDK signs two headers whose names differ in case',
    differs: { headers: { 'X-A': '1', 'x-a': '2' } },
    ours: undefined,
    agrees: { headers: { 'X-A': '1', 'x-b': '2' } },
  },
  {
    name: 'the SDK adds a second date to x-sdk-date',
    differs: { headers: { 'x-sdk-date': '20060102T150405Z' } },
    ours: '\nhost;x-sdk-date\n',
    agrees: { headers: { 'X-Sdk-Date': '20060102T150405Z' } },
  },
  {
    name: 'the SDK signs a date of a form that it does not send',
    differs: { headers: { 'X-Sdk-Date': '2006-01-02T15:04:05Z' } },
    ours: undefined,
    agrees: { headers: { 'X-Sdk-Date': '20060102T150405Z' } },
  },
  {
    name: 'the SDK adds a second host to Host',
    differs: { headers: { Host: 'b.test' } },
    ours: '\nhost:b.test\nx-sdk-date:20260102T030405Z\n\nhost;x-sdk-date\n',
    agrees: { headers: { host: 'b.test' } },
  },
  {
    name: 'the SDK overlooks x-sdk-content-sha256',
    differs: { headers: { 'x-sdk-content-sha256': 'UNSIGNED-PAYLOAD' } },
    ours: '\nUNSIGNED-PAYLOAD',
    agrees: { headers: { 'X-Sdk-Content-Sha256': 'UNSIGNED-PAYLOAD' } },
  },
  {
    name: 'the SDK leaves the content type of a form with files unsigned',
    differs: { headers: { 'content-type': 'multipart/form-data; boundary=a' } },
    ours: '\ncontent-type:multipart/form-data; boundary=a\n',
    agrees: { headers: { 'content-type': 'text/plain' } },
  },
  ...[0, false, null, ''].map((data) => ({
    name: `the SDK takes the body ${JSON.stringify(data)} for none`,
    differs: { method: 'POST', data },
    ours: 'POST\n',
    agrees: { method: 'POST', data: [data] },
  })),
  {
    name: 'the SDK signs a method in lower case',
    differs: { method: 'patch' },
    ours: undefined,
    agrees: { method: 'PATCH' },
  },
  {
    name: 'the SDK signs with a secret that has a line end',
    differs: { secretAccessKey: 'an-invented-secret\n' },
    ours: undefined,
    agrees: { secretAccessKey: 'an-invented-secret' },
  },
];

/** How our refusals begin; a TypeError alone may also be a bug. */
const REFUSAL = /^(?:cannot sign|credential:|x-sdk-date must)/;

describe.each(QUIRKS)('$name', ({ differs, ours, agrees }) => {
  it('there the two differ', async () => {
    const plan = { ...PLAIN, ...differs };
    const sdk = signWithSdk(plan);
    expect(sdk.authorization).toMatch(/^SDK-HMAC-SHA256 Access=AKEXAMPLE, .*, Signature=[0-9a-f]{64}$/);
    if (ours === undefined) {
      await expect(signWithOurs(plan)).rejects.toThrow(REFUSAL);
    } else {
      const { headers, canonicalRequest } = await signWithOurs(plan);
      expect(canonicalRequest).toContain(ours);
      expect(headers.authorization).not.toBe(sdk.authorization);
    }
  });

  it('beside it they agree', async () => {
    await expectAgreement({ ...PLAIN, ...agrees });
  });
});

it('the SDK sorts the caller’s array in place, which changes the request that goes out', () => {
  const tags = ['b', 'a'];
  AKSKSigner.sign(
    { method: 'GET', endpoint: PLAIN.origin, headers: {}, queryParams: { tags } } as never,
    { getAk: () => 'a', getSk: () => 'b' } as never,
  );
  expect(tags).toEqual(['a', 'b']);
});

/** Any text that is neither in the table above nor has U+E000 to U+FFFF, which UTF-16 sorts too high. */
const text = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...' %+/?#&=;:\'"()*!~-_.[]'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 8,
  })
  .map((raw) => raw.replace(/[\ue000-\uffff]/gu, ''));

/** Starts with a letter, so it is no dot segment and has no white space that the SDK's parser would drop. */
const segment = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...'!$&()*+,-.:;=@_~'),
      fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }),
    ),
    maxLength: 8,
  })
  .map((raw) => `a${raw.replace(/[ "'<>^`{|}\\%?#/\p{Cc}]|\s$/gu, '')}`);

const NAMES_OF_THE_SIGNER =
  /^(?:host|authorization|content-type|x-sdk-date|x-sdk-content-sha256|x-security-token)$/i;
const headers = fc
  .uniqueArray(
    fc.tuple(
      fc
        .stringMatching(/^[A-Za-z](?:[A-Za-z0-9-]{0,10}[A-Za-z0-9])?$/)
        .filter((name) => !NAMES_OF_THE_SIGNER.test(name)),
      fc.stringMatching(/^(?:[!-~](?:[ -~]{0,12}[!-~])?)?$/),
    ),
    { selector: ([name]) => name.toLowerCase(), maxLength: 6 },
  )
  .map((pairs) => Object.fromEntries(pairs));

const nowMs = fc.integer({ min: 0, max: Date.UTC(2100, 0, 1) });
const visibleAscii = fc.stringMatching(/^[!-~]{1,80}$/);

const plan: fc.Arbitrary<Plan> = fc
  .record({
    method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'),
    origin: fc.constantFrom(
      'https://cce.cn-north-4.myhuaweicloud.com',
      'https://cce.example.test:8443',
      'http://127.0.0.1:8080',
      'http://[::1]:8080',
    ),
    path: fc
      .tuple(
        fc.array(fc.oneof({ weight: 9, arbitrary: segment }, fc.constant('')), { maxLength: 5 }),
        fc.boolean(),
      )
      .map(([segments, slash]) => `/${segments.join('/')}${slash ? '/' : ''}`),
    query: fc
      .uniqueArray(fc.tuple(text, fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 4 }))), {
        selector: ([name]) => name,
        maxLength: 5,
      })
      .map((pairs) => Object.fromEntries(pairs)),
    headers,
    // What is falsy is in the table.
    data: fc.option(fc.jsonValue({ noUnicodeString: false }).filter(Boolean), { nil: undefined }),
    accessKeyId: visibleAscii,
    secretAccessKey: visibleAscii,
    securityToken: fc.option(visibleAscii, { nil: undefined }),
    nowMs,
    form: fc.constantFrom('parts', 'url'),
    locale: fc.constant('en'),
  })
  .chain((one) =>
    // The date comes from the clock, or from a header that may say something else.
    fc.option(nowMs, { nil: undefined }).map((dateMs) => ({
      ...one,
      headers: dateMs === undefined ? one.headers : { ...one.headers, 'X-Sdk-Date': sdkDateOf(dateMs) },
    })),
  );

function sdkDateOf(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

it(`agrees with the SDK on ${RUNS} random requests (seed ${SEED})`, async () => {
  const seen = { path: 0, query: 0, repeated: 0, headers: 0, body: 0, token: 0, date: 0, url: 0 };
  let runs = 0;
  await fc.assert(
    fc.asyncProperty(plan, async (one) => {
      await expectAgreement(one);
      runs += 1;
      seen.path += Number(/[^\w\-.~/]/.test(one.path));
      seen.query += Number(/[^\w\-.~]/.test(Object.keys(one.query).join('')));
      seen.repeated += Number(
        Object.values(one.query).some((value) => Array.isArray(value) && value.length > 1),
      );
      seen.headers += Number(Object.keys(one.headers).length > 2);
      seen.body += Number(one.data !== undefined);
      seen.token += Number(one.securityToken !== undefined);
      seen.date += Number('X-Sdk-Date' in one.headers);
      seen.url += Number(one.form === 'url');
    }),
    { seed: SEED, numRuns: RUNS },
  );
  expect(runs).toBe(RUNS);
  // A generator that no longer makes hard requests would agree on everything.
  for (const [feature, count] of Object.entries(seen)) expect(count, feature).toBeGreaterThan(RUNS / 5);
});
