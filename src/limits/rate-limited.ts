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

/** The least period of the platforms' limits, in seconds: none says when there is room again. */
const PLATFORM_RETRY_SECONDS = 10;

/** The 429 where the platform limits principals, by a policy that only it knows. */
export function rateLimitedByPlatform(): ProblemError {
  return new ProblemError('rate_limited', {
    detail: 'more requests than this place takes of one caller',
    retryAfterSeconds: PLATFORM_RETRY_SECONDS,
    reason: 'platform_limit',
  });
}
