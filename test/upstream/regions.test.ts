import { describe, expect, it } from 'vitest';
import { CCE_REGIONS, cceEndpointForRegion, iamEndpointForRegion } from '../../src/vendor/regions.ts';

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
    expect(CCE_REGIONS).toHaveLength(33);
    expect(new Set(CCE_REGIONS).size).toBe(33);
    expect(Object.isFrozen(CCE_REGIONS)).toBe(true);
    for (const region of Object.keys(IAM_EXCEPTIONS)) expect(CCE_REGIONS).toContain(region);
  });

  it.each([...CCE_REGIONS])('%s', (region) => {
    expect(cceEndpointForRegion(region)).toBe(
      CCE_EXCEPTIONS[region] ?? `https://cce.${region}.myhuaweicloud.com`,
    );
    expect(iamEndpointForRegion(region)).toBe(
      IAM_EXCEPTIONS[region] ?? `https://iam.${region}.myhuaweicloud.com`,
    );
  });

  it.each(['cn-north-4', 'cn-east-3', 'ap-southeast-1', 'tr-west-1', 'ae-ad-1', 'my-kualalumpur-1'])(
    'knows %s',
    (region) => {
      expect(CCE_REGIONS).toContain(region);
    },
  );

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
