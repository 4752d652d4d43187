import { describeError } from '../observability/describe-error.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import { createLastGood } from '../outbound/last-good.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import {
  type CredentialProvider,
  CredentialUnavailableError,
  freezeCredential,
  isSameCredential,
} from './provider.ts';

/** A refresh is due when less than this is left: 40 minutes, as in the vendor's SDKs. */
export const REFRESH_LEAD_MS = 2_400_000;
/** Or less than this share of the lifetime, which is shorter for credentials that live down to 15 minutes. */
export const REFRESH_LEAD_SHARE = 0.25;
/** A credential is no longer used in its last 10 seconds: it could expire on the way, or by the vendor's clock. */
export const EXPIRY_MARGIN_MS = 10_000;
/** A refresh that brought the same credential is tried again after a quarter of what is left, 1 to 60 seconds. */
export const LEAST_REPEAT_MS = 1000;
export const LONGEST_REPEAT_MS = 60_000;
/** After rejections the source is asked at most once in this time: 5 seconds. */
export const RELOAD_PAUSE_MS = 5000;

export interface RefreshingProviderOptions {
  /** For the log, such as `metadata`. */
  readonly source: string;
  /** For the log of a failure: settings that would have chosen another source, by its name. Default: none. */
  readonly notSet?: Readonly<Record<string, readonly string[]>>;
  /** Asks the source once, within a time of its own. May reject with anything. */
  readonly load: () => Promise<Credential>;
}

/**
 * Holds the last good credential of a source of temporary ones, and keeps it fresh.
 *
 * It is refreshed in the background, well before it expires and one refresh at a time, when it is asked for; a
 * failed refresh is tried again after a pause of 1 second that doubles to 60 seconds, and the last good one is
 * used until 10 seconds before it expires. Callers who find none share one load.
 */
export function createRefreshingProvider(
  { source, load, notSet = {} }: RefreshingProviderOptions,
  platform: Pick<
    TargetPlatform,
    'now' | 'elapsed' | 'random' | 'waitUntil' | 'createSingleFlight' | 'logger' | 'metrics'
  >,
): CredentialProvider {
  const { logger, metrics, now, elapsed, random } = platform;
  /** The end of a credential by elapsed time, as its load found it. */
  const ends = new WeakMap<Credential, number>();
  let hasLoaded = false;
  let lastError: unknown;

  const leftByWallClockMs = ({ expiresAtMs = Number.POSITIVE_INFINITY }: Credential): number =>
    expiresAtMs - now();
  /** By the wall clock, as the vendor judges it, but a clock that is set back lengthens no life. */
  const leftMs = (credential: Credential): number =>
    Math.min(leftByWallClockMs(credential), (ends.get(credential) ?? Number.POSITIVE_INFINITY) - elapsed());
  const isUsable = (credential: Credential): boolean => leftMs(credential) > EXPIRY_MARGIN_MS;

  async function loadUsable(): Promise<Credential> {
    const credential = freezeCredential(await load());
    if (!isUsable(credential)) throw new OutboundError('expired');
    ends.set(credential, elapsed() + leftByWallClockMs(credential));
    return credential;
  }

  const credentials = createLastGood<Credential>(
    {
      load: loadUsable,
      // The object stays while the source has no newer one: the signer knows its key by it.
      isSame: (a, b) => isSameCredential(a, b) && a.expiresAtMs === b.expiresAtMs,
      isUsable,
      renewAfterMs: (credential, isUnchanged) =>
        isUnchanged ? repeatAfterMs(leftMs(credential)) : refreshAfterMs(leftMs(credential)),
      reloadIntervalMs: RELOAD_PAUSE_MS,
      pauseMs: (failures) => pauseAfterFailures(failures, random()),
      onLoaded({ expiresAtMs }) {
        hasLoaded = true;
        lastError = undefined;
        metrics.credentialLoaded(expiresAtMs);
        logger.info({ source, expiresAt: timeOf(expiresAtMs) }, 'credential loaded');
      },
      onFailed(error, failures) {
        lastError = error;
        const usable = credentials.current() !== undefined;
        const fields = { source, failures, usable, error: describeError(error) };
        const hint = Object.keys(notSet).length === 0 ? {} : { notSet };
        logger.warn({ ...fields, ...hint }, 'the credential could not be refreshed');
      },
    },
    platform,
  );

  function orThrow(credential: Credential | undefined): Credential {
    if (credential !== undefined) return credential;
    throw new CredentialUnavailableError(hasLoaded ? 'credential_expired' : 'no_credential', {
      cause: lastError,
    });
  }

  function hasAnother(rejected: Credential): boolean {
    const current = credentials.current();
    return current !== undefined && !isSameCredential(current, rejected);
  }

  return {
    get() {
      const credential = credentials.get();
      return credential instanceof Promise ? credential.then(orThrow) : credential;
    },
    async reload(rejected) {
      if (hasAnother(rejected)) return true;
      await credentials.reload();
      return hasAnother(rejected);
    },
    usable: credentials.usable,
    warm: credentials.warm,
  };
}

function refreshAfterMs(leftMs: number): number {
  return leftMs - Math.min(REFRESH_LEAD_MS, leftMs * REFRESH_LEAD_SHARE);
}

function repeatAfterMs(leftMs: number): number {
  return Math.min(LONGEST_REPEAT_MS, Math.max(LEAST_REPEAT_MS, leftMs / 4));
}

function timeOf(epochMs: number | undefined): string | undefined {
  return epochMs === undefined ? undefined : new Date(epochMs).toISOString();
}
