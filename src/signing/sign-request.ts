import { twoDigits } from '../time/utc.ts';
import {
  buildCanonicalQueryString,
  buildCanonicalRequest,
  buildCanonicalUri,
  hashPayload,
  joinHeaders,
  type NameValuePair,
  normaliseHeader,
} from './canonical-request.ts';
import type { KeyPair } from './credential.ts';
import { type Digests, WEB_CRYPTO_DIGESTS } from './digests.ts';

/** The vendor's name of the algorithm. Not AWS Signature Version 4: no scope and no derived key. */
export const ALGORITHM = 'SDK-HMAC-SHA256';

const SDK_DATE = /^\d{8}T\d{6}Z$/;
/** 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z: beyond them a year has more than four digits. */
const MIN_SDK_DATE_MS = -62_167_219_200_000;
const MAX_SDK_DATE_MS = 253_402_300_799_999;

/** A URL in parts, for a caller that has no `URL`. */
export interface RequestTarget {
  /** As sent in the header Host: with the port only where it is not the scheme's default. */
  readonly host: string;
  /** As it goes on the wire, see {@link buildCanonicalUri}. */
  readonly path: string;
  /** Decoded pairs, in any order. */
  readonly query?: readonly NameValuePair[] | undefined;
}

export interface RequestToSign {
  /** In upper-case letters. */
  readonly method: string;
  /**
   * Of a `URL`, the host, path and query are signed. The query is read as a form: `+` is a space, and an
   * escape that is not UTF-8 is U+FFFD, so send none.
   */
  readonly url: URL | RequestTarget;
  /**
   * Signed, each of them. Leave out what a proxy may rewrite (content-type, user-agent, accept-encoding) and
   * add it to the headers that come back. `host` takes the place of the URL's, `x-sdk-date` that of `nowMs`,
   * and `x-sdk-content-sha256`, for example `UNSIGNED-PAYLOAD`, that of the payload hash.
   */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** The exact body; a text is sent as UTF-8. */
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined;
}

export interface SignOptions {
  /** Milliseconds since the epoch. The gateway refuses a date more than 15 minutes from its own. */
  readonly nowMs: number;
  /** Those of WebCrypto by default. */
  readonly digests?: Digests | undefined;
}

/** What to send, and how it came about. `canonicalRequest` holds the security token: keep it out of logs. */
export interface SignedRequest {
  /** The headers for `fetch`, names in lower case: the signed ones without `host`, and `authorization`. */
  readonly headers: Record<string, string>;
  readonly canonicalRequest: string;
  /** Ends in the hash of the canonical request, which may be logged. */
  readonly stringToSign: string;
  readonly signedHeaders: string;
  readonly signature: string;
}

const DAY_MS = 86_400_000;
const SECONDS_PER_DAY = 86_400;
/** The date is worked out once a day. */
let lastDay = Number.NaN;
let lastDayText = '';

/**
 * A time as the header X-Sdk-Date has it: `YYYYMMDDTHHMMSSZ`, UTC, rounded down to the second
 * (BasicDateFormat in the Go SDK's signer.go).
 *
 * @param nowMs milliseconds since the epoch, years 0000 to 9999
 * @throws RangeError for anything else
 */
export function formatSdkDate(nowMs: number): string {
  if (!(nowMs >= MIN_SDK_DATE_MS && nowMs < MAX_SDK_DATE_MS + 1))
    throw new RangeError('nowMs must lie in the years 0000 to 9999');
  const day = Math.floor(nowMs / DAY_MS);
  if (day !== lastDay) {
    lastDayText = new Date(day * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '');
    lastDay = day;
  }
  const second = Math.floor(nowMs / 1000) - day * SECONDS_PER_DAY;
  const minute = Math.floor(second / 60);
  return `${lastDayText}T${twoDigits(Math.floor(minute / 60))}${twoDigits(minute % 60)}${twoDigits(second % 60)}Z`;
}

/**
 * The string to sign: the algorithm, the date and the hash, each on a line (vendor's signing guide,
 * api-sign-algorithm-003).
 *
 * @param sdkDate see {@link formatSdkDate}; the same as in the header X-Sdk-Date
 * @param canonicalRequestHash SHA-256, 64 lower-case hexadecimal digits
 */
export function buildStringToSign(sdkDate: string, canonicalRequestHash: string): string {
  return `${ALGORITHM}\n${sdkDate}\n${canonicalRequestHash}`;
}

