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
    oidc: [
      'HUAWEICLOUD_OIDC_PROVIDER_URN',
      'HUAWEICLOUD_OIDC_AGENCY_URN',
      'HUAWEICLOUD_OIDC_TOKEN_FILE',
      'HUAWEICLOUD_OIDC_ID_TOKEN',
      'HUAWEICLOUD_OIDC_SESSION_NAME',
      'HUAWEICLOUD_OIDC_DURATION_SECONDS',
      'HUAWEICLOUD_OIDC_POLICY',
      'HUAWEICLOUD_OIDC_POLICY_IDS',
    ],
    static: [
      'HUAWEICLOUD_SDK_AK',
      'CLOUD_SDK_AK',
      'HUAWEICLOUD_SDK_SK',
      'CLOUD_SDK_SK',
      'HUAWEICLOUD_SDK_SECURITY_TOKEN',
    ],
    token: ['CCE_AUTH_TOKEN_FILE'],
    profile: ['HUAWEICLOUD_SDK_CREDENTIALS_FILE'],
    pod: ['HC_CONTAINER_CREDENTIALS_FULL_URI', 'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
  };
  const metadata = { ...named, passedOver };

  const OIDC = {
    HUAWEICLOUD_OIDC_PROVIDER_URN: 'iam::d1:oidcProvider:cluster',
    HUAWEICLOUD_OIDC_AGENCY_URN: 'iam::d1:agency:imagecaches',
    HUAWEICLOUD_OIDC_TOKEN_FILE: '/token',
    CCE_REGION: 'cn-north-4',
  };
  const oidc = {
    source: 'oidc',
    stsEndpoint: 'https://sts.cn-north-4.myhuaweicloud.com',
    providerUrn: OIDC.HUAWEICLOUD_OIDC_PROVIDER_URN,
    agencyUrn: OIDC.HUAWEICLOUD_OIDC_AGENCY_URN,
    token: { file: '/token' },
    sessionName: 'oidc-sts-session',
    durationSeconds: 3600,
    policy: undefined,
    policyIds: undefined,
  };

  it.each([
    ['OIDC where its variables are', { ...KEYLESS, ...OIDC }, oidc],
    ['OIDC when told so', { ...KEYLESS, ...POD, ...OIDC, HUAWEICLOUD_CREDENTIALS: 'oidc' }, oidc],
    [
      'OIDC with all that can be set',
      {
        ...KEYLESS,
        ...OIDC,
        CCE_REGION: undefined,
        HUAWEICLOUD_OIDC_TOKEN_FILE: undefined,
        HUAWEICLOUD_OIDC_ID_TOKEN: 'a.b.c',
        HUAWEICLOUD_OIDC_SESSION_NAME: 'imagecaches@a',
        HUAWEICLOUD_OIDC_DURATION_SECONDS: '900',
        HUAWEICLOUD_OIDC_POLICY: '{}',
        HUAWEICLOUD_OIDC_POLICY_IDS: 'a, b',
        HUAWEICLOUD_SDK_STS_ENDPOINT: 'https://sts.example.test/',
      },
      {
        ...oidc,
        stsEndpoint: 'https://sts.example.test',
        token: { text: 'a.b.c' },
        sessionName: 'imagecaches@a',
        durationSeconds: 900,
        policy: '{}',
        policyIds: ['a', 'b'],
      },
    ],
    [
      'a token where it is set',
      { ...KEYLESS, CCE_AUTH_TOKEN: 'token', CCE_AUTH_TOKEN_FILE: '/token' },
      { source: 'token', authToken: 'token', file: '/token' },
    ],
    ['static where keys are set', {}, 'static'],
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

  it('takes project and IAM of a profile file where no setting names them', () => {
    const file = {
      ...KEYLESS,
      CCE_REGION: 'cn-north-4',
      HUAWEICLOUD_SDK_CREDENTIALS:
        '[basic]\nak=AK\nsk=SK\nproject_id=p1\niam_endpoint=https://iam.example.test',
      HUAWEICLOUD_SDK_CREDENTIALS_FILE: '/profile',
    };
    const { credentials, upstream } = parsed(file).target;
    expect(credentials).toMatchObject({
      source: 'profile',
      profile: { accessKeyId: 'AK', secretAccessKey: 'SK', securityToken: undefined },
      file: '/profile',
    });
    expect(upstream.projectId).toBe('p1');
    expect(parsed({ ...file, HUAWEICLOUD_SDK_PROJECT_ID: 'p2' }).target.upstream.projectId).toBe('p2');
    const { projectLookup, upstream: lookedUp } = parsed({
      ...file,
      HUAWEICLOUD_SDK_PROJECT_ID: 'auto',
    }).target;
    expect(lookedUp.projectId).toBeUndefined();
    expect(projectLookup?.iamEndpoint).toBe('https://iam.example.test');
  });

  it('assumes an agency with the credentials of any source', () => {
    const agency = { HUAWEICLOUD_ASSUME_AGENCY_URN: 'iam::d2:agency:a', CCE_REGION: 'cn-north-4' };
    expect(parsed().target.assumeAgency).toBeUndefined();
    expect(parsed({ ...KEYLESS, ...OIDC, ...agency }).target.credentials.source).toBe('oidc');
    expect(parsed(agency).target.assumeAgency).toEqual({
      stsEndpoint: 'https://sts.cn-north-4.myhuaweicloud.com',
      agencyUrn: 'iam::d2:agency:a',
      sessionName: 'imagecaches-bff',
      durationSeconds: 3600,
    });
    const more = {
      CCE_REGION: undefined,
      HUAWEICLOUD_SDK_STS_ENDPOINT: 'https://sts.example.test',
      HUAWEICLOUD_ASSUME_SESSION_NAME: 'session',
      HUAWEICLOUD_ASSUME_DURATION_SECONDS: '900',
    };
    expect(parsed({ ...agency, ...more }).target.assumeAgency).toEqual({
      stsEndpoint: 'https://sts.example.test',
      agencyUrn: 'iam::d2:agency:a',
      sessionName: 'session',
      durationSeconds: 900,
    });
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
    [
      POD,
      'HUAWEICLOUD_CREDENTIALS',
      /^must name one source.*: static \(HUAWEICLOUD_SDK_AK\), pod \(HC_CONTAINER_CREDENTIALS_FULL_URI\)$/,
    ],
    [
      { CCE_AUTH_TOKEN: 'token', CCE_AUTH_TOKEN_FILE: '/secret/token' },
      'HUAWEICLOUD_CREDENTIALS',
      /: static \(HUAWEICLOUD_SDK_AK\), token \(CCE_AUTH_TOKEN_FILE\)$/,
    ],
    [
      OIDC,
      'HUAWEICLOUD_CREDENTIALS',
      /: oidc \(HUAWEICLOUD_OIDC_PROVIDER_URN\), static \(HUAWEICLOUD_SDK_AK\)$/,
    ],
    [{ ...KEYLESS, ...OIDC, ...POD }, 'HUAWEICLOUD_CREDENTIALS', /: oidc .*, pod /],
    [{ CCE_AUTH_TOKEN: 'PLANTED' }, 'HUAWEICLOUD_CREDENTIALS', /: static .*, token \(CCE_AUTH_TOKEN\)$/],
    [{ ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'token' }, 'CCE_AUTH_TOKEN_FILE', /is missing/],
    [{ ...KEYLESS, CCE_AUTH_TOKEN: 'PLANTED token' }, 'CCE_AUTH_TOKEN_FILE', /must be a file with a token/],
    [
      { HUAWEICLOUD_ASSUME_AGENCY_URN: 'urn' },
      'HUAWEICLOUD_SDK_STS_ENDPOINT',
      /is missing, and so is CCE_REGION/,
    ],
    [
      { HUAWEICLOUD_ASSUME_DURATION_SECONDS: '900' },
      'HUAWEICLOUD_ASSUME_DURATION_SECONDS',
      /HUAWEICLOUD_ASSUME_AGENCY_URN is not set/,
    ],
    [{ ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'profile' }, 'HUAWEICLOUD_SDK_CREDENTIALS_FILE', /is missing/],
    [
      { HUAWEICLOUD_SDK_CREDENTIALS: '[basic]\nak=PLANTED\nsk=PLANTED' },
      'HUAWEICLOUD_CREDENTIALS',
      /: static .*, profile \(HUAWEICLOUD_SDK_CREDENTIALS\)$/,
    ],
    [
      { ...KEYLESS, HUAWEICLOUD_SDK_CREDENTIALS: 'PLANTED' },
      'HUAWEICLOUD_SDK_CREDENTIALS_FILE',
      /^names a file without a section/,
    ],
    // Half of a source is a sign of it too.
    [
      { ...KEYLESS, CLOUD_SDK_SK: 'PLANTED', HUAWEICLOUD_OIDC_SESSION_NAME: 'PLANTED' },
      'HUAWEICLOUD_CREDENTIALS',
      /: oidc \(HUAWEICLOUD_OIDC_SESSION_NAME\), static \(CLOUD_SDK_SK\)$/,
    ],
    [
      { ...OIDC, HUAWEICLOUD_CREDENTIALS: 'oidc', HUAWEICLOUD_SDK_SK: undefined },
      'HUAWEICLOUD_SDK_AK',
      /contradicts HUAWEICLOUD_CREDENTIALS=oidc/,
    ],
    [{ HUAWEICLOUD_SDK_IDP_ID: 'PLANTED' }, 'HUAWEICLOUD_SDK_IDP_ID', /use OIDC: set HUAWEICLOUD_OIDC_/],
    [{ HUAWEICLOUD_SDK_ID_TOKEN_FILE: '/PLANTED' }, 'HUAWEICLOUD_SDK_ID_TOKEN_FILE', /use OIDC/],
    [{ ...KEYLESS, HUAWEICLOUD_SDK_AK: 'AK' }, 'HUAWEICLOUD_SDK_SK', /is missing/],
    [
      { HUAWEICLOUD_CREDENTIALS: 'both' },
      'HUAWEICLOUD_CREDENTIALS',
      /one of auto, oidc, static, token, profile, pod, metadata/,
    ],
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
      { ...KEYLESS, ...OIDC, HUAWEICLOUD_OIDC_AGENCY_URN: undefined },
      'HUAWEICLOUD_OIDC_AGENCY_URN',
      /is missing/,
    ],
    [
      { ...KEYLESS, ...OIDC, HUAWEICLOUD_OIDC_TOKEN_FILE: undefined },
      'HUAWEICLOUD_OIDC_TOKEN_FILE',
      /is missing, and so is HUAWEICLOUD_OIDC_ID_TOKEN/,
    ],
    [
      { ...KEYLESS, ...OIDC, HUAWEICLOUD_OIDC_ID_TOKEN: 'PLANTED' },
      'HUAWEICLOUD_OIDC_TOKEN_FILE',
      /contradicts HUAWEICLOUD_OIDC_ID_TOKEN/,
    ],
    [
      { ...KEYLESS, ...OIDC, CCE_REGION: undefined },
      'HUAWEICLOUD_SDK_STS_ENDPOINT',
      /is missing, and so is CCE_REGION/,
    ],
    [
      { HUAWEICLOUD_SDK_STS_ENDPOINT: 'https://sts.example.test' },
      'HUAWEICLOUD_SDK_STS_ENDPOINT',
      /of no use/,
    ],
    [
      { ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'metadata', HUAWEICLOUD_OIDC_POLICY: '{"a":"PLANTED"}' },
      'HUAWEICLOUD_OIDC_POLICY',
      /contradicts HUAWEICLOUD_CREDENTIALS=metadata/,
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
