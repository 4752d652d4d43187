import type { CredentialProvider } from '../credentials/provider.ts';
import type { KeyProofs, KeyVerdict } from '../fleet/key-proofs.ts';
import { describeError } from '../observability/describe-error.ts';
import type { Cause, TraceIds } from '../observability/trace-ids.ts';
import { REQUEST_ID_ATTRIBUTE } from '../observability/tracing.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { authoriseRequest } from '../signing/authorise-request.ts';
import type { Credential } from '../signing/credential.ts';
import type { RequestTarget } from '../signing/sign-request.ts';
import { REJECTION_CAUSES, rejectionOf } from '../vendor/rejection.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import { exchange, failureByStatus, type WireRecord, type WireRequest } from './exchange.ts';
import type { CallOutcome } from './guards/circuit-breaker.ts';
import type { Admission, Guards } from './guards/guards.ts';
import { LATE_ANSWER_MS } from './guards/key-guard.ts';
import { breakerOutcome } from './retry-policy.ts';
import type { ServerClock } from './server-clock.ts';
import { timeoutError } from './timeout.ts';
import { waitForTurn } from './turn.ts';

/** What an attempt takes from outside. */
export interface AttemptParts
  extends Pick<
    TargetPlatform,
    | 'fetch'
    | 'now'
    | 'elapsed'
    | 'schedule'
    | 'random'
    | 'waitUntil'
    | 'digests'
    | 'logger'
    | 'metrics'
    | 'tracer'
  > {
  readonly credentials: CredentialProvider;
  /** Absent where no replicas share what they know of keys. */
  readonly keyProofs?: KeyProofs | undefined;
  /** Finds the project id to send with a call, where none is configured; see createProjectIdSource. */
  readonly resolveProjectId?:
    | ((credential: Credential) => string | undefined | Promise<string | undefined>)
    | undefined;
}

/** What all attempts of one client share. */
export interface AttemptContext {
  readonly parts: AttemptParts;
  readonly guards: Guards;
  readonly serverClock: ServerClock;
  /** Time for one attempt from the moment it is sent: milliseconds. */
  readonly attemptTimeoutMs: number;
  /** Longest time from the turn with the key to the end of the call, late answers included: milliseconds. */
  readonly keyLeaseMs: number;
  /** Takes in what a failure teaches that came after its call was given up. Never rejects. */
  readonly learnLate: (failure: UpstreamError, record: AttemptRecord) => Promise<unknown>;
  /** Sent where `resolveProjectId` finds none; undefined: no project id is sent. */
  readonly projectId: string | undefined;
  /** Attributes of every span: the method and the server. */
  readonly spanAttributes: Readonly<Record<string, string | number>>;
}

/** One GET, the same in each of its attempts. */
export interface Call<Value> {
  readonly spanName: string;
  /** What is signed. */
  readonly target: RequestTarget;
  /** The same as one URL. */
  readonly url: string;
  readonly decode: (body: Uint8Array) => Value;
  /** Told the value of an attempt that was given up before it came. */
  readonly onLate: ((value: Value) => void) | undefined;
  /** The request that it is made for. */
  readonly cause: Cause | undefined;
}

/**
 * What is known of one attempt. It is filled while the attempt runs, since an attempt that times out is judged by
 * what had happened until then. The client reads it when the attempt has failed.
 */
export interface AttemptRecord {
  /** From 1. */
  readonly number: number;
  /** What it was or would have been signed with. Written before each asking of the key guard; never logged. */
  credential: Credential | undefined;
  /** The clock correction it was signed with, in milliseconds. Written before each signing. */
  skewMs: number;
  /** Written right before the fetch; undefined: it was not sent. */
  sentAtMs: number | undefined;
  /** The request that it is made for, for its log line. */
  readonly cause: Cause | undefined;
  /** Of its span. */
  trace: TraceIds | undefined;
  /** Written by `exchange` alone. */
  readonly wire: WireRecord;
}

/** The record of an attempt that has not begun. */
export function createAttemptRecord(number: number, cause?: Cause): AttemptRecord {
  return { number, credential: undefined, skewMs: 0, sentAtMs: undefined, cause, trace: undefined, wire: {} };
}

