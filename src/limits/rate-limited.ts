import { ProblemError } from '../http/problem.ts';

/**
 * The 429 of the contract, with the fields of draft-ietf-httpapi-ratelimit-headers: the policy, and that nothing is
 * left until `t`.
 *
 * @param policy its name: who is limited
 */
export function rateLimited(
  policy: 'principal' | 'address',
  perMinute: number,
  waitMs: number,
): ProblemError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1000));
  return new ProblemError('rate_limited', {
    detail: `more than ${perMinute} ${policy === 'principal' ? 'requests' : 'failed attempts'} a minute`,
    headers: {
      'ratelimit-policy': `"${policy}";q=${perMinute};w=60`,
      ratelimit: `"${policy}";r=0;t=${seconds}`,
    },
    retryAfterSeconds: seconds,
    reason: `${policy}_limit`,
  });
}
