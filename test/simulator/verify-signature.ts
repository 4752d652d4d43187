import { createHash, timingSafeEqual } from 'node:crypto';
import { AKSKSigner } from '@huaweicloud/huaweicloud-sdk-core/auth/AKSKSigner.js';

/** The gateway refuses an X-Sdk-Date further than this from its own clock. */
export const MAX_CLOCK_DIFFERENCE_MS = 15 * 60 * 1000;

export type HeaderPair = [name: string, value: string];

/** A request exactly as it came off the wire: nothing decoded, nothing joined. */
export interface ArrivedRequest {
  method: string;
  /** The request target of the request line, for example `/v5/imagecaches?name=a`. */
  rawUrl: string;
  headers: readonly HeaderPair[];
  body: Uint8Array;
}

export interface AccessKey {
  accessKeyId: string;
  secretAccessKey: string;
  /** Set on temporary credentials: then X-Security-Token must be sent and be equal. */
  securityToken?: string | undefined;
  /** Refused from this moment on; absent: never expires. */
  expiresAtMs?: number | undefined;
}

export type RefusalReason =
  | 'missing-authorization'
  | 'malformed-authorization'
  | 'unknown-key'
  | 'expired-key'
  | 'missing-date'
  | 'clock'
  | 'security-token'
  | 'bad-signature'
  | 'locked';

export type Verification =
  | { accepted: true; accessKeyId: string }
  | { accepted: false; reason: RefusalReason; text: string; accessKeyId?: string };

/** What Authorization: SDK-HMAC-SHA256 said. */
export interface ParsedAuthorization {
  accessKeyId: string;
  signedHeaders: string[];
  signature: string;
}

/**
 * The official SDK's signer, step by step. Its own `sign` always adds `host` to the signed headers and takes
 * the date from its clock, so it cannot rebuild a request that the Go SDK signed; its steps can.
 */
class StepwiseSigner extends AKSKSigner {
  static canonicalRequestOf(request: ArrivedRequest, signedHeaders: readonly string[]): string {
    const [rawPath = '', rawQuery = ''] = splitOnce(request.rawUrl, '?');
    const names = [...signedHeaders].sort();
    // One header at a time: the SDK's own sort follows the locale, the specification the code point.
    const canonicalHeaders = names
      .map((name) =>
        StepwiseSigner.buildCanonicalHeaders({ [name]: headerValue(request.headers, name) ?? '' }),
      )
      .join('');
    return StepwiseSigner.buildCanonicalRequest(
      request.method,
      StepwiseSigner.canonicalUriOf(rawPath),
      StepwiseSigner.CanonicalQueryString({ queryParams: decodeQuery(rawQuery) }),
      canonicalHeaders,
      names.join(';'),
      StepwiseSigner.payloadHashOf(request),
    );
  }

  static signatureOf(canonicalRequest: string, xSdkDate: string, secretAccessKey: string): string {
    const stringToSign = StepwiseSigner.getStringToSign(
      StepwiseSigner.SDK_SIGNING_ALGORITHM,
      xSdkDate,
      StepwiseSigner.Hex(canonicalRequest),
    );
    return StepwiseSigner.hmacSHA256(secretAccessKey, stringToSign);
  }

  // Decoded once and encoded once, segment by segment, so that %2F in a segment stays apart from a slash.
  private static canonicalUriOf(rawPath: string): string {
    const encoded = rawPath
      .split('/')
      .map((segment) => StepwiseSigner.urlEncode(decodeURIComponent(utf8OfWire(segment))))
      .join('/');
    return encoded.endsWith('/') ? encoded : `${encoded}/`;
  }

  private static payloadHashOf({ headers, body }: ArrivedRequest): string {
    const declared = headerValue(headers, StepwiseSigner.HeaderContentSha256.toLowerCase());
    if (declared === 'UNSIGNED-PAYLOAD') return declared;
    return createHash('sha256').update(body).digest('hex');
  }
}

/**
 * Checks a request as it arrived against SDK-HMAC-SHA256. The SignedHeaders list of the request decides which
 * headers are part of it (the Go SDK leaves out `host`); `x-sdk-date` must be among them.
 */
export function verifySignature(
  request: ArrivedRequest,
  findAccessKey: (accessKeyId: string) => AccessKey | undefined,
  nowMs: number,
): Verification {
  const header = headerValue(request.headers, 'authorization');
  if (header === undefined) return refusal('missing-authorization', 'x-auth-token not found');
  const authorization = parseAuthorization(header);
  if (authorization === undefined) {
    return refusal('malformed-authorization', 'authorization header format is invalid');
  }

  const { accessKeyId, signedHeaders } = authorization;
  const accessKey = findAccessKey(accessKeyId);
  if (accessKey === undefined) return refusal('unknown-key', `ak ${accessKeyId} not exist`, accessKeyId);
  if (accessKey.expiresAtMs !== undefined && nowMs >= accessKey.expiresAtMs) {
    return refusal('expired-key', `ak ${accessKeyId} is expired`, accessKeyId);
  }

  const xSdkDate = headerValue(request.headers, 'x-sdk-date');
  const signedAtMs = xSdkDate === undefined ? Number.NaN : parseSdkDate(xSdkDate);
  if (xSdkDate === undefined || Number.isNaN(signedAtMs) || !signedHeaders.includes('x-sdk-date')) {
    return refusal(
      'missing-date',
      'calc aksk signature fail:signed header X-Sdk-Date not found or invalid',
      accessKeyId,
    );
  }
  if (Math.abs(nowMs - signedAtMs) > MAX_CLOCK_DIFFERENCE_MS) {
    return refusal('clock', clockRefusalText(xSdkDate, nowMs), accessKeyId);
  }

  const sentToken = headerValue(request.headers, 'x-security-token');
  if ((accessKey.securityToken ?? undefined) !== sentToken) {
    return refusal('security-token', `ak ${accessKeyId} security token is invalid`, accessKeyId);
  }

  const canonicalRequest = rebuildCanonicalRequest(request, signedHeaders);
  const expected =
    canonicalRequest === undefined
      ? undefined
      : StepwiseSigner.signatureOf(canonicalRequest, xSdkDate, accessKey.secretAccessKey);
  if (expected === undefined || !equalInConstantTime(expected, authorization.signature)) {
    return refusal('bad-signature', badSignatureText(canonicalRequest ?? ''), accessKeyId);
  }
  return { accepted: true, accessKeyId };
}

