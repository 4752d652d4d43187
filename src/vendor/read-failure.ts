import { parseHttpDate, parseRetryAfter } from '../time/http-date.ts';
import { utcEpochMsOfDigits } from '../time/utc.ts';
import { readRejection } from './rejection.ts';
import { matching, readVendorCode, UpstreamError, VENDOR_REQUEST_ID } from './upstream-error.ts';

/** Larger failure bodies are a page or a mistake: their status and headers say enough. In UTF-16 units. */
const MAX_FAILURE_BODY_LENGTH = 262_144;
/** The gateway rejects dates that are further from its own: 15 minutes. */
const MAX_DATE_DIFFERENCE_MS = 900_000;

/**
 * Reads an answer that is not the 200 hoped for. The HTTP status alone decides the kind, since one vendor code
 * has several meanings: 401 and 403 are `upstream_rejected`, 429 is `upstream_throttled`, everything else is
 * `upstream_failed`.
 *
 * Of the body only the code is kept and, without X-Request-Id, the request id. Shapes seen: the API gateway's
 * `{error_code, error_msg, request_id}`, CCE's `{errorCode, errorMessage}`, IAM's `{error: {code, message}}`,
 * `{code, message, details: [{code | error_code}]}` as the SDK reads it, Kubernetes' `{kind: "Status", code}`
 * with a numeric code, HTML, nothing.
 *
 * A refusal with APIGW.0301 whose text says that the signature expired gets the reason `clock`, and any refusal whose
 * header Date (RFC 9110, section 6.6.1) is more than 15 minutes off, whatever its wording: the gateway rejects such a date.
 * Where it can be told it has `serverDateMs`: from the header, else from the text
 * (`signature expired, signature time:<date>,server time:<date>`, seen in huaweicloud-sdk-java-v3 issue 44).
 *
 * Never throws.
 *
 * @param status the HTTP status
 * @param headers the answer's headers; X-Request-Id, X-IAM-Trace-Id, Retry-After and Date are read
 * @param bodyText the answer's body, whatever it is; over 256 Ki UTF-16 units it is not looked into
 * @param nowMs our clock in milliseconds since 1970, as the request was signed by it: for Date, and for a Retry-After that
 *   is a date
 */
export function parseUpstreamFailure(
  status: number,
  headers: Pick<Headers, 'get'>,
  bodyText: string,
  nowMs: number,
): UpstreamError {
  const body = readJsonObject(bodyText);
  const facts = {
    status,
    vendorCode: findVendorCode(body),
    vendorRequestId:
      matching(VENDOR_REQUEST_ID, headers.get('x-request-id')) ??
      matching(VENDOR_REQUEST_ID, body.request_id) ??
      matching(VENDOR_REQUEST_ID, headers.get('x-iam-trace-id')),
    retryAfterSeconds: parseRetryAfter(headers.get('retry-after'), nowMs),
  };

  if (status === 401 || status === 403) {
    const text = facts.vendorCode === 'APIGW.0301' ? findMessage(body) : '';
    const dateMs = plausibleDateMs(parseHttpDate(headers.get('date') ?? ''));
    const isOff = dateMs !== undefined && Math.abs(dateMs - nowMs) > MAX_DATE_DIFFERENCE_MS;
    const isClock = isOff || /signature expired/i.test(text);
    const rejection = readRejection(status, bodyText, isClock);
    if (!isClock) return new UpstreamError('upstream_rejected', { ...facts, rejection, reason: 'refused' });
    const serverDateMs = dateMs ?? plausibleDateMs(parseServerTime(text));
    return new UpstreamError('upstream_rejected', { ...facts, rejection, reason: 'clock', serverDateMs });
  }
  if (status === 429) return new UpstreamError('upstream_throttled', { ...facts, reason: 'throttled' });
  if (status >= 300 && status < 400)
    return new UpstreamError('upstream_failed', { ...facts, reason: 'redirect' });
  return new UpstreamError('upstream_failed', { ...facts, reason: 'status' });
}

const SERVER_TIME =
  /server time: ?(?<year>\d{4})(?<month>\d\d)(?<day>\d\d)T(?<hour>\d\d)(?<minute>\d\d)(?<second>\d\d)Z/i;

function parseServerTime(text: string): number | undefined {
  const parts = SERVER_TIME.exec(text)?.groups;
  if (parts === undefined) return undefined;
  return utcEpochMsOfDigits(parts);
}

const EARLIEST_SERVER_DATE_MS = Date.UTC(2000, 0);
const LATEST_SERVER_DATE_MS = Date.UTC(2101, 0);

/** Our clock is corrected by it, so a date outside the years 2000 to 2100 is not believed. */
function plausibleDateMs(epochMs: number | undefined): number | undefined {
  if (epochMs === undefined) return undefined;
  return epochMs >= EARLIEST_SERVER_DATE_MS && epochMs < LATEST_SERVER_DATE_MS ? epochMs : undefined;
}

type Members = Readonly<Record<string, unknown>>;
const NO_MEMBERS: Members = Object.freeze({});

function readJsonObject(text: string): Members {
  if (text.length > MAX_FAILURE_BODY_LENGTH) return NO_MEMBERS;
  try {
    return asMembers(JSON.parse(text));
  } catch {
    // The parser's error quotes the body: not even its class is of use here.
    return NO_MEMBERS;
  }
}

function asMembers(value: unknown): Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Members)
    : NO_MEMBERS;
}

/** The first usable code: the vendor's own names for it first, since Kubernetes' `code` only repeats the status. */
function findVendorCode(body: Members): string | undefined {
  const details = Array.isArray(body.details) ? asMembers(body.details[0]) : asMembers(body.details);
  const candidates = [
    body.error_code,
    body.errorCode,
    asMembers(body.error).code,
    body.code,
    details.error_code,
    details.errorCode,
    details.code,
  ];
  for (const candidate of candidates) {
    const code = readVendorCode(candidate);
    if (code !== undefined) return code;
  }
  return undefined;
}

/** The vendor's text. To be looked into here, and nowhere kept. */
function findMessage(body: Members): string {
  const candidates = [body.error_msg, body.errorMessage, body.message, asMembers(body.error).message];
  return candidates.filter((candidate) => typeof candidate === 'string').join('\n');
}
