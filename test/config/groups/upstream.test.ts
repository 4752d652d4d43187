import { describe, expect, it } from 'vitest';
import { faultsOf, parsed } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('the endpoint', () => {
  it.each([
    'http://cce.example.test',
    'https://user:password@cce.example.test',
    'https://cce.example.test/?a=b',
    'https://cce.example.test/#a',
    'ftp://127.0.0.1',
    'http://127.0.0.1.example.test',
    'http://localhost.example.test',
    'cce.example.test',
    '/v5',
  ])('refuses the endpoint %s', (endpoint) => {
    expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, CCE_ENDPOINT: endpoint }))).toEqual(['CCE_ENDPOINT']);
  });

  it.each([
    ['https://cce.example.test', 'https://cce.example.test'],
    ['https://cce.example.test:443/', 'https://cce.example.test'],
    ['https://gateway.example.test/cce/', 'https://gateway.example.test/cce'],
    ['http://127.0.0.1:8443', 'http://127.0.0.1:8443'],
    ['http://localhost:1', 'http://localhost:1'],
    ['http://[::1]:1', 'http://[::1]:1'],
  ])('takes the endpoint %s as %s', (endpoint, taken) => {
    expect(parsed({ CCE_ENDPOINT: endpoint }).target.upstream.endpoint).toBe(taken);
  });

  it('finds the endpoint of a region, which CCE_ENDPOINT overrides', () => {
    const region = { CCE_ENDPOINT: undefined, CCE_REGION: 'eu-west-101' };
    expect(parsed(region).target.upstream.endpoint).toBe('https://cce.eu-west-101.myhuaweicloud.eu');
    expect(parsed({ CCE_REGION: 'cn-north-4' }).target.upstream.endpoint).toBe('https://cce.example.test');
  });
});

describe('the project id', () => {
  it('is sent as it is set, and looked up with auto only', () => {
    const set = parsed({ HUAWEICLOUD_SDK_PROJECT_ID: 'automatic', CCE_REGION: 'cn-north-4' });
    expect(set.target.upstream.projectId).toBe('automatic');
    expect(set.target.projectLookup).toBeUndefined();
    expect(parsed({ CCE_REGION: 'cn-north-4' }).target.projectLookup).toBeUndefined();
  });

  it.each([
    ['cn-north-4', undefined, 'https://iam.cn-north-4.myhuaweicloud.com'],
    ['af-north-1', undefined, 'https://iam.myhuaweicloud.com'],
    ['cn-north-4', 'https://iam.example.test/', 'https://iam.example.test'],
  ])('with auto, in %s, IAM at %s', (region, override, iamEndpoint) => {
    const { projectLookup, upstream } = parsed({
      CCE_REGION: region,
      HUAWEICLOUD_SDK_PROJECT_ID: 'auto',
      HUAWEICLOUD_SDK_IAM_ENDPOINT: override,
    }).target;
    expect(projectLookup).toEqual({ region, iamEndpoint });
    expect(upstream.projectId).toBeUndefined();
  });

  it('cannot be looked up without a region', () => {
    const faults = faultsOf({ ...TEST_ENVIRONMENT, HUAWEICLOUD_SDK_PROJECT_ID: 'auto' });
    expect(Object.keys(faults)).toEqual(['HUAWEICLOUD_SDK_PROJECT_ID']);
    expect(faults.HUAWEICLOUD_SDK_PROJECT_ID).toContain('CCE_REGION');
    // A bad region is one fault, not two.
    const bad = faultsOf({ ...TEST_ENVIRONMENT, HUAWEICLOUD_SDK_PROJECT_ID: 'auto', CCE_REGION: 'x' });
    expect(Object.keys(bad)).toEqual(['CCE_REGION']);
  });

  it('is asked of a secure endpoint only', () => {
    for (const url of ['http://iam.example.test', 'http://169.254.1.2', 'iam.example.test'])
      expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, HUAWEICLOUD_SDK_IAM_ENDPOINT: url }))).toEqual([
        'HUAWEICLOUD_SDK_IAM_ENDPOINT',
      ]);
  });
});
