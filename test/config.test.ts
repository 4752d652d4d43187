import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Config, ConfigError, type IssuerConfig, parseConfig, SETTING_NAMES } from '../src/config.ts';
import { TEST_ENVIRONMENT } from './support/test-service.ts';

function faultsOf(environment: Record<string, string | undefined>): Record<string, string> {
  try {
    parseConfig(environment);
  } catch (error) {
    if (error instanceof ConfigError) {
      return Object.fromEntries(error.faults.map(({ setting, fault }) => [setting, fault]));
    }
    throw error;
  }
  return {};
}

function parsed(environment: Record<string, string | undefined> = {}): Config {
  return parseConfig({ ...TEST_ENVIRONMENT, ...environment });
}

describe('parseConfig', () => {
  it('has the documented defaults', () => {
    const config = parsed({ AUTH_JWKS_URL: undefined });
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 8080 },
      upstream: { connectTimeoutMs: 2000, attemptTimeoutMs: 5000, deadlineMs: 8000, projectId: undefined },
      cache: { ttlMs: 30_000, emptyTtlMs: 5000, maxEntries: 1000, maxBytes: 67_108_864 },
      logLevel: 'info',
      shutdown: { delayMs: 5000, graceMs: 25_000 },
    });
    expect(config.issuers).toEqual([
      {
        issuer: 'https://login.example.test',
        audiences: ['imagecaches'],
        keys: { kind: 'discovery' },
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        requiredScopes: ['imagecaches:read'],
        scopeClaims: ['scope', 'scp'],
        allowedSubjects: undefined,
      },
    ]);
  });

  it('takes issuers from a document, beside or in place of one of its own', () => {
    const entry = { issuer: 'https://idp.example.test', audiences: ['a'] };
    const document = JSON.stringify({ issuers: [entry] });
    expect(parsed({ AUTH_ISSUERS: document }).issuers.map(({ issuer }) => issuer)).toEqual([
      'https://login.example.test',
      'https://idp.example.test',
    ]);
    const alone = parsed({ AUTH_ISSUERS: document, AUTH_ISSUER: undefined, AUTH_AUDIENCE: undefined });
    expect(alone.issuers).toEqual([
      {
        ...entry,
        keys: { kind: 'discovery' },
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        requiredScopes: ['imagecaches:read'],
        scopeClaims: ['scope', 'scp'],
        allowedSubjects: undefined,
      },
    ]);
    const again = JSON.stringify({ issuers: [{ ...entry, issuer: 'https://login.example.test' }] });
    expect(faultsOf({ ...TEST_ENVIRONMENT, AUTH_ISSUERS: again })).toMatchObject({
      AUTH_ISSUERS_FILE: expect.stringContaining('names the issuer of AUTH_ISSUER again'),
    });
  });

  it('needs no issuer where there are key pairs for SDK clients', () => {
    const key = { accessKeyId: 'LK000001', secretAccessKey: 'x'.repeat(32), subject: 'billing' };
    const environment = {
      ...TEST_ENVIRONMENT,
      AUTH_ISSUER: undefined,
      AUTH_AUDIENCE: undefined,
      AUTH_JWKS_URL: undefined,
    };
    const config = parseConfig({ ...environment, SDK_KEYS: JSON.stringify({ keys: [key] }) });
    expect(config.issuers).toEqual([]);
    expect(config.sdkClients?.keys).toEqual([{ ...key, expiresAtMs: undefined }]);
    expect(faultsOf(environment)).toHaveProperty('AUTH_ISSUER');
  });

  it.each([
    [{ SDK_KEYS: 'secret-planted' }, 'SDK_KEYS_FILE', 'is not JSON'],
    [
      { SDK_KEYS: '{"keys":[{"accessKeyId":"LK000001","secretAccessKey":"secret-planted","subject":"a"}]}' },
      'SDK_KEYS_FILE',
      'keys[0].secretAccessKey must be 32 to 256 visible characters',
    ],
    [{ AUTH_ISSUERS: '{"issuers":[]}' }, 'AUTH_ISSUERS_FILE', 'issuers must be an array of 1 to 100'],
    [
      { AUTH_ISSUERS: '{"issuers":[{"issuer":"http://secret-planted.test","audiences":["a"]}]}' },
      'AUTH_ISSUERS_FILE',
      'issuers[0].issuer must be an https URL',
    ],
    [
      {
        AUTH_ISSUERS: '{"issuers":[{"issuer":"https://a.test","audiences":["a"],"secret-planted":1}]}',
      },
      'AUTH_ISSUERS_FILE',
      'issuers[0] has a member that is not known',
    ],
    [
      { AUTH_ISSUERS: '{"issuers":[{"issuer":"https://a.test","audiences":["a"],"requiredScopes":[]}]}' },
      'AUTH_ISSUERS_FILE',
      'issuers[0].requiredScopes must be an array of scopes, with at least one unless allowedSubjects',
    ],
    [{ CORS_ORIGINS: 'https://a.example/secret-planted' }, 'CORS_ORIGINS', 'one or more origins'],
    [{ CORS_ORIGINS: '*' }, 'CORS_ORIGINS', 'one or more origins'],
    [{ TRUSTED_PROXIES: '10.0.0.0/40' }, 'TRUSTED_PROXIES', 'networks in CIDR form'],
    [{ AUTH_FAILURES_PER_MINUTE: '5' }, 'TRUSTED_PROXIES', 'is missing'],
    [{ SDK_REPLAY_PROTECTION: 'on' }, 'SDK_REPLAY_PROTECTION', 'is of no use without SDK_KEYS_FILE'],
  ])('refuses %j', (environment, setting, fault) => {
    const faults = faultsOf({ ...TEST_ENVIRONMENT, ...environment });
    expect(faults[setting]).toContain(fault);
    expect(JSON.stringify(faults)).not.toContain('secret-planted');
  });

  it('is frozen all the way down', () => {
    const config = parsed();
    expect(() => Object.assign(config.upstream, { endpoint: 'https://elsewhere.test' })).toThrow(TypeError);
    expect(() => ((config.issuers[0] as IssuerConfig).audiences as string[]).push('another')).toThrow(
      TypeError,
    );
  });

  it('lists everything that is missing at once', () => {
    expect(Object.keys(faultsOf({ HUAWEICLOUD_CREDENTIALS: 'static' })).sort()).toEqual([
      'AUTH_AUDIENCE',
      'AUTH_ISSUER',
      'CCE_REGION',
      'HUAWEICLOUD_SDK_AK',
      'HUAWEICLOUD_SDK_SK',
    ]);
    // Without keys the credentials come from the node.
    expect(Object.keys(faultsOf({})).sort()).toEqual(['AUTH_AUDIENCE', 'AUTH_ISSUER', 'CCE_REGION']);
  });

  it('lists everything that is bad at once, once each, with what is expected and an example', () => {
    const faults = faultsOf({
      PORT: '80800',
      CCE_REGION: 'cn-nowhere-1',
      HUAWEICLOUD_SDK_AK: 'has space',
      AUTH_ISSUER: 'http://login.example.com',
      AUTH_ALGORITHMS: 'RS256,HS256',
      CACHE_TTL_SECONDS: '-1',
      LOG_LEVEL: 'loud',
    });
    expect(faults).toMatchObject({
      PORT: 'must be a whole number from 0 to 65535, for example 8080',
      CCE_REGION: expect.stringContaining('set CCE_ENDPOINT'),
      HUAWEICLOUD_SDK_AK: expect.stringContaining('without white space'),
      HUAWEICLOUD_SDK_SK: expect.stringContaining('is missing'),
      AUTH_ISSUER: expect.stringContaining('https URL'),
      AUTH_AUDIENCE: expect.stringContaining('is missing'),
      AUTH_ALGORITHMS: expect.stringContaining('RS256'),
      CACHE_TTL_SECONDS: expect.stringContaining('whole number'),
      LOG_LEVEL: expect.stringContaining('info'),
    });
    expect(Object.keys(faults)).toHaveLength(9);
  });

  it.each([
    [{ AUTH_JWKS_FILE: '/keys.json' }, 'AUTH_JWKS_FILE'],
    [{ CLOUD_SDK_AK: 'ANOTHER' }, 'CLOUD_SDK_AK'],
    [{ PORT: '9090' }, 'METRICS_PORT'],
    [{ METRICS_PORT: '8080' }, 'METRICS_PORT'],
    [{ CLOUD_SDK_SK: 'another' }, 'CLOUD_SDK_SK'],
    [{ UPSTREAM_ATTEMPT_TIMEOUT_MS: '9000' }, 'UPSTREAM_ATTEMPT_TIMEOUT_MS'],
    [{ UPSTREAM_CONNECT_TIMEOUT_MS: '6000' }, 'UPSTREAM_CONNECT_TIMEOUT_MS'],
  ])('refuses the contradiction %j', (environment, setting) => {
    expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, ...environment }))).toEqual([setting]);
  });

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
    expect(parsed({ CCE_ENDPOINT: endpoint }).upstream.endpoint).toBe(taken);
  });

  it('finds the endpoint of a region, which CCE_ENDPOINT overrides', () => {
    const region = { CCE_ENDPOINT: undefined, CCE_REGION: 'eu-west-101' };
    expect(parsed(region).upstream.endpoint).toBe('https://cce.eu-west-101.myhuaweicloud.eu');
    expect(parsed({ CCE_REGION: 'cn-north-4' }).upstream.endpoint).toBe('https://cce.example.test');
  });

  it('trims mounted secrets, counts an empty value as not set, and reads the other names of the pair', () => {
    const config = parsed({
      HUAWEICLOUD_SDK_AK: ' ',
      HUAWEICLOUD_SDK_SK: '',
      CLOUD_SDK_AK: 'AKOTHER\r\n',
      CLOUD_SDK_SK: '\tskother\n',
    });
    expect(config.credentials).toEqual({
      source: 'static',
      accessKeyId: 'AKOTHER',
      secretAccessKey: 'skother',
      securityToken: undefined,
      files: { accessKeyId: undefined, secretAccessKey: undefined, securityToken: undefined },
    });
  });

  it('lists what was wrong with files beside its own faults, once each, and calls no such setting missing', () => {
    const fileFaults = [
      { setting: 'HUAWEICLOUD_SDK_SK_FILE', fault: 'names a file that cannot be read (ENOENT)' },
    ];
    const parse = () =>
      parseConfig({ ...TEST_ENVIRONMENT, HUAWEICLOUD_SDK_SK: undefined, PORT: 'x' }, fileFaults);
    expect(parse).toThrow(ConfigError);
    expect(parse).toThrow(
      /2 faults:\n {2}HUAWEICLOUD_SDK_SK_FILE: names a file that cannot be read \(ENOENT\)\n {2}PORT: /,
    );
  });

  it('traces nothing without an endpoint, and by the variables of OpenTelemetry with one', () => {
    expect(parsed({ OTEL_TRACES_SAMPLER: 'always_on' }).tracing).toBeUndefined();
    expect(parsed({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' }).tracing).toEqual({
      url: 'http://collector:4318/v1/traces',
      protocol: 'http/protobuf',
      sampler: 'parentbased_always_on',
      sampledShare: 1,
    });
    const all = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.test/otlp',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    };
    expect(parsed(all).tracing).toEqual({
      url: 'https://collector.example.test/otlp/v1/traces',
      protocol: 'http/json',
      sampler: 'traceidratio',
      sampledShare: 0.25,
    });
    for (const [name, value] of [
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:password@collector:4318'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318/?key=secret'],
      ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
      ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
      ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
      ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'http://collector:4318/v1/traces'],
    ] as const)
      expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, [name]: value }))).toEqual([name]);
  });

  it('reads where instances share what they load', () => {
    expect(parseConfig(TEST_ENVIRONMENT).sharedStore).toBeUndefined();
    const url = 'rediss://:secret@redis.example.test:6380/2';
    expect(parseConfig({ ...TEST_ENVIRONMENT, REDIS_URL: url }).sharedStore).toEqual({
      url,
      file: undefined,
    });
    expect(
      parseConfig({ ...TEST_ENVIRONMENT, REDIS_URL: url, REDIS_URL_FILE: '/run/redis' }).sharedStore,
    ).toEqual({ url, file: '/run/redis' });
    expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, REDIS_URL: 'redis.example.test:6379' }))).toEqual([
      'REDIS_URL',
    ]);
  });

  it('shares only where it is known whose lists they are', () => {
    const metadata = {
      ...TEST_ENVIRONMENT,
      HUAWEICLOUD_SDK_AK: undefined,
      HUAWEICLOUD_SDK_SK: undefined,
      REDIS_URL: 'redis://127.0.0.1',
    };
    expect(faultsOf(metadata)).toHaveProperty('REDIS_URL');
    const auto = { CCE_REGION: 'cn-north-4', HUAWEICLOUD_SDK_PROJECT_ID: 'auto' };
    expect(faultsOf({ ...metadata, ...auto })).toHaveProperty('REDIS_URL');
    expect(faultsOf({ ...metadata, HUAWEICLOUD_SDK_PROJECT_ID: 'a'.repeat(32) })).toEqual({});
  });

  it('never repeats a value, whatever it is and wherever it stands', () => {
    const names = [
      ...Object.keys(TEST_ENVIRONMENT),
      'PORT',
      'CCE_REGION',
      'HUAWEICLOUD_SDK_SECURITY_TOKEN',
      'LOG_LEVEL',
    ];
    const planted = fc.string({ minLength: 12, maxLength: 40 }).map((text) => `Planted ${text} planted`);
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), planted, { minKeys: 1 }), (environment) => {
        let message = '';
        try {
          parseConfig({ ...TEST_ENVIRONMENT, ...environment });
        } catch (error) {
          message = String(error) + JSON.stringify(error);
        }
        expect(message).not.toContain('Planted');
      }),
    );
  });
});

