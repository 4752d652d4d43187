import type { ProblemCode } from '../problem.ts';
import { utcEpochMs, utcEpochMsOfDigits } from '../utc-epoch-ms.ts';

/** What went wrong upstream, as the contract tells it to the caller: codes of ProblemError. */
export type UpstreamErrorKind = Extract<
  ProblemCode,
  'upstream_rejected' | 'upstream_throttled' | 'upstream_failed' | 'upstream_timeout' | 'overloaded'
>;

/**
 * Words of our own that tell causes of the same kind apart, in logs and metrics:
 *
 * - `refused`: 401 or 403. `clock`: the same, because our clock is off. `locked_out`: not asked, since the
 *   access key was refused twice in a row and the vendor locks it.
 * - `throttled`: 429. `redirect`: 3xx, never followed. `status`: any other status than 200.
 * - `connection`, `timeout`, `truncated`, `body_too_large`: no whole answer came.
 * - `invalid_utf8`, `invalid_json`, `not_the_model`: an answer came and is not the list.
 * - `breaker_open`, `too_many_in_flight`, `no_credential`: we did not ask.
 */
export type UpstreamErrorReason =
  | 'refused'
  | 'clock'
  | 'locked_out'
  | 'throttled'
  | 'redirect'
  | 'status'
  | 'connection'
  | 'timeout'
  | 'truncated'
  | 'body_too_large'
  | 'invalid_utf8'
  | 'invalid_json'
  | 'not_the_model'
  | 'breaker_open'
  | 'too_many_in_flight'
  | 'no_credential';

export interface UpstreamErrorOptions {
  readonly reason: UpstreamErrorReason;
  /** The HTTP status that came, where one came. Anything but a whole number from 100 to 599 is dropped. */
  readonly status?: number | undefined;
  /** The vendor's code, as it came. Dropped unless it has one of the vendor's forms, see VENDOR_CODE. */
  readonly vendorCode?: string | number | undefined;
  /** The vendor's support key, as it came. Dropped unless it is 1 to 128 letters, digits and `-`. */
  readonly vendorRequestId?: string | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly serverDateMs?: number | undefined;
}

/** The longest wait that is believed: 1 hour. */
export const MAX_RETRY_AFTER_SECONDS = 3600;

/** Larger failure bodies are a page or a mistake: their status and headers say enough. In UTF-16 units. */
const MAX_FAILURE_BODY_LENGTH = 262_144;
/** `APIGW.0301`, `CCE_CM.0004`, a number, or a word: nothing in which a key or a token would fit. */
const VENDOR_CODE = /^(?:[A-Za-z][A-Za-z0-9_]{0,15}\.\d{1,12}|\d{1,12}|[A-Za-z]{1,32})$/;
const VENDOR_REQUEST_ID = /^[A-Za-z0-9-]{1,128}$/;

