import type { Context, MiddlewareHandler } from 'hono';
import { createMiddleware } from 'hono/factory';
import type { Config } from '../config/config.ts';
import type { AppEnv } from '../http/env.ts';
import { ProblemError } from '../http/problem.ts';
import type { CallerLimits } from '../limits/caller-limits.ts';
import { limitedNetwork } from '../limits/limited-network.ts';
import { rateLimited, rateLimitedByPlatform } from '../limits/rate-limited.ts';
import type { Platform } from '../platform/platform.ts';
import { authorizationOf, unauthenticated } from './bearer.ts';
import { isSdkAuthorization, type SignatureVerifier, type SignedCaller } from './inbound-signature.ts';
import { authorise, type Principal } from './principal.ts';
import { resourceMetadataUrl, withResourceMetadata } from './resource-metadata.ts';
import type { Authenticator } from './verify-token.ts';

/** What a room behind the middleware finds: `c.var.caller`. */
export interface CallerEnv extends AppEnv {
  Variables: AppEnv['Variables'] & { caller: Principal };
}

export interface CallerServices {
  readonly authenticator: Authenticator;
  /** Absent where signed requests are denied like any other bad token. */
  readonly signatures?: SignatureVerifier | undefined;
  /** Whether the token may come in X-Auth-Token too. Default: no. */
  readonly takesAuthToken?: boolean;
  readonly limits: CallerLimits;
}

const NO_SIGNATURES =
  'requests signed with a key pair are not accepted here: send a token in the header Authorization: Bearer <token>';
const NO_PROOF =
  'sign the request with a key pair of this service, or send a token in the header Authorization: Bearer <token>';

/**
 * The first steps of every route that needs a caller: authenticate (who), authorise (may they), limit. Sets
 * `c.var.caller`, and writes the caller into the record, for the log.
 *
 * Failed attempts are counted for each client address, of IPv6 for each /64 network. Past the limit nothing more of that
 * address is checked, but a token that was verified lately still passes: callers behind one address do not shut each other
 * out at once.
 *
 * It throws ProblemError `bad_request`, `unauthenticated`, `forbidden`, `rate_limited` or `keys_unavailable`.
 */
export function authenticateCaller(
  { authenticator, signatures, takesAuthToken, limits: { perPrincipal, failuresPerAddress } }: CallerServices,
  { limits, publicUrl }: Pick<Config, 'limits' | 'publicUrl'>,
  platform: Pick<Platform, 'elapsed' | 'clientAddress' | 'limitRate'>,
): MiddlewareHandler<CallerEnv> {
  const metadataUrl = publicUrl === undefined ? undefined : resourceMetadataUrl(publicUrl);
  const addressOf = (c: Context): string => platform.clientAddress?.(c.req.raw, c.env) ?? 'unknown';

  function denyAfterFailures(c: Context): void {
    const waitMs = failuresPerAddress?.waitMs(limitedNetwork(addressOf(c)), platform.elapsed());
    if (waitMs !== undefined) throw rateLimited('address', limits.failuresPerMinute, waitMs);
  }

  function countFailure(c: Context, error: unknown): void {
    if (failuresPerAddress === undefined) return;
    if (!(error instanceof ProblemError) || error.code !== 'unauthenticated') return;
    denyAfterFailures(c);
    failuresPerAddress.take(limitedNetwork(addressOf(c)), platform.elapsed());
  }

  async function authenticate(c: Context): Promise<SignedCaller | { caller: Principal; admit?: undefined }> {
    // A request target has no fragment (RFC 9112, section 3.2). Parts that read the URL each in its own way could differ on
    // where the query begins.
    if (c.req.raw.url.includes('#'))
      throw new ProblemError('bad_request', { detail: "a request has no fragment: write '#' as %23" });
    const { headers } = c.req.raw;
    const authorization = takesAuthToken ? authorizationOf(headers) : headers.get('authorization');
    if (isSdkAuthorization(authorization)) {
      if (signatures === undefined) throw unauthenticated(NO_SIGNATURES, 'not_a_bearer_token');
      denyAfterFailures(c);
      return signatures.verify(c.req.raw, addressOf(c));
    }
    if (signatures !== undefined && !authorization) throw unauthenticated(NO_PROOF, 'no_token');
    const beforeCheck = failuresPerAddress && (() => denyAfterFailures(c));
    return { caller: await authenticator.authenticate(authorization, beforeCheck) };
  }

  async function admitCaller(c: Context<CallerEnv>): Promise<void> {
    let proved: Awaited<ReturnType<typeof authenticate>>;
    try {
      proved = await authenticate(c);
    } catch (error) {
      countFailure(c, error);
      throw error;
    }
    const { caller, admit } = proved;
    const record = c.get('record');
    record.subject = caller.subject;
    record.issuer = caller.issuer;
    authorise(caller);
    const isWithin = await platform.limitRate?.(caller.limitKey);
    if (isWithin === false) throw rateLimitedByPlatform();
    const waitMs = isWithin ? undefined : perPrincipal?.take(caller.limitKey, platform.elapsed());
    if (waitMs !== undefined) throw rateLimited('principal', limits.requestsPerMinute, waitMs);
    // What the limit denies is not remembered: one caller must not fill the memory of all.
    admit?.();
    record.access = 'granted';
    c.set('caller', caller);
  }

  return createMiddleware<CallerEnv>(async (c, next) => {
    try {
      await admitCaller(c);
    } catch (error) {
      throw metadataUrl === undefined ? error : withResourceMetadata(error, metadataUrl);
    }
    await next();
  });
}