/** In the order of docs/configure.md: name, least, most, default, and what becomes of a value. */
const NUMBERS: [string, number, number, number, (value: number) => object][] = [
  ['PORT', 0, 65_535, 8080, (port) => ({ listen: { port } })],
  ['METRICS_PORT', 0, 65_535, 9090, (port) => ({ metrics: { port } })],
  ['UPSTREAM_CONNECT_TIMEOUT_MS', 1, 60_000, 2000, (ms) => ({ upstream: { connectTimeoutMs: ms } })],
  ['UPSTREAM_ATTEMPT_TIMEOUT_MS', 1, 120_000, 5000, (ms) => ({ upstream: { attemptTimeoutMs: ms } })],
  ['UPSTREAM_DEADLINE_MS', 1, 300_000, 8000, (ms) => ({ upstream: { deadlineMs: ms } })],
  ['UPSTREAM_MAX_CONCURRENT', 1, 10_000, 32, (calls) => ({ upstream: { maxConcurrent: calls } })],
  ['CACHE_TTL_SECONDS', 1, 86_400, 30, (seconds) => ({ cache: { ttlMs: 1000 * seconds } })],
  ['CACHE_EMPTY_TTL_SECONDS', 1, 86_400, 5, (seconds) => ({ cache: { emptyTtlMs: 1000 * seconds } })],
  [
    'CACHE_STALE_WHILE_REVALIDATE_SECONDS',
    0,
    86_400,
    300,
    (seconds) => ({ cache: { staleWhileRevalidateMs: 1000 * seconds } }),
  ],
  [
    'CACHE_STALE_IF_ERROR_SECONDS',
    0,
    604_800,
    3600,
    (seconds) => ({ cache: { staleIfErrorMs: 1000 * seconds } }),
  ],
  ['CACHE_MAX_ENTRIES', 1, 1_000_000, 1000, (entries) => ({ cache: { maxEntries: entries } })],
  ['CACHE_MAX_BYTES', 65_536, 17_179_869_184, 67_108_864, (bytes) => ({ cache: { maxBytes: bytes } })],
  ['RATE_LIMIT_PER_MINUTE', 0, 100_000_000, 600, (count) => ({ limits: { requestsPerMinute: count } })],
  ['AUTH_FAILURES_PER_MINUTE', 0, 1_000_000, 60, (count) => ({ limits: { failuresPerMinute: count } })],
  ['SHUTDOWN_DELAY_SECONDS', 0, 600, 5, (seconds) => ({ shutdown: { delayMs: 1000 * seconds } })],
  ['SHUTDOWN_GRACE_SECONDS', 0, 3600, 25, (seconds) => ({ shutdown: { graceMs: 1000 * seconds } })],
];