/**
 * One attempt: passes the guards, signs, sends, and reports what came of it. The guards are left exactly once. Waiting
 * for a turn with the key takes nothing of the attempt's timeout, which begins when the call is sent.
 *
 * A call that is given up is read on in the background, see readLate: until then it holds its place in the key guard.
 *
 * @param record filled on the way, see createAttemptRecord
 * @param deadlineAtMs elapsed time by which it has ended, waiting for its turn included
 * @throws UpstreamError when there is no value, and whatever `decode` throws besides
 */
export async function attempt<Value>(
  context: AttemptContext,
  call: Call<Value>,
  record: AttemptRecord,
  deadlineAtMs: number,
): Promise<Value> {
  const { guards, parts } = context;
  const admission = guards.enter(parts.elapsed());
  const late: LateCall<Value> = { abort: new AbortController() };
  let outcome: CallOutcome = 'neutral';
  let failure: UpstreamError | undefined;
  let isLate = false;
  try {
    const value = await signAndSend(context, call, record, admission, deadlineAtMs, late);
    outcome = 'success';
    report(parts, record);
    return value;
  } catch (error) {
    // Anything else is a fault of ours, such as a bug: it is neither counted nor turned into an UpstreamError.
    if (!(error instanceof UpstreamError)) throw error;
    failure = failureByStatus(error, record.wire, parts.now() + record.skewMs);
    outcome = record.wire.isReusedConnection ? 'neutral' : breakerOutcome(failure);
    isLate = failure.reason === 'timeout' && late.answer !== undefined;
    // Of a body that stalls the status is known.
    if (error.reason === 'timeout' && !isLate) late.abort.abort();
    report(parts, record, failure);
    throw failure;
  } finally {
    guards.leave(admission, outcome, isLate ? 'awaited' : keyOutcome(record, failure), parts.elapsed());
    if (isLate) parts.waitUntil(readLate(context, call, record, admission, late));
  }
}

/** A call that may outlive its attempt. */
interface LateCall<Value> {
  /** Of the fetch. No signal of a caller reaches upstream. */
  readonly abort: AbortController;
  /** Set when the call is sent. */
  answer?: Promise<Value>;
}

/** What the vendor said of the key. A 200 proves it, whatever its body was. */
function keyOutcome({ sentAtMs, wire }: AttemptRecord, failure: UpstreamError | undefined): KeyVerdict {
  if (wire.status === 200) return 'accepted';
  // One that was not sent may have failed for what is known of the key.
  if (sentAtMs === undefined || failure?.kind !== 'upstream_rejected') return 'neutral';
  return failure.reason === 'clock' ? 'clock' : 'rejected';
}

/**
 * Reads a call that was given up, for 30 seconds more: its answer may be a rejection, which counts for the vendor, or a
 * value. Never rejects.
 */
async function readLate<Value>(
  context: AttemptContext,
  call: Call<Value>,
  record: AttemptRecord,
  admission: Admission,
  { abort, answer }: LateCall<Value>,
): Promise<void> {
  const { guards, parts } = context;
  let failure: UpstreamError | undefined;
  try {
    const value = await runWithin(
      LATE_ANSWER_MS,
      parts.schedule,
      () => answer as Promise<Value>,
      timeoutError,
    );
    call.onLate?.(value);
  } catch (error) {
    if (error instanceof UpstreamError)
      failure = failureByStatus(error, record.wire, parts.now() + record.skewMs);
    else parts.logger.error({ error: describeError(error) }, 'a late answer could not be used');
  }
  abort.abort();
  guards.leave(admission, 'neutral', keyOutcome(record, failure), parts.elapsed());
  if (record.wire.status !== undefined) log(parts, record, failure, 'late upstream answer');
  if (failure !== undefined) await context.learnLate(failure, record);
}

/** From the turn with the key to the decoded body. */
async function signAndSend<Value>(
  context: AttemptContext,
  call: Call<Value>,
  record: AttemptRecord,
  admission: Admission,
  deadlineAtMs: number,
  late: LateCall<Value>,
): Promise<Value> {
  const { attemptTimeoutMs, guards, parts } = context;
  const leftMs = () => deadlineAtMs - parts.elapsed();
  for (;;) {
    const request = await runWithin(
      leftMs(),
      parts.schedule,
      (signal) => sign(context, call, record, admission, signal),
      timeoutError,
    );
    if (leftMs() <= 0) throw timeoutError();
    // From here to the fetch nothing is awaited: what the guards say still holds when it goes out.
    if (!guards.confirm(admission, parts.elapsed())) continue;
    record.sentAtMs = parts.elapsed();
    const timeoutMs = Math.min(attemptTimeoutMs, leftMs());
    return await inSpan(context, call, record, () =>
      runWithin(
        timeoutMs,
        parts.schedule,
        () => {
          late.answer = send(call, request, record, late.abort.signal, parts);
          return late.answer;
        },
        timeoutError,
      ),
    );
  }
}

