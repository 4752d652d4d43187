import type { TargetConfig } from '../config/config.ts';
import { createProjectIdSource } from '../credentials/project-id.ts';
import type { CredentialProvider } from '../credentials/provider.ts';
import { createCredentialProvider } from '../credentials/sources.ts';
import type { SharedEntries } from '../fleet/entries.ts';
import { createNamespace } from '../fleet/namespace.ts';
import type { Platform, TargetPlatform } from '../platform/platform.ts';
import { createUpstreamClient, type UpstreamClient } from '../upstream/client.ts';
import type { ReadinessCheck } from './readiness.ts';

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
  /** Loads what the first call would wait for: the credential and, where it is looked up, the project id. Never rejects. */
  readonly warm: () => Promise<void>;
}

/**
 * Builds the parts of one target: credential, guards and client. Call it once for each target; targets know nothing of
 * each other.
 *
 * @throws TypeError when a configured credential cannot be used, see checkCredential
 */
export function createTarget(config: TargetConfig, platform: Platform): Target {
  const own: TargetPlatform = { ...platform, metrics: platform.metrics.forTarget(config.name) };
  const credentials = createCredentialProvider(config.credentials, own);
  const { projectLookup } = config;
  const resolveProjectId = projectLookup && createProjectIdSource(projectLookup, own).get;
  const upstream = createUpstreamClient(config.upstream, { ...own, credentials, resolveProjectId });
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
    readiness: [{ name: 'credentials', isReady: credentials.usable, recover: credentials.warm }],
    warm: async () => {
      await credentials.warm();
      if (resolveProjectId === undefined || !credentials.usable()) return;
      try {
        await resolveProjectId(await credentials.get());
      } catch {
        // In the log already; the first request tries again.
      }
    },
  };
}
