import { runWithin } from '../../outbound/run-within.ts';
import type { Platform } from '../../platform/platform.ts';

/** The name under which a rate limiter of the platform is bound, in place of the service's own. */
export const LIMITER_BINDING = 'IMAGECACHES_RATE_LIMITER';
/** What takes longer is done without: 50 ms. The platform counts in the same machine. */
export const LIMIT_TIMEOUT_MS = 50;

/** https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/ */
interface RateLimiterBinding {
  limit(options: { readonly key: string }): Promise<{ readonly success: boolean }>;
}

/** Is this binding a rate limiter? */
export function isRateLimiter(binding: unknown): binding is RateLimiterBinding {
  return typeof binding === 'object' && binding !== null && typeof Object(binding).limit === 'function';
}

/** The platform's limit of principals, where it is bound. */
export function boundLimit(
  binding: unknown,
  { schedule }: Pick<Platform, 'schedule'>,
): Pick<Platform, 'limitRate'> {
  if (!isRateLimiter(binding)) return {};
  return {
    limitRate: async (key) => {
      try {
        return (await runWithin(LIMIT_TIMEOUT_MS, schedule, () => binding.limit({ key }))).success;
      } catch {
        return undefined;
      }
    },
  };
}
