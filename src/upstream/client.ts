import type { TargetConfig } from '../config/config.ts';
import { type CredentialProvider, CredentialUnavailableError } from '../credentials/provider.ts';
import { describeError } from '../observability/describe-error.ts';
import type { Logger } from '../observability/logger.ts';
import { BodyTooLargeError, readBody } from '../outbound/read-body.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { FetchedResponse } from '../platform/fetch.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { buildCanonicalQueryString } from '../signing/canonical-request.ts';
import type { Credential } from '../signing/credential.ts';
import { type RequestTarget, signRequest } from '../signing/sign-request.ts';
import { parseUpstreamFailure } from '../vendor/read-failure.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import { type CallOutcome, createCircuitBreaker, type Passage } from './guards/circuit-breaker.ts';
import { createConcurrencyLimit } from './guards/concurrency-limit.ts';
import { createKeyGuard, type KeyOutcome, type KeyPassage, LOCK_OUT_MS } from './guards/key-guard.ts';
import { createPause } from './guards/pause.ts';
import { createRetryBudget } from './guards/retry-budget.ts';
import { createServerClock, LEAST_SKEW_CHANGE_MS } from './server-clock.ts';

/** The most that is read of a good answer: 8 MiB. 50 image caches are some 20 KiB. */
export const MAX_BODY_BYTES = 8_388_608;
/** The most that is read of an error: 64 KiB. Only a code and a request id are wanted of it. */
export const MAX_ERROR_BODY_BYTES = 65_536;
/** The pause before the second attempt is up to this long, at random: 200 ms. */
export const RETRY_PAUSE_MS = 200;

/** While a key is locked out, its source is asked for another so often: once a second. */
export const LOCKED_RELOAD_MS = 1000;

/** A call that waits for a key to be proved looks so often whether it is its turn: 5 ms. */
export const TURN_CHECK_MS = 5;

/** The vendor's support key. Anything of another form may be anything, and is not logged. */
const VENDOR_REQUEST_ID = /^[A-Za-z0-9-]{1,128}$/;

/** What the client is built from. */
export interface UpstreamClientParts
  extends Pick<
    TargetPlatform,
    'fetch' | 'now' | 'schedule' | 'random' | 'digests' | 'logger' | 'metrics' | 'tracer'
  > {
  readonly credentials: CredentialProvider;
  /** Finds the project id to send with a call, where none is configured; see createProjectIdSource. */
  readonly resolveProjectId?:
    | ((credential: Credential) => string | undefined | Promise<string | undefined>)
    | undefined;
}

export interface UpstreamClient {
  /**
   * A signed GET. Each attempt is signed anew, with the credential and the date of that moment.
   *
   * @param path as it goes on the wire, below the endpoint
   * @param decode turns the body of a 200 into a value; its UpstreamError counts as a failed attempt
   * @throws UpstreamError once the attempts or the deadline are used up
   */
  get<Value>(
    path: string,
    query: readonly (readonly [string, string])[],
    decode: (body: Uint8Array) => Value,
  ): Promise<Value>;
}

/**
 * Builds the client of the vendor's API: guards, sign, fetch, deadlines, one retry.
 *
 * Before each attempt four guards are asked, the cheapest first: a pause that the vendor asked for, the circuit
 * breaker, the limit of calls at once, and what keeps a refused key from being locked. All but the limit are
 * asked again right before the call goes out, since others may have learned something while it was signed or
 * waited for its turn.
 */