/**
 * An upstream call that gave nothing to serve. It carries facts that are safe to log and nothing else: no text
 * of the vendor, which quotes access keys and whole canonical requests, no URL, no header and no `cause`.
 * The vendor's code and request id are for the log, not for the caller.
 */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly kind: UpstreamErrorKind;
  readonly reason: UpstreamErrorReason;
  /** The HTTP status upstream answered with; undefined when there was no answer. */
  readonly status: number | undefined;
  /** Such as `APIGW.0301` or `CCE.01400001`. One code has several meanings: decide by kind. */
  readonly vendorCode: string | undefined;
  /** What the vendor's support asks for. */
  readonly vendorRequestId: string | undefined;
  /** How long the vendor asks to wait, in seconds from 0 to 3600; undefined when it does not say. */
  readonly retryAfterSeconds: number | undefined;
  /** With reason `clock` only: the vendor's clock, in milliseconds since 1970. */
  readonly serverDateMs: number | undefined;

  constructor(kind: UpstreamErrorKind, options: UpstreamErrorOptions) {
    const status = isHttpStatus(options.status) ? options.status : undefined;
    const vendorCode = readVendorCode(options.vendorCode);
    const vendorRequestId = matching(VENDOR_REQUEST_ID, options.vendorRequestId);
    const facts = [
      `${kind}: ${options.reason}`,
      ...(status === undefined ? [] : [`status ${status}`]),
      ...(vendorCode === undefined ? [] : [`code ${vendorCode}`]),
      ...(vendorRequestId === undefined ? [] : [`request id ${vendorRequestId}`]),
    ];
    super(facts.join(', '));
    this.kind = kind;
    this.reason = options.reason;
    this.status = status;
    this.vendorCode = vendorCode;
    this.vendorRequestId = vendorRequestId;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.serverDateMs = options.serverDateMs;
  }
}

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
 * A refusal with APIGW.0301 whose text says that the signature expired gets the reason `clock` and, where it can
 * be told, `serverDateMs`: from the header Date (RFC 9110, section 6.6.1), else from the text
 * (`signature expired, signature time:<date>,server time:<date>`, seen in huaweicloud-sdk-java-v3 issue 44).
 *
 * Never throws.
 *
 * @param status the HTTP status
 * @param headers the answer's headers; X-Request-Id, X-IAM-Trace-Id, Retry-After and Date are read
 * @param bodyText the answer's body, whatever it is; over 256 Ki UTF-16 units it is not looked into
 * @param nowMs our clock in milliseconds since 1970, for a Retry-After that is a date
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
    if (!/signature expired/i.test(text))
      return new UpstreamError('upstream_rejected', { ...facts, reason: 'refused' });
    const serverDateMs =
      plausibleDateMs(parseHttpDate(headers.get('date') ?? '')) ?? plausibleDateMs(parseServerTime(text));
    return new UpstreamError('upstream_rejected', { ...facts, reason: 'clock', serverDateMs });
  }
  if (status === 429) return new UpstreamError('upstream_throttled', { ...facts, reason: 'throttled' });
  if (status >= 300 && status < 400)
    return new UpstreamError('upstream_failed', { ...facts, reason: 'redirect' });
  return new UpstreamError('upstream_failed', { ...facts, reason: 'status' });
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const IMF_FIXDATE =
  /^(?<weekday>[A-Z][a-z]{2}), (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) (?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d) GMT$/;

/**
 * Reads a date of HTTP in its one current form, IMF-fixdate (RFC 9110, section 5.6.7), such as
 * `Sun, 06 Nov 1994 08:49:37 GMT`. The two obsolete forms, a date that does not exist, second 60 and a weekday
 * that is not the date's are refused. Never throws.
 *
 * @returns milliseconds since 1970, or undefined
 */
export function parseHttpDate(text: string): number | undefined {
  const parts = IMF_FIXDATE.exec(text)?.groups;
  if (parts === undefined) return undefined;
  const epochMs = utcEpochMs({
    year: Number(parts.year),
    // 0 when it is no month, which utcEpochMs refuses.
    month: MONTHS.indexOf(parts.month as string) + 1,
    day: Number(parts.day),
    hour: Number(parts.hour),
    minute: Number(parts.minute),
    second: Number(parts.second),
  });
  if (epochMs === undefined) return undefined;
  return WEEKDAYS[new Date(epochMs).getUTCDay()] === parts.weekday ? epochMs : undefined;
}

/**
 * Reads Retry-After (RFC 9110, section 10.2.3): seconds, or a date in IMF-fixdate. A date that has passed is 0.
 *
 * @param value the header's value, null when it is absent
 * @param nowMs our clock in milliseconds since 1970
 * @returns whole seconds from 0 to 3600, rounded up; undefined when absent or neither form
 */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  const dateMs = parseHttpDate(value);
  const seconds = /^\d+$/.test(value) ? Number(value) : dateMs === undefined ? NaN : (dateMs - nowMs) / 1000;
  if (Number.isNaN(seconds)) return undefined;
  return Math.min(MAX_RETRY_AFTER_SECONDS, Math.max(0, Math.ceil(seconds)));
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

function readVendorCode(value: unknown): string | undefined {
  return matching(VENDOR_CODE, typeof value === 'number' ? String(value) : value);
}

function matching(pattern: RegExp, value: unknown): string | undefined {
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}

function isHttpStatus(status: number | undefined): status is number {
  return status !== undefined && Number.isInteger(status) && status >= 100 && status <= 599;
}
