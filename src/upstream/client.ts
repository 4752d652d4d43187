import type { TargetConfig } from '../config/config.ts';
import type { Cause } from '../observability/trace-ids.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { buildCanonicalQueryString } from '../signing/canonical-request.ts';
import type { Credential } from '../signing/credential.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import {
  type AttemptContext,
  type AttemptParts,
  type AttemptRecord,
  attempt,
  type Call,
  createAttemptRecord,
} from './attempt.ts';
import { createGuards } from './guards/guards.ts';
import { LATE_ANSWER_MS } from './guards/key-guard.ts';
import { createPause, type Pause } from './guards/pause.ts';
import { createRetryBudget, type RetryBudget } from './guards/retry-budget.ts';
import { mayBeRetried, pauseBeforeRetry } from './retry-policy.ts';
import { createServerClock, LEAST_SKEW_CHANGE_MS } from './server-clock.ts';
import { timeoutError } from './timeout.ts';
import { wait } from './wait.ts';

/** Interval at which the source of a locked-out key is asked for another: 1 second. */
const LOCKED_RELOAD_MS = 1000;

/** Added to the deadline, so that the guards give no call up for lost that may still end: 1 second. */
const LEASE_MARGIN_MS = 1000;

/** What the client is built from. */
export interface UpstreamClientParts extends AttemptParts, Pick<TargetPlatform, 'random'> {}

type QueryPairs = readonly (readonly [string, string])[];

export interface UpstreamClient {
  /**
   * What the vendor says of the credential: `accepted` from the first call on that it accepts, whatever comes later;
   * `rejected` when the credential that was tried last was rejected and none has been accepted before. Asks nobody.
   */
  readonly standing: 'unknown' | 'accepted' | 'rejected';
  /**
   * A signed GET. Each attempt is signed again, with the credential and the date of that moment.
   *
   * @param path as it goes on the wire, below the endpoint. A template of ours and never a caller's text: it names
   *   the span, as `GET <path>`
   * @param query decoded pairs, in any order
   * @param decode turns the body of a 200 into a value; its UpstreamError counts as a failed attempt
   * @param onLate told the value of each attempt that was given up and answered within 30 seconds after that, as if it
   *   had come in time. By then the promise has settled, or another attempt is under way; what it throws is logged
   * @param cause the request that it is called for
   * @throws UpstreamError when the attempts or the deadline are used up
   */
  get<Value>(
    path: string,
    query: QueryPairs,
    decode: (body: Uint8Array) => Value,
    onLate?: (value: Value) => void,
    cause?: Cause,
  ): Promise<Value>;
}

/** The parts of one client, built once and shared by all its calls. */
interface Client extends AttemptContext {
  readonly config: TargetConfig['upstream'];
  readonly parts: UpstreamClientParts;
  readonly retryBudget: RetryBudget;
  /** Runs after a locked-out key's source was asked for another. */
  readonly reloadPause: Pause;
  /** The credential that was tried last, where it was rejected. */
  rejected: Credential | undefined;
}

/**
 * The client of the vendor's API, for any resource: it retries once, within a deadline and a budget. What one attempt
 * does is in attempt.ts, and what it sends and reads in exchange.ts.
 */
export function createUpstreamClient(
  config: TargetConfig['upstream'],
  parts: UpstreamClientParts,
): UpstreamClient {
  const endpoint = new URL(config.endpoint);
  const client: Client = {
    config,
    parts,
    projectId: config.projectId,
    guards: createGuards({
      ...parts,
      maxConcurrent: config.maxConcurrent,
      leaseMs: config.deadlineMs + LEASE_MARGIN_MS,
    }),
    serverClock: createServerClock(),
    retryBudget: createRetryBudget(),
    reloadPause: createPause(),
    rejected: undefined,
    spanAttributes: { 'http.request.method': 'GET', ...serverAttributes(endpoint) },
    attemptTimeoutMs: config.attemptTimeoutMs,
    keyLeaseMs: config.deadlineMs + LEASE_MARGIN_MS + LATE_ANSWER_MS,
    learnLate: (failure, record) => learnFrom(client, failure, record, config.deadlineMs),
  };
  return {
    get standing() {
      if (client.guards.hasAccepted) return 'accepted';
      return client.rejected === undefined ? 'unknown' : 'rejected';
    },
    async get(path, query, decode, onLate, cause) {
      const queryString = query.length === 0 ? '' : `?${buildCanonicalQueryString(query)}`;
      return getWithRetry(client, {
        spanName: `GET ${path}`,
        target: { host: endpoint.host, path: endpoint.pathname.replace(/\/$/, '') + path, query },
        url: config.endpoint + path + queryString,
        decode,
        onLate,
        cause,
      });
    },
  };
}

