import type { ProfileCredentialConfig } from '../config/config.ts';
import { type Profile, parseProfile } from '../config/documents/profile.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import type { KeyPair } from '../signing/credential.ts';
import { createFileProvider } from './file-provider.ts';
import type { CredentialSource } from './provider.ts';

/** The profile file of the vendor's SDKs. Changes of its keys are followed; those of its other members are not. */
export const profileSource: CredentialSource<ProfileCredentialConfig> = {
  name: 'a profile file',
  remedy: 'Check the section [basic] of HUAWEICLOUD_SDK_CREDENTIALS_FILE, and that this user can read it.',
  create({ profile, file }, platform) {
    return createFileProvider(keyPairOf(profile), {}, platform, async () => {
      if (file === undefined) return keyPairOf(profile);
      const read = parseProfile(await platform.readTextFile(file));
      if ('faults' in read) throw new OutboundError('not_a_credential');
      return keyPairOf(read);
    });
  },
};

function keyPairOf({ accessKeyId, secretAccessKey, securityToken }: Profile): KeyPair {
  return { accessKeyId, secretAccessKey, securityToken };
}