export function createUpstreamClient(
  config: TargetConfig['upstream'],
  deps: UpstreamClientParts,
): UpstreamClient {
  // Longer than any call can take.
  const leaseMs = config.deadlineMs + 1000;
  const throttlePause = createPause();
  const reloadPause = createPause();
  const breaker = createCircuitBreaker({
    probeLeaseMs: leaseMs,
    random: deps.random,
    onChange: (state, openMs) => {
      deps.metrics.breakerChanged(state);
      deps.logger.warn({ state, openMs }, 'circuit breaker');
    },
  });
  const bulkhead = createConcurrencyLimit({
    max: config.maxConcurrent,
    leaseMs,
    onChange: (change) => deps.metrics.upstreamInFlight(change),
  });
  const retryBudget = createRetryBudget();
  const keyGuard = createKeyGuard(leaseMs);
  const serverClock = createServerClock();
  const endpoint = new URL(config.endpoint);
  const endpointPath = endpoint.pathname.replace(/\/$/, '');
  const spanAttributes = { 'http.request.method': 'GET', ...serverAttributes(endpoint) };

  /** Throws while no call may be made, whatever its key. */
  function refuseIfClosed(): void {
    const nowMs = deps.now();
    const throttledMs = throttlePause.remainingMs(nowMs);
    if (throttledMs > 0) {
      const retryAfterSeconds = Math.ceil(throttledMs / 1000);
      throw new UpstreamError('upstream_throttled', { reason: 'throttled', retryAfterSeconds });
    }
    const breakerMs = breaker.waitMs(nowMs);
    if (breakerMs > 0) {
      const retryAfterSeconds = Math.max(1, Math.ceil(breakerMs / 1000));
      throw new UpstreamError('overloaded', { reason: 'breaker_open', retryAfterSeconds });
    }
  }

  async function currentCredential(): Promise<Credential> {
    try {
      return await deps.credentials.get();
    } catch (error) {
      throw asNoCredential(error);
    }
  }

  async function projectHeaders(credential: Credential): Promise<Record<string, string>> {
    try {
      const projectId = (await deps.resolveProjectId?.(credential)) ?? config.projectId;
      return projectId === undefined ? {} : { 'x-project-id': projectId };
    } catch (error) {
      throw asNoCredential(error);
    }
  }

  /** A step before the call that may wait for somebody else: not with a call that has timed out meanwhile. */
  function refuseIfAborted(signal: AbortSignal): void {
    if (signal.aborted) throw new UpstreamError('upstream_timeout', { reason: 'timeout' });
  }

  /** Waits for the turn of this call, where the key has yet to be proved by another. */
  async function enterWithKey(signal: AbortSignal, seen: AttemptRecord): Promise<Record<string, string>> {
    for (;;) {
      refuseIfClosed();
      const credential = await currentCredential();
      seen.credential = credential;
      const headers = await projectHeaders(credential);
      refuseIfAborted(signal);
      const passage = keyGuard.tryEnter(credential, deps.now());
      if (passage === 'locked_out') throw new UpstreamError('upstream_rejected', { reason: 'locked_out' });
      if (passage !== 'busy') {
        seen.keyPassage = passage;
        return headers;
      }
      // A timer of this call's own: on Workers one request must not wait for a promise of another.
      await pause(TURN_CHECK_MS);
      refuseIfAborted(signal);
    }
  }

  function leaveKey(seen: AttemptRecord, outcome: KeyOutcome): void {
    const passage = seen.keyPassage;
    seen.keyPassage = undefined;
    if (passage === undefined || !keyGuard.leave(passage, outcome, deps.now())) return;
    deps.logger.error(
      { lockOutMs: LOCK_OUT_MS },
      'the vendor refused the access key twice: it is left alone',
    );
  }

  async function attemptOnce<Value>(
    target: Target,
    number: number,
    signal: AbortSignal,
    decode: (body: Uint8Array) => Value,
    seen: AttemptRecord,
  ): Promise<Value> {
    for (;;) {
      const headers = await enterWithKey(signal, seen);
      seen.skewMs = serverClock.skewMs;
      const nowMs = deps.now() + seen.skewMs;
      const request = { method: 'GET', url: target, headers };
      const signed = await signRequest(request, seen.credential as Credential, {
        nowMs,
        digests: deps.digests,
      });
      // From here to the fetch nothing is awaited, so that what the guards say still holds when it goes out.
      refuseIfAborted(signal);
      refuseIfClosed();
      if (keyGuard.isOutdated(seen.keyPassage as KeyPassage)) {
        leaveKey(seen, 'neutral');
        continue;
      }
      seen.passage = breaker.tryEnter(deps.now());
      seen.sentAtMs = deps.now();
      const sent = { ...signed.headers, accept: 'application/json' };
      return await traced(number, seen, async () => decode(await exchange(target, sent, signal, seen)));
    }
  }

  /** What happens on the wire; all that goes wrong there is the upstream's fault. */
  async function exchange(
    target: Target,
    headers: Record<string, string>,
    signal: AbortSignal,
    seen: AttemptRecord,
  ): Promise<Uint8Array> {
    try {
      const response = await deps.fetch(target.href, { method: 'GET', headers, redirect: 'manual', signal });
      seen.status = response.status;
      seen.headers = response.headers;
      const vendorRequestId = response.headers.get('x-request-id') ?? '';
      if (VENDOR_REQUEST_ID.test(vendorRequestId)) seen.vendorRequestId = vendorRequestId;
      if (response.status === 200) return await readBody(response, MAX_BODY_BYTES);
      const text = new TextDecoder().decode(await readErrorBody(response));
      throw parseUpstreamFailure(response.status, response.headers, text, deps.now());
    } catch (error) {
      // Nobody hears of this but the span: the call has been given up.
      if (!(error instanceof UpstreamError)) refuseIfAborted(signal);
      throw asUpstreamError(error, seen);
    }
  }

  /** The span of an attempt that goes out: what the guards refuse has none. */
  function traced<Value>(number: number, seen: AttemptRecord, send: () => Promise<Value>): Promise<Value> {
    if (deps.tracer === undefined) return send();
    const attributes =
      number === 1 ? spanAttributes : { ...spanAttributes, 'http.request.resend_count': number - 1 };
    return deps.tracer.inSpan({ name: 'GET /v5/imagecaches', kind: 'client', attributes }, async (span) => {
      try {
        return await send();
      } catch (error) {
        span.fail(error instanceof UpstreamError ? error.reason : 'internal');
        throw error;
      } finally {
        if (seen.status !== undefined) span.setAttribute('http.response.status_code', seen.status);
      }
    });
  }

  function attemptWithin<Value>(
    timeoutMs: number,
    work: (signal: AbortSignal) => Promise<Value>,
  ): Promise<Value> {
    return runWithin(
      timeoutMs,
      deps.schedule,
      work,
      () => new UpstreamError('upstream_timeout', { reason: 'timeout' }),
    );
  }

  /** One attempt past all guards, with everything that is counted and logged of it. */
  async function attempt<Value>(
    target: Target,
    number: number,
    timeoutMs: number,
    decode: (body: Uint8Array) => Value,
    seen: AttemptRecord,
  ): Promise<Value> {
    refuseIfClosed();
    const lease = bulkhead.tryEnter(deps.now());
    if (lease === undefined) {
      throw new UpstreamError('overloaded', { reason: 'too_many_in_flight', retryAfterSeconds: 1 });
    }
    let outcome: CallOutcome = 'neutral';
    let keyOutcome: KeyOutcome = 'neutral';
    try {
      const value = await attemptWithin(timeoutMs, (signal) =>
        attemptOnce(target, number, signal, decode, seen),
      );
      outcome = 'success';
      reportAttempt(number, seen);
      return value;
    } catch (error) {
      // Anything else is a fault of ours, such as a bug: it is neither counted nor dressed up.
      if (!(error instanceof UpstreamError)) throw error;
      const failure = refusalBeforeTimeout(error, seen);
      outcome = breakerOutcome(failure);
      if (failure.kind === 'upstream_rejected') keyOutcome = 'rejected';
      reportAttempt(number, seen, failure);
      throw failure;
    } finally {
      if (seen.status === 200) keyOutcome = 'accepted';
      leaveKey(seen, keyOutcome);
      if (seen.passage !== undefined) breaker.leave(seen.passage, outcome, deps.now());
      bulkhead.leave(lease);
    }
  }

  /** An error whose body stalls until the time is over: its status and headers had come. */
  function refusalBeforeTimeout(failure: UpstreamError, { status, headers }: AttemptRecord): UpstreamError {
    if (failure.reason !== 'timeout' || status === undefined || status === 200) return failure;
    return parseUpstreamFailure(status, headers ?? new Headers(), '', deps.now());
  }

  /** What was not sent is not counted, and each request would log one. */
  function reportAttempt(number: number, seen: AttemptRecord, failure?: UpstreamError): void {
    if (seen.sentAtMs === undefined) return;
    const ms = deps.now() - seen.sentAtMs;
    if (number > 1) deps.metrics.upstreamRetried();
    deps.metrics.upstreamAnswered(failure === undefined ? 'ok' : failure.kind, ms);
    logAttempt(deps.logger, number, ms, seen, failure);
  }

  /** Learns from a failure what holds for all calls that follow. True when another try may now go better. */
  async function learnFrom(
    failure: UpstreamError,
    { credential, skewMs = 0 }: AttemptRecord,
    timeoutMs: number,
  ): Promise<boolean> {
    const { retryAfterSeconds, serverDateMs } = failure;
    if (failure.reason === 'throttled' && failure.status === 429 && retryAfterSeconds !== undefined) {
      throttlePause.begin(deps.now(), retryAfterSeconds * 1000);
    }
    if (failure.kind !== 'upstream_rejected' || credential === undefined) return false;
    if (failure.reason === 'clock') {
      if (serverDateMs === undefined) return false;
      const correction = serverClock.correct(serverDateMs, deps.now());
      if (correction === 'corrected') deps.metrics.clockSkewMeasured(serverClock.skewMs);
      deps.logger.warn({ correction, skewMs: serverClock.skewMs }, 'the vendor refused our date');
      // Another call may have corrected it after this one was signed.
      return Math.abs(serverClock.skewMs - skewMs) >= LEAST_SKEW_CHANGE_MS;
    }
    if (failure.reason === 'locked_out') {
      // Many requests may meet this: the source is asked for the first of them only, and again after a while.
      if (reloadPause.remainingMs(deps.now()) > 0) return false;
      reloadPause.begin(deps.now(), LOCKED_RELOAD_MS);
    }
    try {
      return await attemptWithin(timeoutMs, () => deps.credentials.reload(credential));
    } catch {
      // It takes longer than this call has: a later one will have the new key.
      return false;
    }
  }

  async function pause(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => deps.schedule(resolve, ms));
  }

  return {
    async get(path, query, decode) {
      const queryString = query.length === 0 ? '' : `?${buildCanonicalQueryString(query)}`;
      const target = {
        href: config.endpoint + path + queryString,
        host: endpoint.host,
        path: endpointPath + path,
        query,
      };
      const deadlineAtMs = deps.now() + config.deadlineMs;
      retryBudget.earn();

      let first: UpstreamError | undefined;
      for (let number = 1; ; number += 1) {
        const seen: AttemptRecord = {};
        const timeoutMs = Math.min(config.attemptTimeoutMs, deadlineAtMs - deps.now());
        let failure: UpstreamError;
        try {
          return await attempt(target, number, timeoutMs, decode, seen);
        } catch (error) {
          if (!(error instanceof UpstreamError)) throw error;
          failure = error;
        }
        const mayGoBetter = await learnFrom(failure, seen, Math.max(0, deadlineAtMs - deps.now()));
        // A second try that was not let out says less than what happened to the first.
        if (first !== undefined) throw seen.sentAtMs === undefined ? first : failure;
        first = failure;

        // The time went by before it was sent: what it waited for is not upstream.
        if (failure.reason === 'timeout' && seen.sentAtMs === undefined) throw failure;
        const pauseMs = mayGoBetter ? 0 : pauseBeforeRetry(failure, deps.random());
        if (pauseMs === undefined || deps.now() + pauseMs >= deadlineAtMs) throw failure;
        // Changed circumstances are no repetition, and there are few of them.
        if (!mayGoBetter && !retryBudget.tryTake()) throw failure;
        await pause(pauseMs);
        // Timers may be late: then nothing is left of the time.
        if (deps.now() >= deadlineAtMs) throw failure;
      }
    },
  };
}

