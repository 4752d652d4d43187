import { describeError } from '../observability/describe-error.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import { CredentialSourceError } from '../outbound/source-error.ts';
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
/** After refusals the source is asked at most once in this time: 5 seconds. */
export const RELOAD_PAUSE_MS = 5000;
/** A refresh that has not ended by then is taken for dead, and another may begin: 30 seconds. */
export const REFRESH_LOST_MS = 30_000;

export interface RefreshingProviderOptions {
  /** For the log, such as `metadata`. */
  readonly source: string;
  /** Asks the source once, within a time of its own. May reject with anything. */
  readonly load: () => Promise<Credential>;
}

interface HeldCredential {
  readonly credential: Credential;
  /** Never, when it does not expire. */
  readonly unusableFromMs: number;
  /** A refresh is due from then on. */
  refreshFromMs: number;
}

/**
 * Holds the last good credential of a source of temporary ones, and keeps it fresh.
 *
 * It is refreshed in the background, well before it expires and one refresh at a time, when it is asked for; a
 * failed refresh is tried again after a pause of 1 second that doubles to 60 seconds, and the last good one is
 * used until 10 seconds before it expires. Callers who find none share one load. No promise is kept between
 * calls but in the single-flight of the runtime.
 */
export function createRefreshingProvider(
  { source, load }: RefreshingProviderOptions,
  deps: Pick<TargetPlatform, 'now' | 'random' | 'waitUntil' | 'createSingleFlight' | 'logger' | 'metrics'>,
): CredentialProvider {
  const flights = deps.createSingleFlight();
  let held: HeldCredential | undefined;
  let failures = 0;
  /** After a failure nobody asks the source before. */
  let pauseUntilMs = Number.NEGATIVE_INFINITY;
  /** A background refresh is under way, unless it was lost: where flights are not shared, this stands in. */
  let refreshingUntilMs = Number.NEGATIVE_INFINITY;
  let reloadFromMs = Number.NEGATIVE_INFINITY;

  const isUsable = (current: HeldCredential | undefined): current is HeldCredential =>
    current !== undefined && deps.now() < current.unusableFromMs;

  /** Asks the source and takes what it gives. Never rejects. */
  async function refresh(): Promise<void> {
    try {
      adopt(await load());
      failures = 0;
    } catch (error) {
      failures += 1;
      pauseUntilMs = deps.now() + pauseAfterFailures(failures, deps.random());
      deps.logger.warn(
        { source, failures, usable: isUsable(held), error: describeError(error) },
        'the credential could not be refreshed',
      );
    }
  }

  function adopt(loaded: Credential): void {
    const credential = freezeCredential(loaded);
    const { expiresAtMs = Number.POSITIVE_INFINITY } = credential;
    const nowMs = deps.now();
    const leftMs = expiresAtMs - nowMs;
    if (leftMs <= EXPIRY_MARGIN_MS) throw new CredentialSourceError('expired');

    if (
      held !== undefined &&
      isSameCredential(held.credential, credential) &&
      held.credential.expiresAtMs === credential.expiresAtMs
    ) {
      // The source has no newer one yet. The object stays: the signer knows its key by it.
      const repeatMs = Math.min(LONGEST_REPEAT_MS, Math.max(LEAST_REPEAT_MS, leftMs / 4));
      held.refreshFromMs = Math.max(held.refreshFromMs, nowMs + repeatMs);
      return;
    }
    held = {
      credential,
      unusableFromMs: expiresAtMs - EXPIRY_MARGIN_MS,
      refreshFromMs: expiresAtMs - Math.min(REFRESH_LEAD_MS, leftMs * REFRESH_LEAD_SHARE),
    };
    deps.metrics.credentialLoaded(credential.expiresAtMs);
    deps.logger.info({ source, expiresAt: timeOf(credential.expiresAtMs) }, 'credential loaded');
  }

  /** Starts a refresh or joins the one under way. Undefined while the pause lasts. */
  function refreshIfAllowed(): Promise<void> | undefined {
    const nowMs = deps.now();
    if (nowMs < pauseUntilMs) return undefined;
    const { promise, joined } = flights.run('refresh', refresh);
    if (!joined) deps.waitUntil(promise);
    return promise;
  }

  function refreshInBackground(current: HeldCredential): void {
    const nowMs = deps.now();
    if (nowMs < current.refreshFromMs || nowMs < refreshingUntilMs) return;
    const refreshed = refreshIfAllowed();
    if (refreshed === undefined) return;
    const mark = nowMs + REFRESH_LOST_MS;
    refreshingUntilMs = mark;
    void refreshed.then(() => {
      if (refreshingUntilMs === mark) refreshingUntilMs = Number.NEGATIVE_INFINITY;
    });
  }

  async function getAfterLoading(): Promise<Credential> {
    await refreshIfAllowed();
    if (isUsable(held)) return held.credential;
    throw new CredentialUnavailableError(held === undefined ? 'no_credential' : 'credential_expired');
  }

  const hasAnother = (refused: Credential): boolean =>
    isUsable(held) && !isSameCredential(held.credential, refused);

  return {
    get() {
      if (!isUsable(held)) return getAfterLoading();
      const { credential } = held;
      refreshInBackground(held);
      return credential;
    },
    async reload(refused) {
      if (hasAnother(refused)) return true;
      await flights.run('reload', async () => {
        const nowMs = deps.now();
        if (nowMs < reloadFromMs) return;
        reloadFromMs = nowMs + RELOAD_PAUSE_MS;
        await refreshIfAllowed();
      }).promise;
      return hasAnother(refused);
    },
    usable() {
      if (!isUsable(held)) return false;
      refreshInBackground(held);
      return true;
    },
    async warm() {
      if (!isUsable(held)) await refreshIfAllowed();
    },
  };
}

function timeOf(epochMs: number | undefined): string | undefined {
  return epochMs === undefined ? undefined : new Date(epochMs).toISOString();
}
