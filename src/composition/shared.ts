import type { MiddlewareHandler } from 'hono';
import { authenticateCaller, type CallerEnv } from '../auth/authenticate-caller.ts';
import { createSignatureVerifier } from '../auth/inbound-signature.ts';
import { type Authenticator, createAuthenticator } from '../auth/verify-token.ts';
import type { Config } from '../config/config.ts';
import { createNamespace } from '../fleet/namespace.ts';
import { type CallerLimits, createCallerLimits } from '../limits/caller-limits.ts';
import type { Platform } from '../platform/platform.ts';
import type { ReadinessCheck } from './readiness.ts';

/** What all rooms and targets share: the callers and their limits. */
export interface Shared {
  readonly config: Config;
  readonly platform: Platform;
  readonly authenticator: Authenticator;
  readonly limits: CallerLimits;
  /** Admits callers with a bearer token. */
  readonly byToken: MiddlewareHandler<CallerEnv>;
  /** Admits callers as the vendor does: with a token, in X-Auth-Token too, or the signature of one of its SDKs. */
  readonly asVendor: MiddlewareHandler<CallerEnv>;
  readonly readiness: readonly ReadinessCheck[];
}

/** Builds the parts that a service has once, however many targets and resources it serves. */
export function createShared(config: Config, platform: Platform): Shared {
  const authenticator = createAuthenticator(config, platform);
  const signatures = config.sdkClients && createSignatureVerifier(config.sdkClients, platform);
  const sharedUse = platform.fleet?.openUse?.(createNamespace([config.target]));
  const limits = createCallerLimits(config, { ...platform, sharedUse });
  return {
    config,
    platform,
    authenticator,
    limits,
    byToken: authenticateCaller({ authenticator, limits }, config, platform),
    asVendor: authenticateCaller(
      { authenticator, signatures, takesAuthToken: true, limits },
      config,
      platform,
    ),
    readiness: [
      {
        name: 'keys',
        isReady: authenticator.keysUsable,
        degraded: authenticator.issuersWithoutKeys,
        recover: authenticator.warm,
      },
    ],
  };
}
