import type { Config } from '../config/config.ts';
import { ProblemError } from '../http/problem.ts';
import type { RequestScope } from '../http/request-scope.ts';
import type { RouteRequest } from '../http/route.ts';
import { limitedNetwork } from '../limits/limited-network.ts';
import { rateLimited } from '../limits/rate-limited.ts';
import { createRateLimiter, type RateLimiter, type RateLimiterParts } from '../limits/rate-limiter.ts';
import type { Platform } from '../platform/platform.ts';
import { isSdkAuthorization, type SignatureVerifier } from './inbound-signature.ts';
import { authorise, type Principal } from './principal.ts';
import type { Authenticator } from './verify-token.ts';

/**
 * Who calls, may they, and do they call too often? Writes the caller into the scope, for the log.
 *
 * @throws ProblemError (or rejects with it) `unauthenticated`, `forbidden`, `rate_limited` or `keys_unavailable`
 */
export type AuthenticateCaller = (
  request: RouteRequest,
  scope: RequestScope,
) => Principal | Promise<Principal>;

export interface CallerServices {
  readonly authenticator: Authenticator;
  /** Absent where signed requests are refused like any other bad token. */
  readonly signatures?: SignatureVerifier | undefined;
  readonly limits: CallerLimits;
}

export interface CallerLimits {
  readonly perPrincipal: RateLimiter | undefined;
  readonly failuresPerAddress: RateLimiter | undefined;
}

/** The limits of the configuration: one of each for all routes. */
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

/**
 * Builds the first steps of every route that needs a caller: authenticate, authorise, limit. For a token seen lately
 * nothing of it is asynchronous.
 *
 * Failed attempts are counted for each client address, of IPv6 for each /64 network. Past the limit nothing more of that address is checked, but a
 * token that was verified lately still passes: callers behind one address do not shut each other out at once.
 */
export function createAuthenticateCaller(
  { authenticator, signatures, limits }: CallerServices,
  config: Pick<Config, 'limits'>,
  deps: Pick<Platform, 'now' | 'clientAddress'>,
): AuthenticateCaller {
  const { perPrincipal, failuresPerAddress } = limits;

  const addressOf = (request: RouteRequest): string =>
    deps.clientAddress?.(request, request.env) ?? 'unknown';

  function refuseAfterFailures(request: RouteRequest): void {
    const waitMs = failuresPerAddress?.waitMs(limitedNetwork(addressOf(request)), deps.now());
    if (waitMs !== undefined) throw rateLimited('address', config.limits.failuresPerMinute, waitMs);
  }

  function noteFailure(request: RouteRequest, error: unknown): void {
    if (failuresPerAddress === undefined) return;
    if (error instanceof ProblemError && error.code === 'unauthenticated') {
      refuseAfterFailures(request);
      failuresPerAddress.take(limitedNetwork(addressOf(request)), deps.now());
    }
  }

  function prove(request: RouteRequest): Principal | Promise<Principal> {
    const authorization = request.headers.get('authorization');
    if (signatures !== undefined && isSdkAuthorization(authorization)) {
      refuseAfterFailures(request);
      return signatures.verify(request, addressOf(request));
    }
    return authenticator.authenticate(
      authorization,
      failuresPerAddress === undefined ? undefined : () => refuseAfterFailures(request),
    );
  }

  function admit(principal: Principal, scope: RequestScope): Principal {
    scope.subject = principal.subject;
    scope.issuer = principal.issuer;
    authorise(principal);
    const waitMs = perPrincipal?.take(principal.limitKey, deps.now());
    if (waitMs !== undefined) throw rateLimited('principal', config.limits.requestsPerMinute, waitMs);
    scope.access = 'granted';
    return principal;
  }

  return (request, scope) => {
    try {
      const proved = prove(request);
      if (!(proved instanceof Promise)) return admit(proved, scope);
      return proved.then(
        (principal) => admit(principal, scope),
        (error) => {
          noteFailure(request, error);
          throw error;
        },
      );
    } catch (error) {
      noteFailure(request, error);
      throw error;
    }
  };
}
