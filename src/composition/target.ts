import type { TargetConfig } from '../config/config.ts';
import { createProjectIdSource } from '../credentials/project-id.ts';
import type { CredentialProvider } from '../credentials/provider.ts';
import { createCredentialProvider } from '../credentials/sources.ts';
import type { SharedEntries } from '../fleet/entries.ts';
import { createNamespace } from '../fleet/namespace.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform, TargetPlatform } from '../platform/platform.ts';
import { createUpstreamClient, type UpstreamClient } from '../upstream/client.ts';
import type { ReadinessCheck } from './readiness.ts';

/**
 * Interval at which a rejected credential that was never accepted is looked at again: 5 seconds, most times without a
 * call.
 */
const RETRY_REJECTED_MS = 5000;

/** One account, region and project of the vendor, with everything that is kept apart for it. */
export interface Target {
  readonly config: TargetConfig;
  readonly platform: TargetPlatform;
  readonly credentials: CredentialProvider;
  /** Its guards are those of this target alone. */
  readonly upstream: UpstreamClient;
  /** The lists that replicas share; absent where each instance is alone. */
  readonly entries: SharedEntries | undefined;
  /** Counts and logs an entry of the shared store that no load can have given. */
  readonly reportInvalidEntry: () => void;
  readonly readiness: readonly ReadinessCheck[];
  /**
   * Loads what the first call would wait for: the credential, the project id where it is looked up, and a list, at most
   * for the deadline of a call. While no call was accepted, a rejected credential is tried again in the background, as
   * often as the guards let it: probes make no calls, and an instance that is not ready gets none. Never rejects.
   *
   * @param loadList loads a list through the cache
   * @param isOver the process ends
   */
  readonly warm: (loadList: () => Promise<unknown>, isOver: () => boolean) => Promise<void>;
}

/**
 * Builds the parts of one target: credential, guards and client. Call it once for each target; targets know nothing of
 * each other.
 *
 * @throws TypeError when a configured credential cannot be used, see checkCredential
 */
export function createTarget(config: TargetConfig, platform: Platform): Target {
  const own: TargetPlatform = { ...platform, metrics: platform.metrics.forTarget(config.name) };
  const { projectLookup, assumeAgency } = config;
  const keyProofs = platform.fleet?.openKeyProofs?.(createNamespace([config]));
  const credentials = createCredentialProvider(config.credentials, own, { assumeAgency, keyProofs });
  const resolveProjectId = projectLookup && createProjectIdSource(projectLookup, { ...own, keyProofs }).get;
  const upstream = createUpstreamClient(config.upstream, {
    ...own,
    credentials,
    keyProofs,
    resolveProjectId,
  });
  const reportInvalidEntry = () => {
    own.metrics.sharedEntryRejected();
    own.logger.warn({}, 'a shared entry that no load can have given was dropped');
  };
  const entries = platform.fleet?.openEntries({
    namespace: createNamespace([config]),
    reportInvalid: reportInvalidEntry,
    keepStaleMs: config.cache.staleWhileRevalidateMs + config.cache.staleIfErrorMs,
  });
  return {
    config,
    platform: own,
    credentials,
    upstream,
    entries,
    reportInvalidEntry,
    readiness: [
      {
        name: 'credentials',
        // Both are asked: a renewal that is due begins.
        isReady: () => credentials.usable() && upstream.standing !== 'rejected',
        recover: credentials.warm,
      },
    ],
    async warm(loadList, isOver) {
      // What another replica has loaded is not loaded again.
      await Promise.all([credentials.warm(), platform.fleet?.reached]);
      const load = () => runWithin(config.upstream.deadlineMs, own.schedule, loadList).catch(() => undefined);
      const tryLater = (): void => {
        if (upstream.standing === 'accepted' || isOver()) return;
        own.schedule(() => {
          own.waitUntil((upstream.standing === 'rejected' ? load() : Promise.resolve()).then(tryLater));
        }, RETRY_REJECTED_MS);
      };
      if (credentials.usable()) await load();
      tryLater();
    },
  };
}