/**
 * The signature: HMAC-SHA256 (RFC 2104) under the secret access key itself, as 64 lower-case hexadecimal
 * digits (signStringToSign in the Go SDK's signer.go).
 *
 * @param digests by default those of WebCrypto
 * @throws TypeError when the credential cannot be used, see `checkCredential`
 */
export async function sign(
  stringToSign: string,
  credential: KeyPair,
  digests: Digests = WEB_CRYPTO_DIGESTS,
): Promise<string> {
  return digests.hmacSha256(stringToSign, credential);
}

/**
 * Signs a request with SDK-HMAC-SHA256. The host, the date, the security token where there is one, and every
 * header given are signed. Send the method, URL and body that were signed with the headers that come back.
 *
 * @throws TypeError when the request has no one form on the wire, see {@link buildCanonicalRequest} and the
 *   functions of its parts, when a header is the signer's own, or when the credential cannot be used
 * @throws RangeError when `nowMs` is no usable time, see {@link formatSdkDate}
 */
export async function signRequest(
  request: RequestToSign,
  credential: KeyPair,
  { nowMs, digests = WEB_CRYPTO_DIGESTS }: SignOptions,
): Promise<SignedRequest> {
  const { method, url, headers = {}, body } = request;
  const target = 'pathname' in url ? targetOfUrl(url) : url;
  const { all, sdkDate, givenPayloadHash } = collectHeaders(headers, target.host, nowMs, credential);
  const { canonicalHeaders, signedHeaders, pairs } = joinHeaders(all);
  // What is there at once is not waited for: that would take as long as a hash.
  const payloadHash = givenPayloadHash ?? hashPayload(body);

  const canonicalRequest = buildCanonicalRequest({
    method,
    canonicalUri: buildCanonicalUri(target.path),
    canonicalQueryString: buildCanonicalQueryString(target.query ?? []),
    canonicalHeaders,
    signedHeaders,
    payloadHash: typeof payloadHash === 'string' ? payloadHash : await payloadHash,
  });
  const hash = digests.sha256(canonicalRequest);
  const stringToSign = buildStringToSign(sdkDate, typeof hash === 'string' ? hash : await hash);
  const signed = digests.hmacSha256(stringToSign, credential);
  const signature = typeof signed === 'string' ? signed : await signed;

  // Without a prototype, so that no name, such as __proto__, is anything but a header.
  const headersToSend = Object.create(null) as Record<string, string>;
  for (const [name, value] of pairs) if (name !== 'host') headersToSend[name] = value;
  headersToSend.authorization = `${ALGORITHM} Access=${credential.accessKeyId}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
  return { headers: headersToSend, canonicalRequest, stringToSign, signedHeaders, signature };
}

function targetOfUrl(url: URL): RequestTarget {
  return { host: url.host, path: url.pathname, query: url.search === '' ? [] : [...url.searchParams] };
}

/** The headers to sign as they are signed, in no order, and what two of them say. */
interface CollectedHeaders {
  readonly all: NameValuePair[];
  readonly sdkDate: string;
  readonly givenPayloadHash: string | undefined;
}

/** The headers given, and those that the signer adds, two of which may be given already. */
function collectHeaders(
  given: Readonly<Record<string, string>>,
  targetHost: string,
  nowMs: number,
  { securityToken }: KeyPair,
): CollectedHeaders {
  const all: NameValuePair[] = [];
  let host: string | undefined;
  let sdkDate: string | undefined;
  let givenPayloadHash: string | undefined;
  for (const [givenName, givenValue] of Object.entries(given)) {
    const header = normaliseHeader(givenName, givenValue);
    const [name, value] = header;
    all.push(header);
    switch (name) {
      case 'authorization':
        throw new TypeError('authorization is for the signer to set');
      case 'x-security-token':
        throw new TypeError('x-security-token comes from the credential');
      case 'host':
        host = value;
        break;
      case 'x-sdk-date':
        sdkDate = value;
        if (!SDK_DATE.test(value)) throw new TypeError('x-sdk-date must have the form YYYYMMDDTHHMMSSZ');
        break;
      case 'x-sdk-content-sha256':
        givenPayloadHash = value;
        break;
    }
  }
  if (host === undefined) {
    const header = normaliseHeader('host', targetHost);
    all.push(header);
    host = header[1];
  }
  if (host === '') throw new TypeError('cannot sign a request without a host');
  if (sdkDate === undefined) {
    sdkDate = formatSdkDate(nowMs);
    all.push(['x-sdk-date', sdkDate]);
  }
  if (securityToken !== undefined) all.push(normaliseHeader('x-security-token', securityToken));
  return { all, sdkDate, givenPayloadHash };
}
