import * as z from 'zod/mini';
import { TOKEN_FORM } from '../../../signing/credential.ts';
import { filePath, listOf, visibleAscii } from '../../forms.ts';
import { type SettingRows, wholeNumber } from '../../setting.ts';
import type { CredentialSource } from './source.ts';
import { reportStsEndpoint, type StsRows, stsEndpoint } from './sts-endpoint.ts';

/** `agency_session_name` of STS. */
export const SESSION_NAME_FORM = /^[\w+=,.@-]{2,64}$/;
export const SESSION_NAME_RULE = '2 to 64 letters, digits and any of + = , . @ _ -';

const ROWS = {
  HUAWEICLOUD_OIDC_PROVIDER_URN: {
    form: visibleAscii,
    rule: 'the URN of an OIDC identity provider',
    example: 'iam::0123456789abcdef0123456789abcdef:oidcProvider:cluster',
  },
  HUAWEICLOUD_OIDC_AGENCY_URN: {
    form: visibleAscii,
    rule: 'the URN of an agency',
    example: 'iam::0123456789abcdef0123456789abcdef:agency:imagecaches',
  },
  HUAWEICLOUD_OIDC_TOKEN_FILE: {
    form: filePath,
    rule: 'the path of a file with an OIDC token',
    example: '/var/run/secrets/huaweicloud/token',
  },
  HUAWEICLOUD_OIDC_ID_TOKEN: {
    form: z.string().check(z.regex(TOKEN_FORM)),
    rule: 'an OIDC token',
    example: '<token>',
    file: 'possible',
    isSecret: true,
  },
  HUAWEICLOUD_OIDC_SESSION_NAME: {
    form: z.string().check(z.regex(SESSION_NAME_FORM)),
    rule: SESSION_NAME_RULE,
    example: 'oidc-sts-session',
    default: 'oidc-sts-session',
  },
  HUAWEICLOUD_OIDC_DURATION_SECONDS: wholeNumber(900, 43_200, 3600),
  HUAWEICLOUD_OIDC_POLICY: {
    form: z.string().check(z.regex(/^\{.*\}$/s)),
    rule: 'a policy as a JSON object',
    example: '{"Version":"5.0","Statement":[{"Effect":"Allow","Action":["cce:imageCache:list"]}]}',
  },
  HUAWEICLOUD_OIDC_POLICY_IDS: {
    form: listOf(visibleAscii),
    rule: 'ids of policies, comma-separated',
    example: '0123456789abcdef0123456789abcdef',
  },
} satisfies SettingRows;

const NAMES = Object.keys(ROWS) as (keyof typeof ROWS)[];

/** An agency that trusts an OIDC provider, by STS. */
export interface OidcCredentialConfig {
  readonly source: 'oidc';
  /** Scheme, host and port; no slash at the end. */
  readonly stsEndpoint: string;
  readonly providerUrn: string;
  readonly agencyUrn: string;
  /** The token itself is a secret. A file is read for each call of STS, since its content is replaced. */
  readonly token: { readonly file: string } | { readonly text: string };
  readonly sessionName: string;
  /** 900 to 43,200. */
  readonly durationSeconds: number;
  /** Narrow what the agency may do. */
  readonly policy: string | undefined;
  readonly policyIds: readonly string[] | undefined;
}

/** The settings of the Python SDK's OidcStsCredentialProvider (core/auth/provider.py). */
export const oidcSource: CredentialSource<typeof ROWS, OidcCredentialConfig, typeof ROWS & StsRows> = {
  rows: ROWS,

  signs: NAMES,

  reportUsed(settings, faults) {
    const { isGiven } = settings;
    const { report, reportMissing } = faults;
    for (const name of ['HUAWEICLOUD_OIDC_PROVIDER_URN', 'HUAWEICLOUD_OIDC_AGENCY_URN'] as const)
      if (!isGiven(name)) reportMissing(name, ', and the credentials are OIDC');
    const [hasFile, hasToken] = [
      isGiven('HUAWEICLOUD_OIDC_TOKEN_FILE'),
      isGiven('HUAWEICLOUD_OIDC_ID_TOKEN'),
    ];
    if (hasFile && hasToken)
      report('HUAWEICLOUD_OIDC_TOKEN_FILE', 'contradicts HUAWEICLOUD_OIDC_ID_TOKEN; set only one of them');
    if (!hasFile && !hasToken)
      reportMissing('HUAWEICLOUD_OIDC_TOKEN_FILE', ', and so is HUAWEICLOUD_OIDC_ID_TOKEN');
    reportStsEndpoint(settings, faults);
  },

  toConfig(settings) {
    const { values, fileOf } = settings;
    const file = values.HUAWEICLOUD_OIDC_TOKEN_FILE ?? fileOf('HUAWEICLOUD_OIDC_ID_TOKEN');
    return {
      source: 'oidc',
      stsEndpoint: stsEndpoint(settings),
      providerUrn: values.HUAWEICLOUD_OIDC_PROVIDER_URN as string,
      agencyUrn: values.HUAWEICLOUD_OIDC_AGENCY_URN as string,
      token: file === undefined ? { text: values.HUAWEICLOUD_OIDC_ID_TOKEN as string } : { file },
      sessionName: values.HUAWEICLOUD_OIDC_SESSION_NAME,
      durationSeconds: values.HUAWEICLOUD_OIDC_DURATION_SECONDS,
      policy: values.HUAWEICLOUD_OIDC_POLICY,
      policyIds: values.HUAWEICLOUD_OIDC_POLICY_IDS,
    };
  },
};
