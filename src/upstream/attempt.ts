import { type CredentialProvider, CredentialUnavailableError } from '../credentials/provider.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import { type RequestTarget, signRequest } from '../signing/sign-request.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import { exchange, failureByStatus, type WireRecord, type WireRequest } from './exchange.ts';
import type { CallOutcome } from './guards/circuit-breaker.ts';
import type { Admission, Guards } from './guards/guards.ts';
import type { KeyOutcome } from './guards/key-guard.ts';
import { breakerOutcome } from './retry-policy.ts';
import type { ServerClock } from './server-clock.ts';
import { throwIfTimedOut, timeoutError } from './timeout.ts';
import { wait } from './wait.ts';

/** Polling interval while other calls use the key: 5 ms. */
export const TURN_CHECK_MS = 5;

/** What an attempt takes from outside. */
export interface AttemptParts
  extends Pick<
    TargetPlatform,
    'fetch' | 'now' | 'elapsed' | 'schedule' | 'digests' | 'logger' | 'metrics' | 'tracer'
  > {
  readonly credentials: CredentialProvider;
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
  /** Written by `exchange` alone. */
  readonly wire: WireRecord;
}

/** The record of an attempt that has not begun. */
export function createAttemptRecord(number: number): AttemptRecord {
  return { number, credential: undefined, skewMs: 0, sentAtMs: undefined, wire: {} };
}

/**
 * One attempt: passes the guards, signs, sends, and reports what came of it. The guards are left exactly once, in
 * `finally`, and the timer is cleared by runWithin.
 *
 * @param record filled on the way, see createAttemptRecord
 * @param timeoutMs for the whole attempt, waiting for its turn included
 * @throws UpstreamError when there is no value, and whatever `decode` throws besides
 */
export async function attempt<Value>(
  context: AttemptContext,
  call: Call<Value>,
  record: AttemptRecord,
  timeoutMs: number,
): Promise<Value> {
  const { guards, parts } = context;
  const admission = guards.enter(parts.elapsed());
  let outcome: CallOutcome = 'neutral';
  let keyOutcome: KeyOutcome = 'neutral';
  try {
    const value = await runWithin(
      timeoutMs,
      parts.schedule,
      // The signal is the attempt's own: no signal of a caller reaches upstream.
      (signal) => signAndSend(context, call, record, admission, signal),
      timeoutError,
    );
    outcome = 'success';
    report(parts, record);
    return value;
  } catch (error) {
    // Anything else is a fault of ours, such as a bug: it is neither counted nor turned into an UpstreamError.
    if (!(error instanceof UpstreamError)) throw error;
    const failure = failureByStatus(error, record.wire, parts.now());
    outcome = breakerOutcome(failure);
    if (failure.kind === 'upstream_rejected') keyOutcome = 'rejected';
    report(parts, record, failure);
    throw failure;
  } finally {
    // A 200 proves the key, whatever its body was.
    if (record.wire.status === 200) keyOutcome = 'accepted';
    guards.leave(admission, outcome, keyOutcome, parts.elapsed());
  }
}

/** From the turn with the key to the decoded body. */
async function signAndSend<Value>(
  context: AttemptContext,
  call: Call<Value>,
  record: AttemptRecord,
  admission: Admission,
  signal: AbortSignal,
): Promise<Value> {
  const { guards, parts, serverClock } = context;
  for (;;) {
    const { credential, headers } = await waitForTurn(context, record, admission, signal);
    record.skewMs = serverClock.skewMs;
    const signed = await signRequest({ method: 'GET', url: call.target, headers }, credential, {
      nowMs: parts.now() + record.skewMs,
      digests: parts.digests,
    });
    // From here to the fetch nothing is awaited: a call that timed out while it waited is not sent, and what the
    // guards say still holds when it goes out.
    throwIfTimedOut(signal);
    if (!guards.confirm(admission, parts.elapsed())) continue;
    record.sentAtMs = parts.elapsed();
    const request = { url: call.url, headers: { ...signed.headers, accept: 'application/json' } };
    return await sendInSpan(context, call, record, request, signal);
  }
}

