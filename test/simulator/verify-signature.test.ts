import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { AKSKSigner } from '@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AccessKey,
  type ArrivedRequest,
  type HeaderPair,
  parseAuthorization,
  parseSdkDate,
  rebuildCanonicalRequest,
  signWithHeaders,
  verifySignature,
} from './verify-signature.ts';

interface Vector {
  name: string;
  nodeQuirk: boolean;
  request: { method: string; path: string; query: Record<string, string | string[]>; body: string | null };
  credentials: { ak: string; sk: string; securityToken?: string };
  expected: {
    authorization: string;
    signedHeaders: string;
    headersSent: Record<string, string>;
    canonicalRequest: string;
  };
  crossCheck: { authorization?: string };
}

const { vectors } = JSON.parse(
  readFileSync(new URL('../vectors/sdk-hmac-sha256.json', import.meta.url), 'utf8'),
) as { vectors: Vector[] };

const SIGNED_AT_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const KEY: AccessKey = { accessKeyId: 'EXAMPLEKEY', secretAccessKey: 'example-secret' };
const MINUTE_MS = 60_000;

const wire = (text: string) => Buffer.from(text, 'utf8').toString('latin1');

/** The request of a vector as it arrives: path and query escaped, header values trimmed by the parser. */
function arrivedOf({ request, expected }: Vector, authorization: string): ArrivedRequest {
  const query = Object.entries(request.query)
    .flatMap(([name, value]) =>
      [value].flat().map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`),
    )
    .join('&');
  const path = request.path.includes('%') ? request.path : encodeURI(request.path);
  const headers = Object.entries(expected.headersSent).map(
    ([name, value]): HeaderPair => [name, wire(value.trim())],
  );
  return {
    method: request.method,
    rawUrl: query === '' ? path : `${path}?${query}`,
    headers: [...headers, ['Authorization', authorization]],
    body: Buffer.from(request.body ?? ''),
  };
}

function verifyAs(request: ArrivedRequest, key: AccessKey, nowMs = SIGNED_AT_MS) {
  return verifySignature(request, (id) => (id === key.accessKeyId ? key : undefined), nowMs);
}

describe('the vectors of the official signer', () => {
  test.each(vectors.map((vector) => [vector.name, vector] as const))('%s is accepted', (_, vector) => {
    const authorization = vector.crossCheck.authorization ?? vector.expected.authorization;
    const key = {
      accessKeyId: vector.credentials.ak,
      secretAccessKey: vector.credentials.sk,
      securityToken: vector.expected.headersSent['X-Security-Token'],
    };
    const request = arrivedOf(vector, authorization);
    expect(verifyAs(request, key)).toEqual({ accepted: true, accessKeyId: key.accessKeyId });
    const names = vector.expected.signedHeaders.split(';');
    expect(signWithHeaders(request, key, names)).toBe(authorization);
    if (!vector.nodeQuirk) {
      expect(rebuildCanonicalRequest(request, names)).toBe(vector.expected.canonicalRequest);
    }
  });

  test.each(vectors.filter(({ nodeQuirk }) => nodeQuirk).map((vector) => [vector.name, vector] as const))(
    '%s: what only the Node SDK would sign is refused',
    (_, vector) => {
      const key = { accessKeyId: vector.credentials.ak, secretAccessKey: vector.credentials.sk };
      expect(verifyAs(arrivedOf(vector, vector.expected.authorization), key)).toMatchObject({
        accepted: false,
        reason: 'bad-signature',
      });
    },
  );

  test('the example of the signing guide', () => {
    const canonical = rebuildCanonicalRequest(
      {
        method: 'GET',
        rawUrl:
          '/v1/77b6a44cba5143ab91d13ab9a8ff44fd/vpcs?limit=2&marker=13551d6b-755d-4757-b956-536f674975c0',
        headers: [
          ['content-type', 'application/json'],
          ['Host', 'service.region.example.com'],
          ['X-Sdk-Date', '20191115T033655Z'],
        ],
        body: Buffer.alloc(0),
      },
      ['content-type', 'host', 'x-sdk-date'],
    );
    expect(
      createHash('sha256')
        .update(canonical ?? '')
        .digest('hex'),
    ).toBe('b25362e603ee30f4f25e7858e8a7160fd36e803bb2dfe206278659d71a9bcd7a');
  });

  // From the Go SDK's core/auth/signer/signer_test.go: neither host nor content-type is signed; its JSON ends in a newline.
  test.each([
    ['GET', '/path?limit=1', '', '5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624'],
    [
      'POST',
      '/path?key=value',
      '{"Name":"test","Id":1}\n',
      'cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59',
    ],
  ])('the Go SDK signs %s %s', (method, rawUrl, body, signature) => {
    const request: ArrivedRequest = {
      method,
      rawUrl,
      headers: [
        ['Host', 'example.huaweicloud.com'],
        ['TEST_UNDERSCORE', 'TEST_VALUE'],
        ['X-Sdk-Date', '20060102T150405Z'],
        [
          'Authorization',
          `SDK-HMAC-SHA256 Access=AccessKey, SignedHeaders=x-sdk-date, Signature=${signature}`,
        ],
      ],
      body: Buffer.from(body),
    };
    const key = { accessKeyId: 'AccessKey', secretAccessKey: 'SecretKey' };
    const nowMs = Date.UTC(2006, 0, 2, 15, 4, 5);
    expect(verifyAs(request, key, nowMs)).toEqual({ accepted: true, accessKeyId: 'AccessKey' });
  });
});

const headerName = fc.stringMatching(/^X-[A-Z][a-z]{1,8}$/);
const headerText = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
const signedRequest = fc.record({
  method: fc.constantFrom('GET', 'POST', 'DELETE'),
  path: fc.stringMatching(/^(\/[A-Za-z0-9._~-]{1,12}){1,4}$/),
  query: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
    fc.array(fc.string({ maxLength: 20, unit: 'grapheme' }), { minLength: 1, maxLength: 3 }),
    { maxKeys: 4, noNullPrototype: true },
  ),
  headers: fc.dictionary(headerName, headerText, { maxKeys: 4, noNullPrototype: true }),
  data: fc.option(fc.record({ a: fc.string() }), { nil: undefined }),
});

function signedByOfficialSigner(plan: typeof signedRequest extends fc.Arbitrary<infer T> ? T : never) {
  const request = {
    endpoint: `https://cce.cn-north-4.myhuaweicloud.com${plan.path}`,
    method: plan.method,
    headers: { 'X-Sdk-Date': '20260102T030405Z', ...plan.headers },
    queryParams: structuredClone(plan.query),
    data: plan.data,
  };
  const credential = { getAk: () => KEY.accessKeyId, getSk: () => KEY.secretAccessKey };
  const headers = AKSKSigner.sign(request as never, credential as never) as Record<string, string>;
  const query = Object.entries(plan.query)
    .flatMap(([name, values]) =>
      values.map((one) => `${encodeURIComponent(name)}=${encodeURIComponent(one)}`),
    )
    .join('&');
  return {
    method: plan.method,
    rawUrl: query === '' ? plan.path : `${plan.path}?${query}`,
    headers: Object.entries(headers) as HeaderPair[],
    body: Buffer.from(plan.data === undefined ? '' : JSON.stringify(plan.data)),
  };
}

