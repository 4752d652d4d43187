import type { CredentialConfig } from '../config/config.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { createFileProvider } from './file-provider.ts';
import { createMetadataServiceSource } from './metadata-service.ts';
import { createPodIdentitySource } from './pod-identity.ts';
import { type CredentialProvider, staticCredentialProvider } from './provider.ts';
import { createRefreshingProvider } from './refreshing-provider.ts';

/**
 * The provider of the credentials that the configuration names. It asks nobody before it is asked.
 *
 * @throws TypeError when a configured credential cannot be used, see checkCredential
 */
export function createCredentialProvider(config: CredentialConfig, deps: TargetPlatform): CredentialProvider {
  switch (config.source) {
    case 'static': {
      const isInFiles = Object.values(config.files).some((path) => path !== undefined);
      if (isInFiles) return createFileProvider(config, config.files, deps);
      deps.metrics.credentialLoaded(undefined);
      return staticCredentialProvider(config);
    }
    case 'pod':
      return createRefreshingProvider({ source: 'pod', load: createPodIdentitySource(config, deps) }, deps);
    case 'metadata': {
      const load = createMetadataServiceSource(config.endpoint, deps);
      return createRefreshingProvider({ source: 'metadata', load }, deps);
    }
  }
}
