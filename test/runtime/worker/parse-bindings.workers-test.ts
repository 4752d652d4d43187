import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/config/config.ts';
import { findUnusedBindings, parseBindings } from '../../../src/runtime/worker/parse-bindings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

function faultsOf(bindings: Record<string, unknown>): Record<string, string> {
  try {
    parseBindings(bindings);
    return {};
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return Object.fromEntries(error.faults.map(({ setting, fault }) => [setting, fault]));
  }
}
const unusedOf = (bindings: Record<string, unknown>) =>
  Object.fromEntries(
    findUnusedBindings({ ...TEST_ENVIRONMENT, ...bindings }).map(({ setting, reason }) => [setting, reason]),
  );

describe('the bindings of a Worker', () => {
  it('are numbers and booleans too', () => {
    const { limits, isApiDocumented } = parseBindings({
      ...TEST_ENVIRONMENT,
      RATE_LIMIT_PER_MINUTE: 2,
      API_DOCS: false,
    });
    expect(limits.requestsPerMinute).toBe(2);
    expect(isApiDocumented).toBe(false);
  });

  it('are not contradicted by a time that Workers do not read', () => {
    const short = { UPSTREAM_ATTEMPT_TIMEOUT_MS: 500, UPSTREAM_DEADLINE_MS: 800 };
    for (const more of [{}, { UPSTREAM_CONNECT_TIMEOUT_MS: 60_000 }])
      expect(parseBindings({ ...TEST_ENVIRONMENT, ...short, ...more }).target.upstream).toMatchObject({
        attemptTimeoutMs: 500,
        deadlineMs: 800,
      });
  });

  it('are listed at once with all that is wrong, and with what only a Worker lacks', () => {
    const faults = faultsOf({
      AUTH_ISSUER: 'https://login.example.test',
      AUTH_SCOPE: ['PLANTED'],
      AUTH_JWKS_FILE: '/PLANTED',
      REDIS_URL: 'redis://PLANTED.test',
      HUAWEICLOUD_CREDENTIALS: 'metadata',
      HUAWEICLOUD_METADATA_ENDPOINT: 'http://127.0.0.1:9',
    });
    expect(faults).toMatchObject({
      REDIS_URL: 'is not for Workers; bind a KV namespace as IMAGECACHES_KV instead',
      AUTH_JWKS_FILE: 'is not for Workers, which have no files; set AUTH_JWKS_URL instead',
      HUAWEICLOUD_CREDENTIALS: 'must be static, oidc or token on Workers',
      HUAWEICLOUD_METADATA_ENDPOINT: 'is of no use: the credentials are static; remove it',
      HUAWEICLOUD_SDK_AK: expect.stringContaining('is missing'),
      HUAWEICLOUD_SDK_SK: expect.stringContaining('is missing'),
      AUTH_AUDIENCE: expect.stringContaining('is missing'),
      AUTH_SCOPE: 'must be text, a number or a boolean, not a list, an object or null',
      CCE_REGION: expect.stringContaining('is missing'),
    });
    expect(Object.keys(faults)).toHaveLength(9);
    expect(JSON.stringify(faults)).not.toContain('PLANTED');
  });

  it('hold a missing key pair to be missing, with nothing said of the sources that Node has', () => {
    const { HUAWEICLOUD_SDK_AK: _ak, HUAWEICLOUD_SDK_SK: _sk, ...rest } = TEST_ENVIRONMENT;
    for (const chosen of [{}, { HUAWEICLOUD_CREDENTIALS: 'auto' }])
      expect(Object.keys(faultsOf({ ...rest, ...chosen }))).toEqual([
        'HUAWEICLOUD_SDK_AK',
        'HUAWEICLOUD_SDK_SK',
      ]);
    expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, HUAWEICLOUD_CREDENTIALS: 'PLANTED' }))).toEqual([
      'HUAWEICLOUD_CREDENTIALS',
    ]);
  });

  it('are asked for by their own names, never by those of files', () => {
    const { HUAWEICLOUD_SDK_AK: _ak, HUAWEICLOUD_SDK_SK: _sk, ...rest } = TEST_ENVIRONMENT;
    const missing = 'is missing; bind it to a secret that holds the token';
    expect(faultsOf({ ...rest, HUAWEICLOUD_CREDENTIALS: 'token' })).toEqual({ CCE_AUTH_TOKEN: missing });
    const oidc = {
      ...rest,
      HUAWEICLOUD_OIDC_PROVIDER_URN: 'a',
      HUAWEICLOUD_OIDC_AGENCY_URN: 'b',
      HUAWEICLOUD_SDK_STS_ENDPOINT: 'https://sts.example.test',
    };
    expect(faultsOf(oidc)).toEqual({ HUAWEICLOUD_OIDC_ID_TOKEN: missing });
    expect(faultsOf({ ...oidc, HUAWEICLOUD_OIDC_ID_TOKEN: 'a.b.c' })).toEqual({});
    expect(faultsOf({ ...oidc, HUAWEICLOUD_OIDC_TOKEN_FILE: '/token' })).toEqual({
      HUAWEICLOUD_OIDC_TOKEN_FILE:
        'is not for Workers, which have no files; bind HUAWEICLOUD_OIDC_ID_TOKEN instead',
    });
  });

  it('of two secrets of Secrets Store are named by the bindings when they contradict each other', () => {
    const names = ['HUAWEICLOUD_SDK_AK', 'CCE_AUTH_TOKEN'];
    const parse = () => parseBindings({ ...TEST_ENVIRONMENT, CCE_AUTH_TOKEN: 'token' }, names);
    expect(parse).toThrow('several are set: static (HUAWEICLOUD_SDK_AK), token (CCE_AUTH_TOKEN)');
  });

  it('of the older federation are faults, as they are on Node', () => {
    for (const name of ['HUAWEICLOUD_SDK_IDP_ID', 'HUAWEICLOUD_SDK_ID_TOKEN_FILE'])
      expect(faultsOf({ ...TEST_ENVIRONMENT, [name]: 'PLANTED' })).toEqual({
        [name]: expect.stringContaining('use OIDC'),
      });
  });

  it('that have no effect are those of Node', () => {
    const ofNode = [
      ...['HOST', 'PORT', 'METRICS_PORT', 'MAX_CONNECTIONS', 'UPSTREAM_CONNECT_TIMEOUT_MS', 'CONSOLE'],
      ...['CONSOLE_OIDC_CLIENT_ID', 'SHUTDOWN_DELAY_SECONDS', 'SHUTDOWN_GRACE_SECONDS', 'OTEL_SERVICE_NAME'],
      ...['OTEL_TRACES_SAMPLER', 'HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY', 'https_proxy', 'no_proxy'],
      ...['HC_CONTAINER_CREDENTIALS_FULL_URI', 'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
      ...['HUAWEICLOUD_SDK_CREDENTIALS', 'HUAWEICLOUD_SDK_CREDENTIALS_FILE'],
    ];
    expect(unusedOf(Object.fromEntries(ofNode.map((name) => [name, 'PLANTED'])))).toEqual(
      Object.fromEntries(ofNode.map((name) => [name, 'Workers do not read it'])),
    );
  });

  it('that have no effect are those of TLS, which the platform ends', () => {
    const names = ['TLS_CERT_FILE', 'TLS_KEY_FILE', 'TLS_CLIENT_CA_FILE'];
    expect(unusedOf(Object.fromEntries(names.map((name) => [name, 'PLANTED'])))).toEqual(
      Object.fromEntries(names.map((name) => [name, 'Workers do not read it'])),
    );
  });

  it('are known by what they are bound to', () => {
    const kv = env.IMAGECACHES_KV;
    expect(unusedOf({ IMAGECACHES_KV: kv, ASSETS: {}, OTHER_SERVICE: kv })).toEqual({});
    expect(unusedOf({ IMAGECACHE_KV: kv })).toEqual({ IMAGECACHE_KV: 'did you mean IMAGECACHES_KV?' });
    expect(unusedOf({ IMAGECACHES_KV: 'id' })).toEqual({
      IMAGECACHES_KV: 'it must be bound to a KV namespace',
    });
  });
});
