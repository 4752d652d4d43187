import { describe, expect, it } from 'vitest';
import { createNodeDigests } from '../../src/runtime/node/platform/digests.ts';
import {
  buildCanonicalHeaders,
  buildCanonicalQueryString,
  buildCanonicalRequest,
  buildCanonicalUri,
  hashPayload,
  type NameValuePair,
} from '../../src/signing/canonical-request.ts';
import type { KeyPair } from '../../src/signing/credential.ts';
import { hashSha256 } from '../../src/signing/sha256.ts';
import {
  buildStringToSign,
  type RequestTarget,
  type RequestToSign,
  sign,
  signRequest,
} from '../../src/signing/sign-request.ts';
import file from '../vectors/sdk-hmac-sha256.json' with { type: 'json' };

/** The file as its field `fields` describes it; TypeScript would infer a union of every case. */
interface Vector {
  name: string;
  nodeQuirk: boolean;
  request: {
    method: string;
    url: string;
    path: string;
    query: Record<string, string | number | boolean | string[]>;
    headers: Record<string, string>;
    body: string | null;
  };
  credentials: { ak: string; sk: string; securityToken?: string; projectId?: string; domainId?: string };
  expected: {
    authorization: string;
    signedHeaders: string;
    signature: string;
    headersSent: Record<string, string>;
    canonicalRequest: string;
    stringToSign: string;
  };
  crossCheck: {
    independentRuleAgrees: boolean;
    canonicalUri?: string;
    authorization?: string;
    signature?: string;
  };
}

const VECTORS: readonly Vector[] = file.vectors as unknown as Vector[];
const CLOCK_MS = Date.parse(file.producedBy.clock);

/** Set by the SDK from the content type, so the vector's request does not name it. */
const HEADERS_ADDED_BY_THE_SDK: Readonly<Record<string, Record<string, string>>> = {
  'post-unsigned-payload': { 'X-Sdk-Content-Sha256': 'UNSIGNED-PAYLOAD' },
};

function credentialOf({ ak, sk, securityToken }: Vector['credentials']): KeyPair {
  return Object.freeze({ accessKeyId: ak, secretAccessKey: sk, securityToken });
}

/** What a caller adds to the vector's headers: the ids that are no part of a credential of ours. */
function requestOf(vector: Vector, url: URL | RequestTarget): RequestToSign {
  const { method, headers, body } = vector.request;
  const { projectId, domainId } = vector.credentials;
  return {
    method,
    url,
    headers: {
      ...headers,
      ...(projectId === undefined ? {} : { 'X-Project-Id': projectId }),
      ...(domainId === undefined ? {} : { 'X-Domain-Id': domainId }),
      ...HEADERS_ADDED_BY_THE_SDK[vector.name],
    },
    body: body ?? undefined,
  };
}

function targetOf({ request }: Vector): RequestTarget {
  const query = Object.entries(request.query).flatMap(([name, value]) =>
    [value].flat().map((one): NameValuePair => [name, String(one)]),
  );
  return { host: new URL(request.url).host, path: request.path, query };
}

/** The vector's headers as they are to be sent: names in lower case, values trimmed, no host. */
function headersToSend(vector: Vector, authorization: string): Record<string, string> {
  const pairs = Object.entries(vector.expected.headersSent).map(([name, value]) => [
    name.toLowerCase(),
    value.trim(),
  ]);
  const { host: _, ...rest } = Object.fromEntries(pairs);
  return { ...rest, authorization };
}

it('holds all 29 vectors, four of them Node quirks, and one anchor', () => {
  expect(VECTORS).toHaveLength(29);
  expect(file.documentedAnchors).toHaveLength(1);
  expect(new Set(VECTORS.map(({ name }) => name)).size).toBe(29);
  expect(VECTORS.filter(({ nodeQuirk }) => nodeQuirk).map(({ name }) => name)).toEqual([
    'path-percent-encoded-node-quirk',
    'path-space-node-quirk',
    'path-apostrophe-node-quirk',
    'header-value-whitespace-node-quirk',
  ]);
  expect(VECTORS.every(({ nodeQuirk, crossCheck }) => crossCheck.independentRuleAgrees !== nodeQuirk)).toBe(
    true,
  );
});

