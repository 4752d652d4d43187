import type { Config } from '../config/config.ts';
import { createRateLimiter, type RateLimiter, type RateLimiterParts } from './rate-limiter.ts';

/** The limits of callers: one of each for all routes. */
export interface CallerLimits {
  /** Requests of a principal; undefined where there is no limit. */
  readonly perPrincipal: RateLimiter | undefined;
  /** Failed authentications of a client address; undefined where there is no limit. */
  readonly failuresPerAddress: RateLimiter | undefined;
}

/** Builds the limits of the configuration. */
export function createCallerLimits(
  { limits }: Pick<Config, 'limits'>,
  parts: RateLimiterParts,
): CallerLimits {
  const limiter = (perMinute: number, name: string) =>
    perMinute === 0 ? undefined : createRateLimiter(perMinute, name, parts);
  return {
    perPrincipal: limiter(limits.requestsPerMinute, 'principal'),
    failuresPerAddress: limiter(limits.failuresPerMinute, 'address'),
  };
}
