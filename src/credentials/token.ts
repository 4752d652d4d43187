import type { TokenCredentialConfig } from '../config/config.ts';
import { createFileProvider } from './file-provider.ts';
import type { CredentialSource } from './provider.ts';
import { staticCredentialProvider } from './static.ts';

/** A token of IAM in the settings, or in a file whose changes are followed. */
export const tokenSource: CredentialSource<TokenCredentialConfig> = {
  name: 'a token of the settings',
  remedy: 'Check that CCE_AUTH_TOKEN_FILE holds a token of IAM, and that it can be read by this user.',
  create({ authToken, file }, platform) {
    if (file !== undefined) return createFileProvider({ authToken }, { authToken: file }, platform);
    platform.metrics.credentialLoaded(undefined);
    return staticCredentialProvider({ authToken });
  },
};
