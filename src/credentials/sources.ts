import { metadataService, podIdentity } from '#credentials-of-node';
import type { CredentialConfig } from '../config/config.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { oidcSource } from './oidc.ts';
import type { CredentialProvider, CredentialSource } from './provider.ts';
import { staticSource } from './static.ts';
import { tokenSource } from './token.ts';

type ConfigOf<Source extends CredentialConfig['source']> = Extract<CredentialConfig, { source: Source }>;

/** The sources of credentials that a configuration may name: one file and one entry each. */
export const CREDENTIAL_SOURCES: {
  readonly [Source in CredentialConfig['source']]: CredentialSource<ConfigOf<Source>>;
} = {
  oidc: oidcSource,
  static: staticSource,
  token: tokenSource,
  pod: podIdentity,
  metadata: metadataService,
};

/**
 * The provider of the credentials that the configuration names. It asks nobody before it is asked.
 *
 * @throws TypeError when a configured credential cannot be used, see checkCredential
 */
export function createCredentialProvider(
  config: CredentialConfig,
  platform: TargetPlatform,
): CredentialProvider {
  // The registry's type pairs each source with its configuration; the compiler forgets it for a union.
  const source: CredentialSource<never> = CREDENTIAL_SOURCES[config.source];
  return source.create(config as never, platform);
}
