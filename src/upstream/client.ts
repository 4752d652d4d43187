import type { Config } from '../config.ts';
import type { Dependencies } from '../deps.ts';
import { describeError } from '../describe-error.ts';
import { signRequest } from '../signing/sign-request.ts';
import { BodyTooLargeError, readBody } from './read-body.ts';
import { parseUpstreamFailure, UpstreamError } from './upstream-error.ts';

/** The most that is read of a good answer: 8 MiB. 50 image caches are some 20 KiB. */
export const MAX_BODY_BYTES = 8_388_608;
/** The most that is read of an error: 64 KiB. Only a code and a request id are wanted of it. */
export const MAX_ERROR_BODY_BYTES = 65_536;
/** One call and, for a fault worth it, one more. */
export const MAX_ATTEMPTS = 2;
/** The pause before the second attempt is up to this long, at random: 200 ms. */
export const RETRY_PAUSE_MS = 200;

/** The vendor's support key. Anything of another form may be anything, and is not logged. */
const VENDOR_REQUEST_ID = /^[A-Za-z0-9-]{1,128}$/;

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

/** Builds the client of the vendor's API: sign, fetch, deadlines, one retry. */
export function createUpstreamClient(
  config: Config['upstream'],
  deps: Pick<Dependencies, 'fetch' | 'now' | 'schedule' | 'random' | 'credentialProvider' | 'logger'>,
): UpstreamClient {
  const projectHeaders: Record<string, string> =
    config.projectId === undefined ? {} : { 'x-project-id': config.projectId };

  async function attemptOnce<Value>(
    url: URL,
    signal: AbortSignal,
    decode: (body: Uint8Array) => Value,
    seen: AttemptRecord,
  ): Promise<Value> {
    const credential = await deps.credentialProvider.get();
    const signed = await signRequest({ method: 'GET', url, headers: projectHeaders }, credential, {
      nowMs: deps.now(),
    });
    return decode(await exchange(url, { ...signed.headers, accept: 'application/json' }, signal, seen));
  }

  /** What happens on the wire; all that goes wrong there is the upstream's fault. */
  async function exchange(
    url: URL,
    headers: Record<string, string>,
    signal: AbortSignal,
    seen: AttemptRecord,
  ): Promise<Uint8Array> {
    try {
      const response = await deps.fetch(url.href, { method: 'GET', headers, redirect: 'manual', signal });
      seen.status = response.status;
      const vendorRequestId = response.headers.get('x-request-id') ?? '';
      if (VENDOR_REQUEST_ID.test(vendorRequestId)) seen.vendorRequestId = vendorRequestId;
      if (response.status === 200) return await readBody(response, MAX_BODY_BYTES);
      const text = new TextDecoder().decode(await readErrorBody(response));
      throw parseUpstreamFailure(response.status, response.headers, text, deps.now());
    } catch (error) {
      throw asUpstreamError(error, seen);
    }
  }

  /** Runs one attempt within a time. */
  async function attempt<Value>(
    url: URL,
    timeoutMs: number,
    decode: (body: Uint8Array) => Value,
    seen: AttemptRecord,
  ): Promise<Value> {
    const abort = new AbortController();
    let cancel = () => {};
    const timeout = new Promise<never>((_resolve, reject) => {
      cancel = deps.schedule(() => {
        reject(new UpstreamError('upstream_timeout', { reason: 'timeout' }));
        abort.abort();
      }, timeoutMs);
    });
    try {
      // The race holds even where a fetch does not heed the abort.
      return await Promise.race([attemptOnce(url, abort.signal, decode, seen), timeout]);
    } finally {
      cancel();
    }
  }

  return {
    async get(path, query, decode) {
      const url = new URL(config.endpoint + path);
      for (const [name, value] of query) url.searchParams.append(name, value);
      const deadlineAtMs = deps.now() + config.deadlineMs;

      for (let number = 1; ; number += 1) {
        const startedAtMs = deps.now();
        const seen: AttemptRecord = {};
        const timeoutMs = Math.min(config.attemptTimeoutMs, deadlineAtMs - startedAtMs);
        let failure: UpstreamError;
        try {
          const value = await attempt(url, timeoutMs, decode, seen);
          logAttempt(deps.logger, number, deps.now() - startedAtMs, seen);
          return value;
        } catch (error) {
          // Anything else is a fault of ours, such as a bug: it is neither retried nor dressed up.
          if (!(error instanceof UpstreamError)) throw error;
          failure = error;
          logAttempt(deps.logger, number, deps.now() - startedAtMs, seen, failure);
        }
        const pauseMs = pauseBeforeRetry(failure, deps.random());
        if (number >= MAX_ATTEMPTS || pauseMs === undefined || deps.now() + pauseMs >= deadlineAtMs)
          throw failure;
        await new Promise<void>((resolve) => deps.schedule(resolve, pauseMs));
      }
    },
  };
}

/** What the log says of an attempt beyond its failure. */
interface AttemptRecord {
  status?: number;
  vendorRequestId?: string;
  error?: ReturnType<typeof describeError>;
}

function logAttempt(
  logger: Dependencies['logger'],
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
async function readErrorBody(response: Response): Promise<Uint8Array> {
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
      return isTransient(failure) ? random * RETRY_PAUSE_MS : undefined;
    default:
      return undefined;
  }
}

/** 5xx, connection faults and broken bodies may pass; redirects, floods and other 4xx will not. */
function isTransient({ status, reason }: UpstreamError): boolean {
  if (reason === 'redirect' || reason === 'body_too_large') return false;
  return status === undefined || status === 200 || status >= 500;
}