describe('a number', () => {
  /** Timeouts may not be longer than the one around them, and failures are counted for addresses. */
  function environmentOf(name: string, value: number): Record<string, string> {
    const timeouts = ['UPSTREAM_CONNECT_TIMEOUT_MS', 'UPSTREAM_ATTEMPT_TIMEOUT_MS', 'UPSTREAM_DEADLINE_MS'];
    const at = timeouts.indexOf(name);
    const shorter = timeouts.slice(0, Math.max(0, at)).map((timeout) => [timeout, '1']);
    const longer = (at < 0 ? [] : timeouts.slice(at + 1)).map((timeout, index, { length }) => [
      timeout,
      index === length - 1 ? '300000' : '120000',
    ]);
    return { TRUSTED_PROXIES: 'none', ...Object.fromEntries([...shorter, ...longer]), [name]: String(value) };
  }

  it.each(NUMBERS)(
    '%s goes from %i to %i, and is %i where it is not set',
    (name, least, most, usual, read) => {
      expect(parsed({ TRUSTED_PROXIES: 'none' })).toMatchObject(read(usual));
      for (const value of [least, most])
        expect(parsed(environmentOf(name, value)), String(value)).toMatchObject(read(value));
      for (const value of [least - 1, most + 1]) {
        const faults = faultsOf({ ...TEST_ENVIRONMENT, ...environmentOf(name, value) });
        expect(faults, String(value)).toMatchObject({
          [name]: expect.stringContaining(`must be a whole number from ${least} to ${most}`),
        });
      }
    },
  );

  it('is each setting that has a number', () => {
    const isNumber = (name: string) => {
      const faults = faultsOf({ ...TEST_ENVIRONMENT, [name]: 'x' });
      return faults[name]?.includes('a whole number') ?? false;
    };
    expect(SETTING_NAMES.filter(isNumber).toSorted()).toEqual(NUMBERS.map(([name]) => name).toSorted());
  });
});

