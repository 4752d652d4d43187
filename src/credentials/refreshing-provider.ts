import { describeError } from '../observability/describe-error.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import { createLastGood } from '../outbound/last-good.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import { WALL_AHEAD_MS } from '../time/wall-ahead.ts';
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
  /** What the last load of a credential found: its end by elapsed time, and how far the wall clock was ahead of that time. */
  const found = new WeakMap<Credential, { readonly endMs: number; readonly wallAheadMs: number }>();
  const wallAheadMs = (): number => now() - elapsed();
  const startedAheadMs = wallAheadMs();
  let hasLoaded = false;
  let lastError: unknown;

  const isEnough = (leftMs: number): boolean => leftMs > EXPIRY_MARGIN_MS;

  /**
   * By the wall clock, or by the clock of the start, as if it had not been set since: the shorter life that may be used. Which
   * clock is right is not known, and a wrong one must not end what the vendor accepts.
   */
  function leftByClocksMs({ expiresAtMs = Number.POSITIVE_INFINITY }: Credential): number {
    const lefts = [expiresAtMs - now(), expiresAtMs - elapsed() - startedAheadMs];
    const enough = lefts.filter(isEnough);
    return enough.length > 0 ? Math.min(...enough) : Math.max(...lefts);
  }

  /** A clock that is set back lengthens no life. */
  const leftMs = (credential: Credential): number =>
    Math.min(
      leftByClocksMs(credential),
      (found.get(credential)?.endMs ?? Number.POSITIVE_INFINITY) - elapsed(),
    );
  const isUsable = (credential: Credential): boolean => isEnough(leftMs(credential));

  /** Over by a wall clock that has run ahead since the last load: the machine was suspended, or the clock set. */
  function isDoubtful(credential: Credential): boolean {
    const { expiresAtMs = Number.POSITIVE_INFINITY } = credential;
    const aheadMs = found.get(credential)?.wallAheadMs ?? startedAheadMs;
    return !isEnough(expiresAtMs - now()) && wallAheadMs() - aheadMs > WALL_AHEAD_MS;
  }

  function noteLoad(credential: Credential): Credential {
    found.set(credential, { endMs: elapsed() + leftByClocksMs(credential), wallAheadMs: wallAheadMs() });
    return credential;
  }

  async function loadUsable(): Promise<Credential> {
    const credential = freezeCredential(await load());
    if (!isUsable(credential)) throw new OutboundError('expired');
    const held = credentials.current();
    if (held !== undefined && isSame(held, credential)) {
      // The held object stays.
      const endMs = found.get(held)?.endMs ?? Number.POSITIVE_INFINITY;
      found.set(held, { endMs, wallAheadMs: wallAheadMs() });
    }
    return noteLoad(credential);
  }

  const credentials = createLastGood<Credential>(
    {
      load: loadUsable,
      // The object stays while the source has no newer one: the signer knows its key by it.
      isSame,
      isUsable,
      isDoubtful,
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

function isSame(a: Credential, b: Credential): boolean {
  return isSameCredential(a, b) && a.expiresAtMs === b.expiresAtMs;
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