async function getWithRetry<Value>(client: Client, call: Call<Value>): Promise<Value> {
  const { config, parts, retryBudget } = client;
  const deadlineAtMs = parts.elapsed() + config.deadlineMs;
  retryBudget.earn();

  let first: UpstreamError | undefined;
  let wasReused = false;
  for (let number = 1; ; number += 1) {
    const record = createAttemptRecord(number, call.cause);
    let failure: UpstreamError;
    try {
      return await attempt(client, call, record, deadlineAtMs);
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error;
      failure = error;
    }
    // An idle connection that was closed: once, another one is no repetition.
    if (record.wire.isReusedConnection && !wasReused && parts.elapsed() < deadlineAtMs) {
      wasReused = true;
      continue;
    }
    const wasSent = record.sentAtMs !== undefined;
    // Also after the last attempt: what it teaches holds for the calls that follow.
    const hasChanged = await learnFrom(client, failure, record, Math.max(0, deadlineAtMs - parts.elapsed()));
    // A second attempt that was not sent says less than what happened to the first.
    if (first !== undefined) throw wasSent ? failure : first;
    first = failure;

    if (!mayBeRetried(failure, wasSent)) throw failure;
    const pauseMs = hasChanged ? 0 : pauseBeforeRetry(failure, parts.random());
    if (pauseMs === undefined || parts.elapsed() + pauseMs >= deadlineAtMs) throw failure;
    // An attempt under changed circumstances is no repetition, and there are few of them.
    if (!hasChanged && !retryBudget.tryTake()) throw failure;
    await wait(pauseMs, parts.schedule);
    // Timers may be late: then no time is left.
    if (parts.elapsed() >= deadlineAtMs) throw failure;
  }
}

/**
 * Learns from a failure what holds for all calls that follow: a pause, the vendor's clock, another key.
 *
 * @param timeoutMs for what has to be waited for
 * @returns true when circumstances have changed, so that another attempt may succeed at once
 */
async function learnFrom(
  client: Client,
  failure: UpstreamError,
  { credential, skewMs }: AttemptRecord,
  timeoutMs: number,
): Promise<boolean> {
  const { guards, parts, reloadPause } = client;
  const { kind, reason, status, retryAfterSeconds, serverDateMs } = failure;
  if (reason === 'throttled' && status === 429 && retryAfterSeconds !== undefined)
    guards.throttle(retryAfterSeconds * 1000, parts.elapsed());
  if (credential === undefined) return false;
  if (kind === 'upstream_rejected') client.rejected = credential;
  else if (credential !== client.rejected) client.rejected = undefined;
  if (kind !== 'upstream_rejected') return false;
  if (reason === 'clock') {
    const isCorrected = serverDateMs !== undefined && correctClock(client, serverDateMs, skewMs);
    if (isCorrected) guards.noteClockCorrected(credential);
    return isCorrected;
  }
  if (reason === 'locked_out') {
    // Many requests may find the key locked out: the first of them asks the source, and again after a pause.
    if (reloadPause.remainingMs(parts.elapsed()) > 0) return false;
    reloadPause.begin(parts.elapsed(), LOCKED_RELOAD_MS);
  }
  return reloadCredential(parts, credential, timeoutMs);
}

/**
 * Takes over the vendor's time.
 *
 * @param signedSkewMs the correction that the rejected call was signed with
 * @returns true when the correction in use is another one: a later signature may be accepted
 */
function correctClock({ serverClock, parts }: Client, serverDateMs: number, signedSkewMs: number): boolean {
  const measuredMs = serverDateMs - parts.now();
  const correction = serverClock.correct(measuredMs);
  parts.metrics.clockSkewMeasured(measuredMs);
  parts.logger.warn({ correction, measuredMs, skewMs: serverClock.skewMs }, 'the vendor refused our date');
  // Not by `correction`: another call may have corrected it after this one was signed.
  return Math.abs(serverClock.skewMs - signedSkewMs) >= LEAST_SKEW_CHANGE_MS;
}

/** @returns true when the source has another credential than the rejected one */
async function reloadCredential(
  { credentials, schedule }: UpstreamClientParts,
  rejected: Credential,
  timeoutMs: number,
): Promise<boolean> {
  try {
    return await runWithin(timeoutMs, schedule, () => credentials.reload(rejected), timeoutError);
  } catch {
    // It takes longer than this call has: a later one will have the new key.
    return false;
  }
}

/** The server of all calls, by OpenTelemetry's semantic conventions: from the settings, so never a caller's text. */
function serverAttributes({ hostname, port, protocol }: URL): Record<string, string | number> {
  const defaultPort = protocol === 'https:' ? 443 : 80;
  return {
    'server.address': hostname.replace(/^\[|\]$/g, ''),
    'server.port': port === '' ? defaultPort : Number(port),
    // Of Node's connections, which are not allowed another. Nothing is traced elsewhere.
    'network.protocol.version': '1.1',
  };
}
