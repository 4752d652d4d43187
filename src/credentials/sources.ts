import { metadataService, podIdentity, profileSource } from '#credentials-of-node';
import type { AssumeAgencyConfig, CredentialConfig } from '../config/config.ts';
import type { KeyProofs } from '../fleet/key-proofs.ts';
import type { TargetPlatform } from '../platform/platform.ts';
import { createAgencyProvider } from './assume-agency.ts';
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
  profile: profileSource,
  pod: podIdentity,
  metadata: metadataService,
};

export interface CredentialProviderOptions {
  /** The agency whose credential is taken in place of that of the source. */
  readonly assumeAgency?: AssumeAgencyConfig | undefined;
  /** Absent where no replicas share what they know of keys. */
  readonly keyProofs?: KeyProofs | undefined;
}

/**
 * The provider of the credentials that the configuration names. It asks nobody before it is asked.
 *
 * @throws TypeError when a configured credential cannot be used, see checkCredential
 */
export function createCredentialProvider(
  config: CredentialConfig,
  platform: TargetPlatform,
  { assumeAgency, keyProofs }: CredentialProviderOptions = {},
): CredentialProvider {
  // The registry's type pairs each source with its configuration; the compiler forgets it for a union.
  const source: CredentialSource<never> = CREDENTIAL_SOURCES[config.source];
  if (assumeAgency === undefined) return source.create(config as never, platform);
  // The expiry that is measured is the agency's.
  const metrics = { ...platform.metrics, credentialLoaded: () => undefined };
  const ofSource = source.create(config as never, { ...platform, metrics });
  return createAgencyProvider(assumeAgency, ofSource, { ...platform, keyProofs });
}
