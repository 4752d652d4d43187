import type { StaticCredentialConfig } from '../config/config.ts';
import type { Credential } from '../signing/credential.ts';
import { createFileProvider } from './file-provider.ts';
import { type CredentialProvider, type CredentialSource, freezeCredential } from './provider.ts';

/** A key pair of the settings, in variables or in files whose changes are followed. */
export const staticSource: CredentialSource<StaticCredentialConfig> = {
  name: 'a key pair of the settings',
  remedy: 'Check HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK, and that their files can be read by this user.',
  create(config, platform) {
    const isInFiles = Object.values(config.files).some((path) => path !== undefined);
    if (isInFiles) return createFileProvider(config, config.files, platform);
    platform.metrics.credentialLoaded(undefined);
    return staticCredentialProvider(config);
  },
};

/**
 * A provider that always answers the same credential, a frozen copy of the one given.
 *
 * @throws TypeError at once when the credential cannot be used, see checkCredential
 */
export function staticCredentialProvider(credential: Credential): CredentialProvider {
  const frozen = freezeCredential(credential);
  return {
    get: () => frozen,
    reload: async () => false,
    usable: () => true,
    warm: async () => undefined,
  };
}