/** What a failure says of upstream's health: refusals and calls that were not made say nothing. */
function breakerOutcome({ kind, reason, retryAfterSeconds }: UpstreamError): CallOutcome {
  if (reason === 'no_credential') return 'neutral';
  if (kind === 'upstream_failed' || kind === 'upstream_timeout') return 'failure';
  // Where the vendor names no time to wait, the breaker keeps the calls from going on.
  return kind === 'upstream_throttled' && retryAfterSeconds === undefined ? 'failure' : 'neutral';
}

function asNoCredential(error: unknown): unknown {
  if (!(error instanceof CredentialUnavailableError)) return error;
  return new UpstreamError('upstream_failed', { reason: 'no_credential' });
}

/** Whom the calls go to, by OpenTelemetry's semantic conventions: from the settings, so no caller's word. */
function serverAttributes({ hostname, port, protocol }: URL): Record<string, string | number> {
  const defaultPort = protocol === 'https:' ? 443 : 80;
  return {
    'server.address': hostname.replace(/^\[|\]$/g, ''),
    'server.port': port === '' ? defaultPort : Number(port),
  };
}

/** What is signed, and the same as one text. */
interface Target extends RequestTarget {
  readonly href: string;
}

/** What the log says of an attempt beyond its failure. */
interface AttemptRecord {
  status?: number;
  vendorRequestId?: string;
  error?: ReturnType<typeof describeError>;
  headers?: FetchedResponse['headers'];
  /** What it was signed with. Not for the log. */
  credential?: Credential;
  skewMs?: number;
  /** The guards' leave to send it. */
  keyPassage?: KeyPassage | undefined;
  passage?: Passage | undefined;
  /** Undefined: it was not sent. */
  sentAtMs?: number;
}

