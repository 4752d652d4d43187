import type { UpstreamError } from '../vendor/upstream-error.ts';
import type { CallOutcome } from './guards/circuit-breaker.ts';

/** Maximum of the random pause before the second attempt: 200 ms. */
const RETRY_PAUSE_MS = 200;

/**
 * Whether a failure may be followed by another attempt. A call that timed out before it was sent may not: what it
 * waited for is not upstream, and would make the next one wait too.
 *
 * @param wasSent the request went out
 */
export function mayBeRetried({ reason }: UpstreamError, wasSent: boolean): boolean {
  return wasSent || reason !== 'timeout';
}

/**
 * Pause before another attempt under unchanged circumstances, in milliseconds; undefined when none would help.
 *
 * @param random from 0 (inclusive) to 1 (exclusive), for jitter
 */
export function pauseBeforeRetry(failure: UpstreamError, random: number): number | undefined {
  switch (failure.kind) {
    case 'upstream_throttled':
      // Without a Retry-After a quick second call only makes it worse.
      return failure.retryAfterSeconds === undefined ? undefined : failure.retryAfterSeconds * 1000;
    case 'upstream_timeout':
      return random * RETRY_PAUSE_MS;
    case 'upstream_failed':
      // A 503 may carry Retry-After (RFC 9110, section 10.2.3).
      return isTransient(failure)
        ? Math.max(random * RETRY_PAUSE_MS, (failure.retryAfterSeconds ?? 0) * 1000)
        : undefined;
    default:
      return undefined;
  }
}

/** True for a failure that may pass: 5xx, connection faults, broken bodies. Redirects, floods and other 4xx stay. */
export function isTransient({ status, reason }: UpstreamError): boolean {
  if (reason === 'redirect' || reason === 'body_too_large' || reason === 'no_credential') return false;
  return status === undefined || status === 200 || status >= 500;
}

/** What a failure says about upstream's health. Rejections and calls that were not made say nothing. */
export function breakerOutcome({ kind, reason, retryAfterSeconds }: UpstreamError): CallOutcome {
  if (reason === 'no_credential') return 'neutral';
  if (kind === 'upstream_failed' || kind === 'upstream_timeout') return 'failure';
  // Where the vendor names no time to wait, only the breaker can stop the calls.
  return kind === 'upstream_throttled' && retryAfterSeconds === undefined ? 'failure' : 'neutral';
}