describe('any request of the official signer', () => {
  test('is accepted, and refused when one byte of it is changed', () => {
    fc.assert(
      fc.property(signedRequest, fc.nat(), (plan, where) => {
        const request = signedByOfficialSigner(plan);
        expect(verifyAs(request, KEY)).toEqual({ accepted: true, accessKeyId: KEY.accessKeyId });

        const tampered: ArrivedRequest[] = [
          { ...request, method: `${request.method}X` },
          { ...request, rawUrl: request.rawUrl.replace('/', '/x') },
          { ...request, rawUrl: `${request.rawUrl}${request.rawUrl.includes('?') ? '&' : '?'}name=more` },
          { ...request, body: Buffer.concat([request.body, Buffer.from(' ')]) },
        ];
        const signed = request.headers.filter(([name]) => !/^(authorization|x-sdk-date)$/i.test(name));
        const [changedName] = signed[where % signed.length] ?? ['host'];
        const changeOf = (change: (pair: HeaderPair) => HeaderPair[]) =>
          request.headers.flatMap((pair) => (pair[0] === changedName ? change(pair) : [pair]));
        tampered.push({ ...request, headers: changeOf(([name, value]) => [[name, `${value}x`]]) });
        tampered.push({ ...request, headers: changeOf(() => []) });
        tampered.push({ ...request, headers: changeOf((pair) => [pair, pair]) });
        for (const other of tampered) {
          expect(verifyAs(other, KEY)).toMatchObject({ accepted: false, reason: 'bad-signature' });
        }
        expect(verifyAs(request, { ...KEY, secretAccessKey: 'another' })).toMatchObject({ accepted: false });
      }),
      { numRuns: 200 },
    );
  });
});

