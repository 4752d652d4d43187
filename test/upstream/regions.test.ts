import { describe, expect, it } from 'vitest';
import { CCE_REGIONS, cceEndpointForRegion, iamEndpointForRegion } from '../../src/vendor/regions.ts';

/** Regions of CCE in the vendor's SDK (huaweicloud-sdk-go-v3, services/cce/v5/region/region.go). */
const REGIONS = [
  'ae-ad-1',
  'af-north-1',
  'af-south-1',
  'ap-southeast-1',
  'ap-southeast-2',
  'ap-southeast-3',
  'ap-southeast-4',
  'ap-southeast-5',
  'cn-east-2',
  'cn-east-3',
  'cn-east-4',
  'cn-east-5',
  'cn-north-1',
  'cn-north-2',
  'cn-north-4',
  'cn-north-9',
  'cn-north-11',
  'cn-north-12',
  'cn-south-1',
  'cn-south-2',
  'cn-south-4',
  'cn-southwest-2',
  'eu-west-0',
  'eu-west-101',
  'la-north-2',
  'la-south-2',
  'me-east-1',
  'my-kualalumpur-1',
  'na-mexico-1',
  'ru-moscow-1',
  'ru-northwest-2',
  'sa-brazil-1',
  'tr-west-1',
];
/** The regions whose endpoints do not follow the rule. */
const CCE_EXCEPTIONS: Record<string, string> = {
  'eu-west-101': 'https://cce.eu-west-101.myhuaweicloud.eu',
};
const IAM_EXCEPTIONS: Record<string, string> = {
  'eu-west-101': 'https://iam.eu-west-101.myhuaweicloud.eu',
  'af-north-1': 'https://iam.myhuaweicloud.com',
  'ap-southeast-5': 'https://iam.myhuaweicloud.com',
  'cn-north-11': 'https://iam.myhuaweicloud.com',
  'cn-south-4': 'https://iam.myhuaweicloud.com',
  'ru-northwest-2': 'https://iam.myhuaweicloud.com',
};

describe('the region table', () => {
  it('holds the 33 regions of the SDK, once each, and cannot be changed', () => {
    expect(CCE_REGIONS.toSorted()).toEqual(REGIONS.toSorted());
    expect(Object.isFrozen(CCE_REGIONS)).toBe(true);
  });

  it.each(REGIONS)('%s', (region) => {
    expect(cceEndpointForRegion(region)).toBe(
      CCE_EXCEPTIONS[region] ?? `https://cce.${region}.myhuaweicloud.com`,
    );
    expect(iamEndpointForRegion(region)).toBe(
      IAM_EXCEPTIONS[region] ?? `https://iam.${region}.myhuaweicloud.com`,
    );
  });

  it.each([
    '',
    'cn-north-99',
    'CN-NORTH-4',
    ' cn-north-4',
    'cn-north-4.evil.example/',
    'toString',
    '__proto__',
    'constructor',
  ])('does not know %j', (region) => {
    expect(cceEndpointForRegion(region)).toBeUndefined();
    expect(iamEndpointForRegion(region)).toBeUndefined();
  });
});
