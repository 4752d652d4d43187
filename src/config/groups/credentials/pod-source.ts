import * as z from 'zod/mini';
import { filePath } from '../../forms.ts';
import type { SettingRows } from '../../setting.ts';
import { isSecureOnNode, NODE_URL_RULE } from '../../urls.ts';
import type { CredentialSource } from './source.ts';

const ROWS = {
  HC_CONTAINER_CREDENTIALS_FULL_URI: {
    form: z.string().check(z.refine(isSecureOnNode)),
    rule: NODE_URL_RULE,
    example: 'http://169.254.170.23/v1/credentials',
  },
  HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: {
    form: filePath,
    rule: "the path of the pod's token file",
    example: '/var/run/secrets/pod-identity/token',
  },
} satisfies SettingRows;

const NAMES = ['HC_CONTAINER_CREDENTIALS_FULL_URI', 'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE'] as const;

/** CCE's pod identity. */
export interface PodCredentialConfig {
  readonly source: 'pod';
  readonly uri: string;
  readonly tokenFile: string;
}

/** CCE sets its variables in every pod that has an identity. */
export const podSource: CredentialSource<typeof ROWS, PodCredentialConfig> = {
  rows: ROWS,

  signs: NAMES,
  isOfPlatform: true,

  reportUsed({ isGiven }, { reportMissing }) {
    for (const name of NAMES)
      if (!isGiven(name)) reportMissing(name, ', and the credentials are pod identity');
  },

  toConfig: ({ values }) => ({
    source: 'pod',
    uri: values.HC_CONTAINER_CREDENTIALS_FULL_URI as string,
    tokenFile: values.HC_CONTAINER_AUTHORIZATION_TOKEN_FILE as string,
  }),
};