interface Turn {
  readonly credential: Credential;
  /** To be signed. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Waits until this call may use the key. The credential is asked for each time, since it may be replaced meanwhile. */
async function waitForTurn(
  context: AttemptContext,
  record: AttemptRecord,
  admission: Admission,
  signal: AbortSignal,
): Promise<Turn> {
  const { guards, parts } = context;
  for (;;) {
    guards.assertOpen(parts.elapsed());
    const credential = await currentCredential(parts.credentials);
    record.credential = credential;
    const headers = await projectHeaders(context, credential);
    // A call that has timed out must not take a turn: nobody would give it back.
    throwIfTimedOut(signal);
    if (guards.enterKey(admission, credential, parts.elapsed())) return { credential, headers };
    // A timer of this call's own: on Workers one request must not wait for a promise of another.
    await wait(TURN_CHECK_MS, parts.schedule);
    throwIfTimedOut(signal);
  }
}

async function currentCredential(credentials: CredentialProvider): Promise<Credential> {
  try {
    return await credentials.get();
  } catch (error) {
    throw asNoCredential(error);
  }
}

async function projectHeaders(
  { parts, projectId: configuredId }: AttemptContext,
  credential: Credential,
): Promise<Record<string, string>> {
  try {
    const projectId = (await parts.resolveProjectId?.(credential)) ?? configuredId;
    return projectId === undefined ? {} : { 'x-project-id': projectId };
  } catch (error) {
    throw asNoCredential(error);
  }
}

function asNoCredential(error: unknown): unknown {
  if (!(error instanceof CredentialUnavailableError)) return error;
  return new UpstreamError('upstream_failed', { reason: 'no_credential' });
}

/** Sends inside a span, where calls are traced. It opens behind the guards: what they hold back has none. */
function sendInSpan<Value>(
  context: AttemptContext,
  call: Call<Value>,
  { number, wire }: AttemptRecord,
  request: WireRequest,
  signal: AbortSignal,
): Promise<Value> {
  const { parts, spanAttributes } = context;
  if (parts.tracer === undefined) return send(call, request, wire, signal, parts);
  const attributes =
    number === 1 ? spanAttributes : { ...spanAttributes, 'http.request.resend_count': number - 1 };
  return parts.tracer.inSpan({ name: call.spanName, kind: 'client', attributes }, async (span) => {
    try {
      return await send(call, request, wire, signal, parts);
    } catch (error) {
      span.fail(error instanceof UpstreamError ? error.reason : 'internal');
      throw error;
    } finally {
      if (wire.status !== undefined) span.setAttribute('http.response.status_code', wire.status);
    }
  });
}

async function send<Value>(
  { decode }: Call<Value>,
  request: WireRequest,
  wire: WireRecord,
  signal: AbortSignal,
  parts: AttemptParts,
): Promise<Value> {
  return decode(await exchange(request, wire, signal, parts));
}

/** Counts and logs an attempt that was sent. What the guards hold back would add a line for each request. */
function report(
  { elapsed, metrics, logger }: AttemptParts,
  record: AttemptRecord,
  failure?: UpstreamError,
): void {
  const { number, sentAtMs, wire } = record;
  if (sentAtMs === undefined) return;
  const ms = Math.round(elapsed() - sentAtMs);
  if (number > 1) metrics.upstreamRetried();
  metrics.upstreamAnswered(failure === undefined ? 'ok' : failure.kind, ms);
  const fields = {
    attempt: number,
    ms,
    status: wire.status,
    vendorRequestId: failure?.vendorRequestId ?? wire.vendorRequestId,
    code: failure?.kind,
    reason: failure?.reason,
    vendorCode: failure?.vendorCode,
    error: wire.error,
  };
  logger[failure === undefined ? 'info' : 'warn'](fields, 'upstream call');
}