/** Waits for the turn with the key, and signs. */
async function sign<Value>(
  context: AttemptContext,
  call: Call<Value>,
  record: AttemptRecord,
  admission: Admission,
  signal: AbortSignal,
): Promise<WireRequest> {
  const { parts, serverClock } = context;
  const { credential, headers } = await waitForTurn(context, record, admission, signal);
  record.skewMs = serverClock.skewMs;
  const authorised = await authoriseRequest({ method: 'GET', url: call.target, headers }, credential, {
    nowMs: parts.now() + record.skewMs,
    digests: parts.digests,
  });
  return { url: call.url, headers: { ...authorised, accept: 'application/json' } };
}

/** Sends inside a span, where calls are traced. It opens behind the guards: what they hold back has none. */
function inSpan<Value>(
  { parts: { tracer }, spanAttributes }: AttemptContext,
  { spanName, url, cause }: Call<Value>,
  record: AttemptRecord,
  work: () => Promise<Value>,
): Promise<Value> {
  if (tracer === undefined) return work();
  const { number, wire } = record;
  const attributes = {
    ...spanAttributes,
    // An endpoint has no user name or password, and a query nothing but a valid name.
    'url.full': url,
    ...(number > 1 && { 'http.request.resend_count': number - 1 }),
    ...(cause && { [REQUEST_ID_ATTRIBUTE]: cause.requestId }),
  };
  return tracer.inSpan({ name: spanName, kind: 'client', attributes }, async (span) => {
    record.trace = span.ids;
    try {
      return await work();
    } catch (error) {
      const { status = 0 } = wire;
      if (status >= 400) span.fail(String(status));
      else span.fail(error instanceof UpstreamError ? error.reason : 'internal');
      throw error;
    } finally {
      if (wire.status !== undefined) span.setAttribute('http.response.status_code', wire.status);
    }
  });
}

async function send<Value>(
  { decode }: Call<Value>,
  request: WireRequest,
  { wire, skewMs }: AttemptRecord,
  signal: AbortSignal,
  { fetch, now }: AttemptParts,
): Promise<Value> {
  return decode(await exchange(request, wire, signal, { fetch, now: () => now() + skewMs }));
}

/** Counts and logs an attempt that was sent. What the guards hold back would add a line for each request. */
function report(parts: AttemptParts, record: AttemptRecord, failure?: UpstreamError): void {
  const { number, sentAtMs } = record;
  if (sentAtMs === undefined) return;
  if (number > 1) parts.metrics.upstreamRetried();
  const ms = log(parts, record, failure, 'upstream call');
  // It is tried again at once, and says nothing of upstream.
  if (record.wire.isReusedConnection) return;
  parts.metrics.upstreamAnswered(failure === undefined ? 'ok' : failure.kind, ms);
}

/** @returns the milliseconds since it was sent */
function log(
  { elapsed, logger }: AttemptParts,
  { number, credential, sentAtMs, cause, trace, wire }: AttemptRecord,
  failure: UpstreamError | undefined,
  message: string,
): number {
  const ms = Math.round(elapsed() - (sentAtMs as number));
  const fields = {
    requestId: cause?.requestId,
    trace_id: trace?.traceId ?? cause?.traceId,
    span_id: trace?.spanId,
    attempt: number,
    ms,
    status: wire.status,
    vendorRequestId: failure?.vendorRequestId ?? wire.vendorRequestId,
    code: failure?.kind,
    reason: failure?.reason,
    cause:
      failure?.rejection &&
      REJECTION_CAUSES[rejectionOf(failure.rejection, credential?.authToken === undefined)],
    vendorCode: failure?.vendorCode,
    error: wire.error,
  };
  logger[failure === undefined || wire.isReusedConnection ? 'info' : 'warn'](fields, message);
  return ms;
}
