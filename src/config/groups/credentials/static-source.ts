import * as z from 'zod/mini';
import { KEY_FORM, SECURITY_TOKEN_FORM } from '../../../signing/credential.ts';
import type { Setting, SettingRows } from '../../setting.ts';
import type { CredentialSource } from './source.ts';

const SECRET = { file: 'possible', isSecret: true } as const;
const ACCESS_KEY_ID = {
  form: z.string().check(z.regex(KEY_FORM)),
  rule: 'an access key id without white space',
  example: '<access key id>',
  ...SECRET,
} satisfies Setting;
const SECRET_ACCESS_KEY = {
  form: z.string().check(z.regex(KEY_FORM)),
  rule: 'a secret access key without white space',
  example: '<secret access key>',
  ...SECRET,
} satisfies Setting;

const ROWS = {
  HUAWEICLOUD_SDK_AK: ACCESS_KEY_ID,
  HUAWEICLOUD_SDK_SK: SECRET_ACCESS_KEY,
  HUAWEICLOUD_SDK_SECURITY_TOKEN: {
    form: z.string().check(z.regex(SECURITY_TOKEN_FORM)),
    rule: 'a security token without white space',
    example: '<security token>',
    ...SECRET,
  },
  CLOUD_SDK_AK: ACCESS_KEY_ID,
  CLOUD_SDK_SK: SECRET_ACCESS_KEY,
} satisfies SettingRows;

/** Both names of each half are read, since the vendor's SDKs differ in them. */
const KEY_PAIR = [
  ['HUAWEICLOUD_SDK_AK', 'CLOUD_SDK_AK'],
  ['HUAWEICLOUD_SDK_SK', 'CLOUD_SDK_SK'],
] as const;
const NAMES = [...KEY_PAIR.flat(), 'HUAWEICLOUD_SDK_SECURITY_TOKEN'] as const;

/** A key pair of the settings. */
export interface StaticCredentialConfig {
  readonly source: 'static';
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly securityToken: string | undefined;
  /** The files whose changes are followed, for each of the three that is in one. */
  readonly files: {
    readonly accessKeyId: string | undefined;
    readonly secretAccessKey: string | undefined;
    readonly securityToken: string | undefined;
  };
}

export const staticSource: CredentialSource<typeof ROWS, StaticCredentialConfig> = {
  rows: ROWS,

  signs: NAMES,

  reportUsed({ values, isGiven }, { report, reportMissing }) {
    for (const [preferred, alias] of KEY_PAIR) {
      if (
        values[preferred] !== undefined &&
        values[alias] !== undefined &&
        values[preferred] !== values[alias]
      ) {
        report(alias, `differs from ${preferred}; set only one of them`);
      }
      if (!isGiven(preferred) && !isGiven(alias)) reportMissing(preferred);
    }
  },

  toConfig({ values, fileOf }) {
    const nameOf = ([preferred, alias]: (typeof KEY_PAIR)[number]) =>
      values[preferred] === undefined ? alias : preferred;
    const [accessKeyId, secretAccessKey] = [nameOf(KEY_PAIR[0]), nameOf(KEY_PAIR[1])];
    return {
      source: 'static',
      accessKeyId: values[accessKeyId] as string,
      secretAccessKey: values[secretAccessKey] as string,
      securityToken: values.HUAWEICLOUD_SDK_SECURITY_TOKEN,
      files: {
        accessKeyId: fileOf(accessKeyId),
        secretAccessKey: fileOf(secretAccessKey),
        securityToken: fileOf('HUAWEICLOUD_SDK_SECURITY_TOKEN'),
      },
    };
  },
};
