import * as z from 'zod/mini';
import { visibleAscii } from '../../forms.ts';
import type { Settings } from '../../read-settings.ts';
import { type SettingRows, wholeNumber } from '../../setting.ts';
import { SESSION_NAME_FORM, SESSION_NAME_RULE } from './oidc-source.ts';
import { type StsRows, stsEndpoint } from './sts-endpoint.ts';

/** Credentials that are got with other temporary ones live for 1 hour at most, so no more is asked for. */
export const ASSUME_ROWS = {
  HUAWEICLOUD_ASSUME_AGENCY_URN: {
    form: visibleAscii,
    rule: 'the URN of an agency',
    example: 'iam::0123456789abcdef0123456789abcdef:agency:imagecaches',
  },
  HUAWEICLOUD_ASSUME_SESSION_NAME: {
    form: z.string().check(z.regex(SESSION_NAME_FORM)),
    rule: SESSION_NAME_RULE,
    example: 'imagecaches-bff',
    default: 'imagecaches-bff',
  },
  HUAWEICLOUD_ASSUME_DURATION_SECONDS: wholeNumber(900, 3600, 3600),
} satisfies SettingRows;

/** An agency that is assumed with the credential of the source. */
export interface AssumeAgencyConfig {
  /** Scheme, host and port; no slash at the end. */
  readonly stsEndpoint: string;
  readonly agencyUrn: string;
  readonly sessionName: string;
  readonly durationSeconds: number;
}

export function toAssumeAgency(
  settings: Settings<typeof ASSUME_ROWS & StsRows>,
): AssumeAgencyConfig | undefined {
  const { values } = settings;
  const { HUAWEICLOUD_ASSUME_AGENCY_URN: agencyUrn } = values;
  return agencyUrn === undefined
    ? undefined
    : {
        stsEndpoint: stsEndpoint(settings),
        agencyUrn,
        sessionName: values.HUAWEICLOUD_ASSUME_SESSION_NAME,
        durationSeconds: values.HUAWEICLOUD_ASSUME_DURATION_SECONDS,
      };
}