for (const vector of VECTORS) {
  const { nodeQuirk, expected, crossCheck } = vector;

  describe.each([
    ['a URL', new URL(vector.request.url), undefined],
    ['its parts', targetOf(vector), undefined],
    ["a URL, by Node's own digests", new URL(vector.request.url), createNodeDigests()],
  ])(`${vector.name}, from %s`, (_, url, digests) => {
    const signVector = () =>
      signRequest(requestOf(vector, url), credentialOf(vector.credentials), { nowMs: CLOCK_MS, digests });

    if (!nodeQuirk) {
      it('gives the SDK’s canonical request, string to sign and Authorization', async () => {
        const signed = await signVector();
        expect(signed.canonicalRequest).toBe(expected.canonicalRequest);
        expect(signed.stringToSign).toBe(expected.stringToSign);
        expect(signed.signedHeaders).toBe(expected.signedHeaders);
        expect(signed.signature).toBe(expected.signature);
        expect(signed.headers).toEqual(headersToSend(vector, expected.authorization));
      });
    } else {
      it('gives the values of the rule', async () => {
        const { headers, canonicalRequest, stringToSign, signedHeaders, signature } = await signVector();
        expect(canonicalRequest.split('\n')[1]).toBe(crossCheck.canonicalUri);
        expect(stringToSign).toBe(`SDK-HMAC-SHA256\n20260102T030405Z\n${await hashSha256(canonicalRequest)}`);
        expect(signedHeaders).toBe(expected.signedHeaders);
        expect(signature).toBe(crossCheck.signature);
        expect(headers).toEqual(headersToSend(vector, crossCheck.authorization as string));
      });

      it('differs from the SDK', async () => {
        const signed = await signVector();
        expect(signed.canonicalRequest).not.toBe(expected.canonicalRequest);
        expect(signed.stringToSign).not.toBe(expected.stringToSign);
        expect(signed.headers.authorization).not.toBe(expected.authorization);
      });
    }
  });
}

it.each(file.documentedAnchors)('$name: the published hash of the canonical request', async (anchor) => {
  const { 'X-Sdk-Date': sdkDate, ...headers } = anchor.request.headers;
  expect(sdkDate).toBe('20191115T033655Z');
  const { stringToSign, signedHeaders } = await signRequest(
    { method: anchor.request.method, url: new URL(anchor.request.url), headers },
    { accessKeyId: 'any', secretAccessKey: 'any' },
    { nowMs: Date.UTC(2019, 10, 15, 3, 36, 55) },
  );
  expect(stringToSign).toBe(`SDK-HMAC-SHA256\n20191115T033655Z\n${anchor.expected.canonicalRequestSha256}`);
  expect(signedHeaders).toBe(anchor.expected.signedHeaders);
});

/**
 * The cases of TestSigner_Sign (Go SDK, core/auth/signer/signer_test.go, v0.1.207). The Go SDK signs neither
 * content-type, nor a name with `_`, nor a host that it was not given, so the case is put together by steps.
 */
const GO_VECTORS = [
  {
    method: 'GET',
    query: [['limit', '1']],
    body: undefined,
    signature: '5a2ce64c865e0e6046321c6f3d5a77ba8413eeaf355c3166c03d58d02ac79624',
  },
  {
    method: 'POST',
    query: [['key', 'value']],
    // Go's JSON encoder ends in a line feed.
    body: '{"Name":"test","Id":1}\n',
    signature: 'cecc2af119b18ab70b4d094c0750f3b42c02f254903179a0fc2cc72fc9db4f59',
  },
] as const;

it.each(GO_VECTORS)('Go SDK, $method', async ({ method, query, body, signature }) => {
  const sdkDate = '20060102T150405Z';
  const { canonicalHeaders, signedHeaders } = buildCanonicalHeaders([['X-Sdk-Date', sdkDate]]);
  expect(signedHeaders).toBe('x-sdk-date');
  const canonicalRequest = buildCanonicalRequest({
    method,
    canonicalUri: buildCanonicalUri('/path'),
    canonicalQueryString: buildCanonicalQueryString(query),
    canonicalHeaders,
    signedHeaders,
    payloadHash: await hashPayload(body),
  });
  const stringToSign = buildStringToSign(sdkDate, await hashSha256(canonicalRequest));
  const credential = { accessKeyId: 'AccessKey', secretAccessKey: 'SecretKey' };
  expect(await sign(stringToSign, credential)).toBe(signature);
});

it('Go SDK, canonical query string (TestSigner_canonicalQueryString)', () => {
  expect(
    buildCanonicalQueryString([
      ['limit', '1'],
      ['enable', 'true'],
      ['test', '一 (&=?!#%.*)'],
      ['path', '/tmp/123'],
      ['multi', '1'],
      ['multi', '2'],
      ['multi', '3'],
    ]),
  ).toBe(
    'enable=true&limit=1&multi=1&multi=2&multi=3&path=%2Ftmp%2F123&test=%E4%B8%80%20%28%26%3D%3F%21%23%25.%2A%29',
  );
});
