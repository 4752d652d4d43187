import { stsEndpointForRegion } from '../../../vendor/regions.ts';
import { endpoint } from '../../forms.ts';
import type { Faults, Settings } from '../../read-settings.ts';
import type { SettingRows } from '../../setting.ts';
import { isSecureUrl, SECURE_URL_RULE } from '../../urls.ts';
import type { UpstreamRows } from '../upstream.ts';

/** STS, for the sources that ask it. */
export const STS_ROWS = {
  HUAWEICLOUD_SDK_STS_ENDPOINT: {
    form: endpoint(isSecureUrl),
    rule: `${SECURE_URL_RULE} or query`,
    example: 'https://sts.cn-north-4.myhuaweicloud.com',
  },
} satisfies SettingRows;

export type StsRows = typeof STS_ROWS & Pick<UpstreamRows, 'CCE_REGION'>;

/** STS has no place that could be guessed from CCE's endpoint. */
export function reportStsEndpoint({ isGiven }: Settings<StsRows>, { reportMissing }: Faults<StsRows>): void {
  if (!isGiven('HUAWEICLOUD_SDK_STS_ENDPOINT') && !isGiven('CCE_REGION'))
    reportMissing('HUAWEICLOUD_SDK_STS_ENDPOINT', ', and so is CCE_REGION');
}

/** Scheme, host and port of STS; no slash at the end. Call it where reportStsEndpoint has found no fault. */
export function stsEndpoint({ values }: Settings<StsRows>): string {
  const { HUAWEICLOUD_SDK_STS_ENDPOINT: url, CCE_REGION: region } = values;
  return url ?? (stsEndpointForRegion(region as string) as string);
}
