import { describeError } from '../observability/describe-error.ts';
import { BodyTooLargeError, readBody } from '../outbound/read-body.ts';
import type { Fetch, FetchedResponse, NoAnswer } from '../platform/fetch.ts';
import { parseUpstreamFailure } from '../vendor/read-failure.ts';
import { matching, UpstreamError, VENDOR_REQUEST_ID } from '../vendor/upstream-error.ts';
import { throwIfTimedOut } from './timeout.ts';

/** Maximum length of a good answer: 8 MiB. 50 image caches are about 20 KiB. */
export const MAX_BODY_BYTES = 8_388_608;
/** Maximum length of an error's body: 64 KiB. Only a code and a request id are read from it. */
export const MAX_ERROR_BODY_BYTES = 65_536;

/** A signed GET. */
export interface WireRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * What has come over the wire so far. Only `exchange` writes it, each field once, as it arrives; others read it when
 * the attempt is over, which may be while the exchange is still waiting.
 */
export interface WireRecord {
  /** Undefined until there is an answer. */
  status?: number;
  /** Present with `status`. */
  headers?: FetchedResponse['headers'];
  /** The vendor's support key. A value of another form could be anything, and is dropped: it goes into the log. */
  vendorRequestId?: string | undefined;
  /** There was no answer since an idle connection was closed by the other end: it says nothing about its health. */
  isReusedConnection?: boolean;
  /** Why there was no whole answer, without the text of the error. */
  error?: ReturnType<typeof describeError>;
}

/** What an exchange takes from the platform. */
export interface WireParts {
  readonly fetch: Fetch;
  /** The clock that the request was signed by, in milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Sends one request and reads the answer. `fetch` is called before this function returns its promise, so whatever
 * the caller has checked right before still holds.
 *
 * @param wire filled with what arrives
 * @param signal the attempt's own; no signal of a caller reaches upstream
 * @returns the body of a 200
 * @throws UpstreamError for everything else
 */
export async function exchange(
  { url, headers }: WireRequest,
  wire: WireRecord,
  signal: AbortSignal,
  { fetch, now }: WireParts,
): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { method: 'GET', headers, redirect: 'manual', signal });
    wire.status = response.status;
    wire.headers = response.headers;
    wire.vendorRequestId = matching(VENDOR_REQUEST_ID, response.headers.get('x-request-id'));
    if (response.status === 200) return await readBody(response, MAX_BODY_BYTES);
    const text = new TextDecoder().decode(await readErrorBody(response));
    throw parseUpstreamFailure(response.status, response.headers, text, now());
  } catch (error) {
    // An aborted fetch fails like a lost connection. Only the span sees this error: the attempt is over already.
    if (!(error instanceof UpstreamError)) throwIfTimedOut(signal);
    throw toUpstreamError(error, wire);
  }
}

/**
 * The failure of an attempt that may have timed out while an error's body stalled: its status and headers had come,
 * and they decide.
 *
 * @param failure what the attempt ended with
 * @returns the failure that the status stands for, else `failure`
 */
export function failureByStatus(
  failure: UpstreamError,
  { status, headers }: WireRecord,
  nowMs: number,
): UpstreamError {
  if (failure.reason !== 'timeout' || status === undefined || status === 200) return failure;
  return parseUpstreamFailure(status, headers ?? new Headers(), '', nowMs);
}

/** Reads an error's body as far as it comes: the status says enough without it. */
async function readErrorBody(response: FetchedResponse): Promise<Uint8Array> {
  try {
    return await readBody(response, MAX_ERROR_BODY_BYTES);
  } catch {
    return new Uint8Array(0);
  }
}

function toUpstreamError(error: unknown, wire: WireRecord): UpstreamError {
  if (error instanceof UpstreamError) return error;
  if (error instanceof BodyTooLargeError)
    return new UpstreamError('upstream_failed', { reason: 'body_too_large' });
  wire.error = describeError(error);
  // Before a status came: name resolution, connection or TLS. After it: a body that was cut or is corrupt.
  const reason = wire.status === undefined ? 'connection' : 'truncated';
  const noAnswer = (error as { noAnswer?: NoAnswer } | undefined)?.noAnswer;
  wire.isReusedConnection = noAnswer === 'reused_connection';
  const kind = noAnswer === 'connect_timeout' ? 'upstream_timeout' : 'upstream_failed';
  return new UpstreamError(kind, { reason });
}