function logAttempt(
  logger: Logger,
  attempt: number,
  ms: number,
  seen: AttemptRecord,
  failure?: UpstreamError,
): void {
  const fields = {
    attempt,
    ms,
    status: seen.status,
    vendorRequestId: failure?.vendorRequestId ?? seen.vendorRequestId,
    code: failure?.kind,
    reason: failure?.reason,
    vendorCode: failure?.vendorCode,
    error: seen.error,
  };
  logger[failure === undefined ? 'info' : 'warn'](fields, 'upstream call');
}

/** An error's body is read as far as it comes: its lack takes nothing from the status. */
async function readErrorBody(response: FetchedResponse): Promise<Uint8Array> {
  try {
    return await readBody(response, MAX_ERROR_BODY_BYTES);
  } catch {
    return new Uint8Array(0);
  }
}

function asUpstreamError(error: unknown, seen: AttemptRecord): UpstreamError {
  if (error instanceof UpstreamError) return error;
  if (error instanceof BodyTooLargeError)
    return new UpstreamError('upstream_failed', { reason: 'body_too_large' });
  seen.error = describeError(error);
  // A name look-up, connection or TLS fault before there was a status; a cut or corrupt body after it.
  const reason = seen.status === undefined ? 'connection' : 'truncated';
  return new UpstreamError(isConnectTimeout(error) ? 'upstream_timeout' : 'upstream_failed', { reason });
}

function isConnectTimeout(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && (cause as { code?: unknown }).code === 'UND_ERR_CONNECT_TIMEOUT';
}

/** Milliseconds to wait before another attempt; undefined when none would help. */
function pauseBeforeRetry(failure: UpstreamError, random: number): number | undefined {
  switch (failure.kind) {
    case 'upstream_throttled':
      // Without a word from the vendor a quick second call only makes it worse.
      return failure.retryAfterSeconds === undefined ? undefined : failure.retryAfterSeconds * 1000;
    case 'upstream_timeout':
      return random * RETRY_PAUSE_MS;
    case 'upstream_failed':
      // A 503 may say how long it lasts (RFC 9110, section 10.2.3).
      return isTransient(failure)
        ? Math.max(random * RETRY_PAUSE_MS, (failure.retryAfterSeconds ?? 0) * 1000)
        : undefined;
    default:
      return undefined;
  }
}

/** 5xx, connection faults and broken bodies may pass; redirects, floods and other 4xx will not. */
function isTransient({ status, reason }: UpstreamError): boolean {
  if (reason === 'redirect' || reason === 'body_too_large' || reason === 'no_credential') return false;
  return status === undefined || status === 200 || status >= 500;
}