/**
 * The canonical request the signer makes of a request as it arrived, or undefined when a signed header did not
 * arrive or the path or query is not decodable.
 */
export function rebuildCanonicalRequest(
  request: ArrivedRequest,
  signedHeaders: readonly string[],
): string | undefined {
  if (signedHeaders.some((name) => headerValue(request.headers, name) === undefined)) return undefined;
  try {
    return StepwiseSigner.canonicalRequestOf(request, signedHeaders);
  } catch {
    return undefined;
  }
}

/** Signs with the same steps; lets a test sign any set of headers, as the Go SDK does. */
export function signWithHeaders(
  request: ArrivedRequest,
  accessKey: AccessKey,
  signedHeaders: readonly string[],
): string {
  const names = signedHeaders.map((name) => name.toLowerCase()).sort();
  const canonicalRequest = rebuildCanonicalRequest(request, names);
  const xSdkDate = headerValue(request.headers, 'x-sdk-date');
  if (canonicalRequest === undefined || xSdkDate === undefined) throw new Error('cannot sign this request');
  const signature = StepwiseSigner.signatureOf(canonicalRequest, xSdkDate, accessKey.secretAccessKey);
  return `SDK-HMAC-SHA256 Access=${accessKey.accessKeyId}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
}

/** Reads `SDK-HMAC-SHA256 Access=…, SignedHeaders=…, Signature=…`; undefined when it is anything else. */
export function parseAuthorization(header: string): ParsedAuthorization | undefined {
  const match =
    /^SDK-HMAC-SHA256 Access=([^,\s]+), ?SignedHeaders=([a-z0-9_.;-]+), ?Signature=([0-9a-f]{64})$/.exec(
      header,
    );
  if (match === null) return undefined;
  const [, accessKeyId = '', names = '', signature = ''] = match;
  return { accessKeyId, signedHeaders: names.split(';'), signature };
}

/** `YYYYMMDDTHHMMSSZ` to milliseconds; NaN when it is not a real date in exactly that form. */
export function parseSdkDate(text: string): number {
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (match === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = match;
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const atMs = Date.parse(iso);
  return !Number.isNaN(atMs) && new Date(atMs).toISOString() === iso ? atMs : Number.NaN;
}

/** Milliseconds to `YYYYMMDDTHHMMSSZ`. */
export function formatSdkDate(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}

/** The vendor's text when the clocks differ (huaweicloud-sdk-java-v3 issue 44). */
export function clockRefusalText(xSdkDate: string, nowMs: number): string {
  return `calc aksk signature fail:signature expired, signature time:${xSdkDate},server time:${formatSdkDate(nowMs)}`;
}

/** The vendor's text on a wrong signature; it prints what it computed (huaweicloud-sdk-nodejs-v3 issue 2). */
export function badSignatureText(canonicalRequest: string): string {
  return `verify aksk signature fail, canonicalRequest:${canonicalRequest.replaceAll('\n', '|')}`;
}

/** The value of a header as it arrived; several lines of one name are joined, so that none goes unsigned. */
export function headerValue(headers: readonly HeaderPair[], name: string): string | undefined {
  const values = headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => utf8OfWire(value));
  return values.length === 0 ? undefined : values.join(',');
}

function refusal(reason: RefusalReason, text: string, accessKeyId?: string): Verification {
  return { accepted: false, reason, text, ...(accessKeyId === undefined ? {} : { accessKeyId }) };
}

function equalInConstantTime(left: string, right: string): boolean {
  const leftBytes = Buffer.from(left);
  const rightBytes = Buffer.from(right);
  return leftBytes.length === rightBytes.length && timingSafeEqual(leftBytes, rightBytes);
}

// Node hands over wire bytes one per character.
function utf8OfWire(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

// Form decoding, as the endpoints read the query: what was verified is what is answered.
function decodeQuery(rawQuery: string): Record<string, string[]> {
  const query: Record<string, string[]> = Object.create(null);
  for (const pair of rawQuery.split('&')) {
    if (pair === '') continue;
    const [key, value] = splitOnce(pair, '=').map((part) =>
      decodeURIComponent(utf8OfWire(part ?? '').replaceAll('+', ' ')),
    ) as [string, string];
    query[key] ??= [];
    query[key].push(value);
  }
  return query;
}