describe('the date', () => {
  const request = signedByOfficialSigner({
    method: 'GET',
    path: '/v5/imagecaches',
    query: {},
    headers: {},
    data: undefined,
  });

  test.each([
    [15 * MINUTE_MS, true],
    [-15 * MINUTE_MS, true],
    [15 * MINUTE_MS + 1, false],
    [-15 * MINUTE_MS - 1, false],
  ])('%i ms off: accepted is %s', (offMs, accepted) => {
    const verification = verifyAs(request, KEY, SIGNED_AT_MS + offMs);
    expect(verification).toMatchObject(accepted ? { accepted } : { accepted, reason: 'clock' });
  });

  test('must be among the signed headers, present, single and real', () => {
    const authorization = 'SDK-HMAC-SHA256 Access=EXAMPLEKEY, SignedHeaders=host;x-sdk-date, Signature=';
    const withHeaders = (headers: HeaderPair[], names = 'host;x-sdk-date') => ({
      ...request,
      headers: [
        ['Host', 'a'] as HeaderPair,
        ...headers,
        ['Authorization', authorization.replace('host;x-sdk-date', names) + '0'.repeat(64)] as HeaderPair,
      ],
    });
    const date: HeaderPair = ['X-Sdk-Date', '20260102T030405Z'];
    for (const other of [
      withHeaders([date], 'host'),
      withHeaders([]),
      withHeaders([date, date]),
      withHeaders([['X-Sdk-Date', '20260230T030405Z']]),
      withHeaders([['X-Sdk-Date', 'Fri, 02 Jan 2026 03:04:05 GMT']]),
    ]) {
      expect(verifyAs(other, KEY)).toMatchObject({ accepted: false, reason: 'missing-date' });
    }
  });

  test('is read strictly', () => {
    expect(parseSdkDate('20260102T030405Z')).toBe(SIGNED_AT_MS);
    for (const text of ['', '20261302T030405Z', '20260102T250405Z', '20260102T030405', '20260102t030405z']) {
      expect(parseSdkDate(text)).toBeNaN();
    }
  });
});

test('a signature that leaves out the date is refused, however right it is', () => {
  const request: ArrivedRequest = {
    method: 'GET',
    rawUrl: '/v5/imagecaches',
    headers: [
      ['Host', 'a'],
      ['X-Sdk-Date', '20260102T030405Z'],
    ],
    body: Buffer.alloc(0),
  };
  const authorization = signWithHeaders(request, KEY, ['host']);
  const signed = {
    ...request,
    headers: [...request.headers, ['Authorization', authorization] as HeaderPair],
  };
  expect(verifyAs(signed, KEY)).toMatchObject({ accepted: false, reason: 'missing-date' });
});

test('a signed header that was empty must still arrive', () => {
  const headers: HeaderPair[] = [
    ['X-Sdk-Date', '20260102T030405Z'],
    ['X-Empty', ''],
  ];
  const request: ArrivedRequest = {
    method: 'GET',
    rawUrl: '/v5/imagecaches',
    headers,
    body: Buffer.alloc(0),
  };
  const authorization = signWithHeaders(request, KEY, ['x-empty', 'x-sdk-date']);
  const signed = { ...request, headers: [...headers, ['Authorization', authorization] as HeaderPair] };
  expect(verifyAs(signed, KEY)).toMatchObject({ accepted: true });
  const dropped = { ...signed, headers: signed.headers.filter(([name]) => name !== 'X-Empty') };
  expect(verifyAs(dropped, KEY)).toMatchObject({ accepted: false, reason: 'bad-signature' });
});

test('an escaped slash in a segment is not a slash', () => {
  const request = (rawUrl: string): ArrivedRequest => ({
    method: 'GET',
    rawUrl,
    headers: [['X-Sdk-Date', '20260102T030405Z']],
    body: Buffer.alloc(0),
  });
  expect(rebuildCanonicalRequest(request('/a%2Fb'), ['x-sdk-date'])).not.toBe(
    rebuildCanonicalRequest(request('/a/b'), ['x-sdk-date']),
  );
});

test('an undecodable path or query is refused, not thrown', () => {
  for (const rawUrl of ['/v5/%zz', '/v5/imagecaches?name=%ff']) {
    const headers: HeaderPair[] = [
      ['X-Sdk-Date', '20260102T030405Z'],
      [
        'Authorization',
        `SDK-HMAC-SHA256 Access=EXAMPLEKEY, SignedHeaders=x-sdk-date, Signature=${'0'.repeat(64)}`,
      ],
    ];
    expect(verifyAs({ method: 'GET', rawUrl, headers, body: Buffer.alloc(0) }, KEY)).toMatchObject({
      accepted: false,
      reason: 'bad-signature',
    });
  }
});

test('other Authorization headers are not read', () => {
  const signature = 'a'.repeat(64);
  for (const header of [
    '',
    'Bearer abc',
    `AWS4-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=${signature}`,
    `SDK-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=${signature}`,
    `SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=${signature.slice(1)}`,
    `SDK-HMAC-SHA256 Access=a, SignedHeaders=host, Signature=${signature.toUpperCase()}`,
  ]) {
    expect(parseAuthorization(header)).toBeUndefined();
  }
});
