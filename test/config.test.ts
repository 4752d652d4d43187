import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Config, ConfigError, type IssuerConfig, parseConfig } from '../src/config.ts';
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
        requiredScope: 'imagecaches:read',
        scopeClaims: ['scope', 'scp'],
      },
    ]);
  });

  it('is frozen all the way down', () => {
    const config = parsed();
    expect(() => Object.assign(config.upstream, { endpoint: 'https://elsewhere.test' })).toThrow(TypeError);
    expect(() => ((config.issuers[0] as IssuerConfig).audiences as string[]).push('another')).toThrow(
      TypeError,
    );
  });

  it('lists everything that is missing at once', () => {
    expect(Object.keys(faultsOf({})).sort()).toEqual([
      'AUTH_AUDIENCE',
      'AUTH_ISSUER',
      'CCE_REGION',
      'HUAWEICLOUD_SDK_AK',
      'HUAWEICLOUD_SDK_SK',
    ]);
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
      accessKeyId: 'AKOTHER',
      secretAccessKey: 'skother',
      securityToken: undefined,
    });
  });

  it('refuses a documented setting that this version would ignore', () => {
    expect(faultsOf({ ...TEST_ENVIRONMENT, REDIS_URL: 'redis://127.0.0.1' })).toHaveProperty('REDIS_URL');
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
