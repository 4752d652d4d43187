import { UpstreamError } from '../vendor/upstream-error.ts';

/** What a call ends with when its time is over. */
export function timeoutError(): UpstreamError {
  return new UpstreamError('upstream_timeout', { reason: 'timeout' });
}

/**
 * For use after each wait: nothing more is done for a call that has timed out in the meantime.
 *
 * @throws UpstreamError `upstream_timeout`
 */
export function throwIfTimedOut(signal: AbortSignal): void {
  if (signal.aborted) throw timeoutError();
}
