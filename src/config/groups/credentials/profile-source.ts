import { type Profile, parseProfile } from '../../documents/profile.ts';
import { documentOf } from '../../forms.ts';
import type { SettingRows } from '../../setting.ts';
import type { CredentialSource } from './source.ts';

const ROWS = {
  HUAWEICLOUD_SDK_CREDENTIALS: {
    form: documentOf(parseProfile),
    rule: 'a file with a section [basic], in which ak and sk are',
    example: '<path>',
    file: 'usual',
    isSecret: true,
    hasOwnFaults: true,
  },
} satisfies SettingRows;

export type ProfileRows = typeof ROWS;

/** The profile file of the vendor's SDKs. */
export interface ProfileCredentialConfig {
  readonly source: 'profile';
  readonly profile: Profile;
  /** Whose changes are followed. */
  readonly file: string | undefined;
}

export const profileSource: CredentialSource<ProfileRows, ProfileCredentialConfig> = {
  rows: ROWS,

  signs: ['HUAWEICLOUD_SDK_CREDENTIALS'],

  reportUsed({ isGiven }, { reportMissing }) {
    if (!isGiven('HUAWEICLOUD_SDK_CREDENTIALS'))
      reportMissing('HUAWEICLOUD_SDK_CREDENTIALS', ', and the credentials are a profile');
  },

  toConfig: ({ values, fileOf }) => ({
    source: 'profile',
    profile: values.HUAWEICLOUD_SDK_CREDENTIALS as Profile,
    file: fileOf('HUAWEICLOUD_SDK_CREDENTIALS'),
  }),
};