describe('credentials', () => {
  /** The test environment without its keys. */
  const KEYLESS = { HUAWEICLOUD_SDK_AK: undefined, HUAWEICLOUD_SDK_SK: undefined };
  const POD = {
    HC_CONTAINER_CREDENTIALS_FULL_URI: 'http://169.254.170.23/v1/credentials?a=b',
    HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/token',
  };
  const pod = { source: 'pod', uri: POD.HC_CONTAINER_CREDENTIALS_FULL_URI, tokenFile: '/token' };
  const metadata = { source: 'metadata', endpoint: 'http://169.254.169.254' };

  it.each([
    ['static where keys are set', {}, 'static'],
    ['static even where the platform offers more', POD, 'static'],
    ['pod where its variables are', { ...KEYLESS, ...POD }, pod],
    ['else metadata', KEYLESS, metadata],
    ['auto is the default', { ...KEYLESS, HUAWEICLOUD_CREDENTIALS: 'auto' }, metadata],
    ['pod when told so', { ...KEYLESS, ...POD, HUAWEICLOUD_CREDENTIALS: 'pod' }, pod],
    ['metadata when told so', { ...KEYLESS, ...POD, HUAWEICLOUD_CREDENTIALS: 'metadata' }, metadata],
    ['static when told so', { ...POD, HUAWEICLOUD_CREDENTIALS: 'static' }, 'static'],
  ])('%s', (_name, environment, expected) => {
    const { credentials } = parsed(environment);
    if (typeof expected === 'string') expect(credentials.source).toBe(expected);
    else expect(credentials).toEqual(expected);
  });

  it('names the files whose changes are to be followed', () => {
    const { credentials } = parsed({
      HUAWEICLOUD_SDK_AK: undefined,
      CLOUD_SDK_AK: 'AKOTHER',
      CLOUD_SDK_AK_FILE: ' /secret/ak ',
      HUAWEICLOUD_SDK_SK_FILE: '/secret/sk',
    });
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
    expect(pod.credentials).toMatchObject({ uri });
    const endpoint = parsed({ ...KEYLESS, HUAWEICLOUD_METADATA_ENDPOINT: `${uri}/` });
    expect(endpoint.credentials).toMatchObject({ endpoint: uri });
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

describe('the project id', () => {
  it('is sent as it is set, and looked up with auto only', () => {
    const set = parsed({ HUAWEICLOUD_SDK_PROJECT_ID: 'automatic', CCE_REGION: 'cn-north-4' });
    expect(set.upstream.projectId).toBe('automatic');
    expect(set.projectLookup).toBeUndefined();
    expect(parsed({ CCE_REGION: 'cn-north-4' }).projectLookup).toBeUndefined();
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
    });
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
