import { describe, expect, it } from 'vitest';
import { faultsOf, parsed } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('credentials', () => {
  /** The test environment without its keys. */
  const KEYLESS = { HUAWEICLOUD_SDK_AK: undefined, HUAWEICLOUD_SDK_SK: undefined };
  const POD = {
    HC_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials?a=b',
    HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/token',
  };
  const pod = { source: 'pod', uri: POD.HC_CONTAINER_CREDENTIALS_FULL_URI, tokenFile: '/token' };
  const named = { source: 'metadata', endpoint: 'http://169.254.169.254', passedOver: {} };
  /** By the name of each source the settings that would have chosen it. */
  const passedOver = {
    static: [
      'HUAWEICLOUD_SDK_AK',
      'HUAWEICLOUD_SDK_SK',
      'HUAWEICLOUD_SDK_SECURITY_TOKEN',
      'CLOUD_SDK_AK',
      'CLOUD_SDK_SK',
    ],
    pod: ['HC_CONTAINER_CREDENTIALS_FULL_URI', 'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
  };
  const metadata = { ...named, passedOver };

  it.each([
    ['static where keys are set', {}, 'static'],
    ['static even where the platform offers more', POD, 'static'],
    ['pod where its variables are', { ...KEYLESS, ...POD }, pod],
    ['else metadata', KEYLESS, metadata],
    ['auto is the default', { ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'auto' }, metadata],
    ['pod when told so', { ...KEYLESS, ...POD, HUAWEICLOUD_CREDENTIALS: 'pod' }, pod],
    ['metadata when told so', { ...KEYLESS, ...POD, HUAWEICLOUD_CREDENTIALS: 'metadata' }, named],
    ['static when told so', { ...POD, HUAWEICLOUD_CREDENTIALS: 'static' }, 'static'],
  ])('%s', (_name, environment, expected) => {
    const { credentials } = parsed(environment).target;
    if (typeof expected === 'string') expect(credentials.source).toBe(expected);
    else expect(credentials).toEqual(expected);
  });

  it('names the files whose changes are to be followed', () => {
    const { credentials } = parsed({
      HUAWEICLOUD_SDK_AK: undefined,
      CLOUD_SDK_AK: 'AKOTHER',
      CLOUD_SDK_AK_FILE: ' /secret/ak ',
      HUAWEICLOUD_SDK_SK_FILE: '/secret/sk',
    }).target;
    expect(credentials).toMatchObject({
      accessKeyId: 'AKOTHER',
      files: { accessKeyId: '/secret/ak', secretAccessKey: '/secret/sk', securityToken: undefined },
    });
  });

  it.each<[environment: Record<string, string | undefined>, setting: string, fault: RegExp]>([
    [{ ...KEYLESS, HUAWEICLOUD_SDK_AK: 'AK' }, 'HUAWEICLOUD_SDK_SK', /is missing/],
    [{ HUAWEICLOUD_CREDENTIALS: 'both' }, 'HUAWEICLOUD_CREDENTIALS', /'auto', 'static', 'pod' or 'metadata'/],
    [
      { ...KEYLESS, ...POD, HC_CONTAINER_CREDENTIALS_FULL_URI: undefined },
      'HC_CONTAINER_CREDENTIALS_FULL_URI',
      /is missing/,
    ],
    [
      { ...KEYLESS, ...POD, HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: ' ' },
      'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE',
      /is missing/,
    ],
    [
      { ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'metadata', CLOUD_SDK_SK: 'PLANTED' },
      'CLOUD_SDK_SK',
      /contradicts HUAWEICLOUD_CREDENTIALS=metadata/,
    ],
    [
      { ...KEYLESS, ...POD, HUAWEICLOUD_CREDENTIALS: 'pod', HUAWEICLOUD_SDK_SECURITY_TOKEN: 'PLANTED' },
      'HUAWEICLOUD_SDK_SECURITY_TOKEN',
      /contradicts HUAWEICLOUD_CREDENTIALS=pod/,
    ],
    [
      { HUAWEICLOUD_METADATA_ENDPOINT: 'http://127.0.0.1:1' },
      'HUAWEICLOUD_METADATA_ENDPOINT',
      /the credentials are static/,
    ],
  ])('refuses %j', (environment, setting, fault) => {
    const faults = faultsOf({ ...TEST_ENVIRONMENT, ...environment });
    expect(Object.keys(faults)).toEqual([setting]);
    expect(faults[setting]).toMatch(fault);
    expect(faults[setting]).not.toContain('PLANTED');
  });

  it('asks for a key pair to go with a security token', () => {
    const faults = faultsOf({ ...TEST_ENVIRONMENT, ...KEYLESS, HUAWEICLOUD_SDK_SECURITY_TOKEN: 'token' });
    expect(Object.keys(faults)).toEqual(['HUAWEICLOUD_SDK_AK', 'HUAWEICLOUD_SDK_SK']);
  });

  it('lists both halves of a pod identity that is told and not there', () => {
    const faults = faultsOf({ ...TEST_ENVIRONMENT, ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'pod' });
    expect(Object.keys(faults)).toEqual(Object.keys(POD));
  });

  it.each([
    'https://pod.example.test/v1/credentials',
    'http://127.0.0.1:1/v1',
    'http://localhost:1/v1',
    'http://[::1]:1/v1',
    'http://169.254.1.2:1/v1',
    'http://[fe80::1]/v1',
  ])('asks %s', (uri) => {
    const pod = parsed({ ...KEYLESS, ...POD, HC_CONTAINER_CREDENTIALS_FULL_URI: uri });
    expect(pod.target.credentials).toMatchObject({ uri });
    const endpoint = parsed({ ...KEYLESS, HUAWEICLOUD_METADATA_ENDPOINT: `${uri}/` });
    expect(endpoint.target.credentials).toMatchObject({ endpoint: uri });
  });

  it.each([
    'http://pod.example.test/v1',
    'http://10.0.0.1/v1',
    'http://169.254.example.test/',
    'http://169.254.1.2.example.test/',
    'http://1169.254.1.2/',
    'http://[fd00::1]/',
    'http://[fe00::1]/',
    'http://user:PLANTED@169.254.1.2/',
    'http://169.254.1.2/#a',
    'ftp://169.254.1.2/',
    '/v1',
  ])('never sends a token to %s', (uri) => {
    for (const [environment, setting] of [
      [POD, 'HC_CONTAINER_CREDENTIALS_FULL_URI'],
      [{}, 'HUAWEICLOUD_METADATA_ENDPOINT'],
    ] as const) {
      const faults = faultsOf({ ...TEST_ENVIRONMENT, ...KEYLESS, ...environment, [setting]: uri });
      expect(Object.keys(faults)).toEqual([setting]);
      expect(faults[setting]).not.toContain('PLANTED');
    }
  });
});
