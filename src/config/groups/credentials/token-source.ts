import * as z from 'zod/mini';
import { TOKEN_FORM } from '../../../signing/credential.ts';
import type { SettingRows } from '../../setting.ts';
import type { CredentialSource } from './source.ts';

const ROWS = {
  CCE_AUTH_TOKEN: {
    form: z.string().check(z.regex(TOKEN_FORM)),
    rule: 'a file with a token of IAM',
    example: '<path>',
    file: 'usual',
    isSecret: true,
  },
} satisfies SettingRows;

/** A token of IAM, sent in place of a signature. */
export interface TokenCredentialConfig {
  readonly source: 'token';
  readonly authToken: string;
  /** Whose changes are followed. */
  readonly file: string | undefined;
}

export const tokenSource: CredentialSource<typeof ROWS, TokenCredentialConfig> = {
  rows: ROWS,

  signs: ['CCE_AUTH_TOKEN'],

  reportUsed({ isGiven }, { reportMissing }) {
    if (!isGiven('CCE_AUTH_TOKEN')) reportMissing('CCE_AUTH_TOKEN', ', and the credentials are a token');
  },

  toConfig: ({ values, fileOf }) => ({
    source: 'token',
    authToken: values.CCE_AUTH_TOKEN as string,
    file: fileOf('CCE_AUTH_TOKEN'),
  }),
};
