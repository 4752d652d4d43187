import type { Rejection } from './rejection.ts';

/** What went wrong upstream, as the contract tells it to the caller: codes of ProblemError. */
export type UpstreamErrorKind =
  | 'upstream_rejected'
  | 'upstream_throttled'
  | 'upstream_failed'
  | 'upstream_timeout'
  | 'credentials_unavailable'
  | 'overloaded';

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
  readonly rejection?: Rejection | undefined;
}

/** `APIGW.0301`, `CCE_CM.0004`, a number, or a word: nothing in which a key or a token would fit. */
const VENDOR_CODE = /^(?:[A-Za-z][A-Za-z0-9_]{0,15}\.\d{1,12}|\d{1,12}|[A-Za-z]{1,32})$/;
export const VENDOR_REQUEST_ID = /^[A-Za-z0-9-]{1,128}$/;

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
  /** With status 401 and 403 only: what it means. */
  readonly rejection: Rejection | undefined;

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
    this.rejection = options.rejection;
  }
}

/** The vendor's code, as text; undefined when it has none of the vendor's forms. */
export function readVendorCode(value: unknown): string | undefined {
  return matching(VENDOR_CODE, typeof value === 'number' ? String(value) : value);
}

/** The value, where it is text of this form. */
export function matching(pattern: RegExp, value: unknown): string | undefined {
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}

function isHttpStatus(status: number | undefined): status is number {
  return status !== undefined && Number.isInteger(status) && status >= 100 && status <= 599;
}

/** Reasons for which upstream is never asked. */
const NOT_SENT: ReadonlySet<UpstreamErrorReason> = new Set([
  'breaker_open',
  'too_many_in_flight',
  'no_credential',
  'locked_out',
]);

/** True when upstream was asked, or may have been; a call that is held back while upstream throttles was not. */
export function wasSent({ reason, status }: UpstreamError): boolean {
  return !NOT_SENT.has(reason) && (reason !== 'throttled' || status !== undefined);
}
