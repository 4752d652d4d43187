import { describe, expect, it } from 'vitest';
import {
  breakerOutcome,
  isTransient,
  mayBeRetried,
  pauseBeforeRetry,
} from '../../src/upstream/retry-policy.ts';
import {
  UpstreamError,
  type UpstreamErrorKind,
  type UpstreamErrorReason,
} from '../../src/vendor/upstream-error.ts';

type Facts = { readonly status?: number; readonly retryAfterSeconds?: number };

/** Failure, its facts, the pause with a random number of 0.5, whether it is transient, and what the breaker counts. */
const FAILURES: readonly [
  UpstreamErrorKind,
  UpstreamErrorReason,
  Facts,
  number | undefined,
  boolean,
  string,
][] = [
  ['upstream_rejected', 'refused', { status: 401 }, undefined, false, 'neutral'],
  ['upstream_rejected', 'locked_out', {}, undefined, true, 'neutral'],
  ['upstream_throttled', 'throttled', { status: 429 }, undefined, false, 'failure'],
  ['upstream_throttled', 'throttled', { status: 429, retryAfterSeconds: 3 }, 3000, false, 'neutral'],
  ['upstream_timeout', 'timeout', {}, 100, true, 'failure'],
  ['upstream_timeout', 'connection', {}, 100, true, 'failure'],
  ['upstream_failed', 'connection', {}, 100, true, 'failure'],
  ['upstream_failed', 'truncated', {}, 100, true, 'failure'],
  ['upstream_failed', 'not_the_model', { status: 200 }, 100, true, 'failure'],
  ['upstream_failed', 'status', { status: 500 }, 100, true, 'failure'],
  ['upstream_failed', 'status', { status: 503, retryAfterSeconds: 2 }, 2000, true, 'failure'],
  ['upstream_failed', 'status', { status: 503, retryAfterSeconds: 0 }, 100, true, 'failure'],
  ['upstream_failed', 'status', { status: 499 }, undefined, false, 'failure'],
  ['upstream_failed', 'redirect', { status: 302 }, undefined, false, 'failure'],
  ['upstream_failed', 'redirect', {}, undefined, false, 'failure'],
  ['upstream_failed', 'body_too_large', {}, undefined, false, 'failure'],
  ['credentials_unavailable', 'no_credential', {}, undefined, false, 'neutral'],
  ['upstream_failed', 'no_credential', {}, undefined, false, 'neutral'],
  ['overloaded', 'breaker_open', { retryAfterSeconds: 5 }, undefined, true, 'neutral'],
  ['overloaded', 'too_many_in_flight', { retryAfterSeconds: 1 }, undefined, true, 'neutral'],
];

describe('the retry policy', () => {
  it.each(FAILURES)('%s, %s, %o', (kind, reason, facts, pauseMs, transient, outcome) => {
    const failure = new UpstreamError(kind, { reason, ...facts });
    expect(pauseBeforeRetry(failure, 0.5)).toBe(pauseMs);
    expect(isTransient(failure)).toBe(transient);
    expect(breakerOutcome(failure)).toBe(outcome);
  });

  it('pauses for up to 200 ms, at random', () => {
    const failure = new UpstreamError('upstream_timeout', { reason: 'timeout' });
    expect([0, 0.25, 0.75].map((random) => pauseBeforeRetry(failure, random))).toEqual([0, 50, 150]);
  });

  it.each([
    ['timeout', true, true],
    ['timeout', false, false],
    ['connection', true, true],
    ['locked_out', false, true],
  ] as const)('after %s, sent %s: %s', (reason, wasSent, expected) => {
    expect(mayBeRetried(new UpstreamError('upstream_timeout', { reason }), wasSent)).toBe(expected);
  });
});
