import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError, type IssuerConfig, parseConfig } from '../../src/config/config.ts';
import { faultsOf, parsed } from '../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../support/test-service.ts';

describe('parseConfig', () => {
  it('has the documented defaults', () => {
    const config = parsed({ AUTH_JWKS_URL: undefined });
    expect(config).toMatchObject({
      listen: { host: '127.0.0.1', port: 8080 },
      target: {
        upstream: { connectTimeoutMs: 2000, attemptTimeoutMs: 5000, deadlineMs: 8000, projectId: undefined },
        cache: { ttlMs: 30_000, emptyTtlMs: 5000, maxEntries: 1000, maxBytes: 67_108_864 },
      },
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
    expect(() => Object.assign(config.target.upstream, { endpoint: 'https://elsewhere.test' })).toThrow(
      TypeError,
    );
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

  it('trims mounted secrets, counts an empty value as not set, and reads the other names of the pair', () => {
    const config = parsed({
      HUAWEICLOUD_SDK_AK: ' ',
      HUAWEICLOUD_SDK_SK: '',
      CLOUD_SDK_AK: 'AKOTHER\r\n',
      CLOUD_SDK_SK: '\tskother\n',
    });
    expect(config.target.credentials).toEqual({
      source: 'static',
      accessKeyId: 'AKOTHER',
      secretAccessKey: 'skother',
      securityToken: undefined,
      files: { accessKeyId: undefined, secretAccessKey: undefined, securityToken: undefined },
    });
  });

  it('counts numbers and booleans as their text, as a Worker has them among its variables', () => {
    const config = parseConfig({
      ...TEST_ENVIRONMENT,
      RATE_LIMIT_PER_MINUTE: 2,
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.test:4318',
      OTEL_TRACES_SAMPLER_ARG: 0.25,
      API_DOCS: false,
      CONSOLE: true,
      HUAWEICLOUD_SDK_PROJECT_ID: 123_456,
    });
    expect(config.limits.requestsPerMinute).toBe(2);
    expect(config.tracing?.sampledShare).toBe(0.25);
    expect(config.isApiDocumented).toBe(false);
    expect(config.console).toEqual({ login: undefined });
    expect(config.target.upstream.projectId).toBe('123456');
    // Never a silent default: they are of the wrong form, as their text is.
    const faultsWith = (more: Record<string, unknown>) => faultsOf({ ...TEST_ENVIRONMENT, ...more });
    expect(faultsWith({ RATE_LIMIT_PER_MINUTE: -2, LOG_LEVEL: true })).toEqual({
      RATE_LIMIT_PER_MINUTE: expect.stringContaining('must be a whole number from 0 to 100000000'),
      LOG_LEVEL: expect.stringContaining('must be one of fatal, error'),
    });
  });

  it('finds fault with any other value by its name, once each', () => {
    const environment = {
      ...TEST_ENVIRONMENT,
      AUTH_ALGORITHMS: ['ES256'],
      AUTH_SCOPE: ['planted:only'],
      AUTH_ISSUER: null,
      AUTH_ISSUERS: { issuers: [{ issuer: 'planted' }] },
      API_DOCS: {},
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: [],
    };
    const fault = 'must be text, a number or a boolean, not a list, an object or null';
    const faults = faultsOf(environment);
    expect(faults).toEqual({
      AUTH_ALGORITHMS: fault,
      AUTH_SCOPE: fault,
      AUTH_ISSUER: fault,
      AUTH_ISSUERS: fault,
      API_DOCS: fault,
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'is not supported by this version; remove it',
    });
    expect(() => parseConfig(environment)).toThrow(/has 6 faults/);
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
