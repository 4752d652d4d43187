import { describe, expect, it } from 'vitest';
import { SETTING_NAMES, unusedSettings } from '../../src/config/config.ts';
import { findUnusedSettings } from '../../src/runtime/node/platform/find-unused-settings.ts';
import { TEST_ENVIRONMENT } from '../support/test-service.ts';

/** What is said of an environment, by name. */
function unusedOf(environment: Record<string, string>): Record<string, string> {
  const found = findUnusedSettings({ environment, faults: [] });
  return Object.fromEntries(found.map(({ setting, reason }) => [setting, reason]));
}
const withTests = (more: Record<string, string>) => unusedOf({ ...TEST_ENVIRONMENT, ...more });

describe('settings without effect', () => {
  it.each([
    // A missing or extra plural.
    ['CACHE_TTL_SECOND', 'CACHE_TTL_SECONDS'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
    ['LOG_LEVELS', 'LOG_LEVEL'],
    ['PORTS', 'PORT'],
    // A character missing, too many, another one, two swapped.
    ['AUTH_AUDIENC', 'AUTH_AUDIENCE'],
    ['AUTH_AUDIENCEE', 'AUTH_AUDIENCE'],
    ['RATE_LIMT_PER_MINUTE', 'RATE_LIMIT_PER_MINUTE'],
    ['AUTH_ALGORITHNS', 'AUTH_ALGORITHMS'],
    ['CACHE_TTL_SECNODS', 'CACHE_TTL_SECONDS'],
    ['PROT', 'PORT'],
    ['HUAWEICLOUD_SDK_KS', 'HUAWEICLOUD_SDK_SK'],
    ['OTEL_EXPORTER_OTLP_ENPOINT', 'OTEL_EXPORTER_OTLP_ENDPOINT'],
    ['OTEL_SERVCE_NAME', 'OTEL_SERVICE_NAME'],
    ['REDIS_ULR', 'REDIS_URL'],
    // Of files.
    ['SDK_KEY_FILE', 'SDK_KEYS_FILE'],
    ['CACHE_TTL_SECOND_FILE', 'CACHE_TTL_SECONDS'],
    ['AUTH_ISSUER_FILE', 'AUTH_ISSUERS_FILE'],
    ['HUAWEICLOUD_SDK_SK_FLIE', 'HUAWEICLOUD_SDK_SK_FILE'],
    // Capitals and underscores.
    ['cache_ttl_seconds', 'CACHE_TTL_SECONDS'],
    ['HUAWEI_CLOUD_SDK_AK', 'HUAWEICLOUD_SDK_AK'],
    ['cache.ttl.seconds', 'CACHE_TTL_SECONDS'],
    ['CACHE-TTL-SECONDS', 'CACHE_TTL_SECONDS'],
    ['huaweicloud-sdk-ak-file', 'HUAWEICLOUD_SDK_AK_FILE'],
    ['CACHETTL_SECONDS', 'CACHE_TTL_SECONDS'],
    // Another prefix, or one too many.
    ['HUAWEI_SDK_AK', 'HUAWEICLOUD_SDK_AK'],
    ['HUAWEICLOUD_SK', 'HUAWEICLOUD_SDK_SK'],
    ['SDK_SK_FILE', 'HUAWEICLOUD_SDK_SK_FILE'],
    ['HUAWEICLOUD_REGION', 'CCE_REGION'],
    ['HUAWEICLOUD_SDK_REGION', 'CCE_REGION'],
    ['OIDC_ISSUER', 'AUTH_ISSUER'],
    ['JWT_AUDIENCE', 'AUTH_AUDIENCE'],
    ['CCE_TTL_SECONDS', 'CACHE_TTL_SECONDS'],
    ['IMAGECACHES_CACHE_TTL_SECONDS', 'CACHE_TTL_SECONDS'],
    ['IMAGECACHES_BFF_LOG_LEVEL', 'LOG_LEVEL'],
  ])('%s: %s was meant', (name, meant) => {
    expect(withTests({ [name]: 'PLANTED' })).toEqual({ [name]: `did you mean ${meant}?` });
  });

  it.each([
    [
      'HUAWEICLOUD_SDK_IAM_ENDPOINT',
      'IAM is asked with HUAWEICLOUD_SDK_PROJECT_ID=auto only',
      { HUAWEICLOUD_SDK_IAM_ENDPOINT: 'https://iam.test', HUAWEICLOUD_SDK_PROJECT_ID: '0123' },
    ],
    [
      'OTEL_TRACES_SAMPLER',
      'nothing is traced without OTEL_EXPORTER_OTLP_ENDPOINT',
      { OTEL_TRACES_SAMPLER: 'always_off' },
    ],
    [
      'OTEL_EXPORTER_OTLP_HEADERS',
      'nothing is traced without OTEL_EXPORTER_OTLP_ENDPOINT',
      { OTEL_EXPORTER_OTLP_HEADERS: 'a=b' },
    ],
    [
      'OTEL_TRACES_SAMPLER_ARG',
      'only samplers with a ratio read it',
      { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c.test:4318', OTEL_TRACES_SAMPLER_ARG: '0.5' },
    ],
    ['HUAWEICLOUD_SDK_DOMAIN_ID', 'this service does not read it', { HUAWEICLOUD_SDK_DOMAIN_ID: 'x' }],
    [
      'HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4',
      'this service does not read it',
      { HUAWEICLOUD_SDK_REGION_CCE_CN_NORTH_4: 'x' },
    ],
    ['OTEL_METRICS_EXPORTER', 'this service does not read it', { OTEL_METRICS_EXPORTER: 'otlp' }],
    ['OTEL_LOG_LEVEL', 'this service does not read it', { OTEL_LOG_LEVEL: 'debug' }],
    ['AUTH_AUDIENCE_FILE', 'AUTH_AUDIENCE is not read from a file', { AUTH_AUDIENCE_FILE: '/a' }],
  ])('%s: %s', (name, reason, more) => {
    expect(withTests(more)).toEqual({ [name]: reason });
  });

  it('are not a region beside an endpoint, which metrics and STS go by', () => {
    expect(withTests({ CCE_REGION: 'cn-north-4' })).toEqual({});
  });

  it('are those of the issuer that is not there', () => {
    const { AUTH_ISSUER: _issuer, AUTH_AUDIENCE: _audience, ...rest } = TEST_ENVIRONMENT;
    const issuers = JSON.stringify({ issuers: [{ issuer: 'https://a.test', audiences: ['a'] }] });
    const more = {
      AUTH_ISSUERS: issuers,
      AUTH_ALGORITHMS: 'ES256',
      AUTH_SCOPE: 'a',
      AUTH_REFRESH_SCOPE: 'b',
    };
    const reason = 'it is for AUTH_ISSUER, which is not set';
    expect(unusedOf({ ...rest, ...more })).toEqual({
      AUTH_JWKS_URL: reason,
      AUTH_ALGORITHMS: reason,
      AUTH_SCOPE: 'each issuer of AUTH_ISSUERS_FILE has its own',
    });
  });

  it('are none where each has its effect, or is not set', () => {
    expect(
      withTests({
        CACHE_TTL_SECOND: '',
        HUAWEICLOUD_SDK_DOMAIN_ID: ' \n',
        CCE_REGION: 'cn-north-4',
        HUAWEICLOUD_SDK_PROJECT_ID: 'auto',
        HUAWEICLOUD_SDK_IAM_ENDPOINT: 'https://iam.test',
        OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector.test:4318',
        OTEL_SERVICE_NAME: 'a',
        OTEL_RESOURCE_ATTRIBUTES: 'b=c',
        OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: '5',
        OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
        OTEL_TRACES_SAMPLER_ARG: '0.5',
        // A fault already.
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector.test',
      }),
    ).toEqual({});
  });

  it('leave the variables of everybody else alone', () => {
    const foreign = [
      ...['PATH', 'HOME', 'HOSTNAME', 'PWD', 'USER', 'SHELL', 'LANG', 'TERM', 'TZ', 'SHLVL', '_', 'LOGNAME'],
      ...[
        'KUBERNETES_PORT',
        'KUBERNETES_SERVICE_HOST',
        'KUBERNETES_SERVICE_PORT_HTTPS',
        'KUBERNETES_PORT_443_TCP',
      ],
      ...['IMAGECACHES_BFF_PORT', 'IMAGECACHES_BFF_SERVICE_HOST', 'IMAGECACHES_BFF_METRICS_PORT'],
      ...['REDIS_PORT', 'REDIS_SERVICE_HOST', 'REDIS_PORT_6379_TCP_ADDR', 'CCE_PORT', 'AUTH_SERVICE_PORT'],
      ...[
        'NODE_OPTIONS',
        'NODE_EXTRA_CA_CERTS',
        'NODE_VERSION',
        'NODE_ENV',
        'npm_config_cache',
        'npm_lifecycle_event',
      ],
      ...[
        'HOSTS_FILE',
        'java.home',
        'log4j.level',
        'SSL_CERT_FILE',
        'INVOCATION_ID',
        'JOURNAL_STREAM',
        'SYSTEMD_EXEC_PID',
        'CREDENTIALS_DIRECTORY',
      ],
      ...[
        'POST',
        'COST',
        'CACHE_DIR',
        'AUTH_TOKEN',
        'SDK_HOME',
        'CACHE_URL',
        'ALL_PROXY',
        'FTP_PROXY',
        'all_proxy',
      ],
      ...[
        'AWS_REGION',
        'AWS_ACCESS_KEY_ID',
        'GOOGLE_APPLICATION_CREDENTIALS',
        // Of another cloud's images.
        'CLOUD_SDK_VERSION',
        'DATABASE_URL',
        'LOG_FORMAT',
        'DEBUG',
      ],
      ...['HC_CONTAINER_CREDENTIALS_FULL_URI', 'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
      ...['HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy', 'HTTP_PROXY'],
    ];
    expect(withTests(Object.fromEntries(foreign.map((name) => [name, 'PLANTED'])))).toEqual({});
  });

  it('are not names that cannot be printed, and hold no value', () => {
    const environment = {
      ...TEST_ENVIRONMENT,
      'HUAWEICLOUD_\u001b[31m': 'PLANTED',
      [`HUAWEICLOUD_${'A'.repeat(200)}`]: 'PLANTED',
      HUAWEICLOUD_SDK_DOMAIN_ID: 'PLANTED',
    };
    const found = findUnusedSettings({ environment, faults: [] });
    expect(found.map(({ setting }) => setting)).toEqual(['HUAWEICLOUD_SDK_DOMAIN_ID']);
    expect(JSON.stringify(found)).not.toContain('PLANTED');
  });

  it('is no setting by its own name, for every name that there is', () => {
    for (const name of SETTING_NAMES) {
      const found = unusedSettings({ ...TEST_ENVIRONMENT, [name]: 'x' }, {});
      expect(found.filter(({ reason }) => reason.startsWith('did you mean'))).toEqual([]);
    }
  });

  it('counts a setting whose file could not be read as given', () => {
    const { AUTH_ISSUER: _issuer, AUTH_AUDIENCE: _audience, AUTH_JWKS_URL: _url, ...rest } = TEST_ENVIRONMENT;
    const environment = { ...rest, AUTH_SCOPE: 'a', SDK_KEYS_FILE: '/nowhere' };
    const faults = [{ setting: 'SDK_KEYS_FILE', fault: 'names a file that cannot be read (ENOENT)' }];
    expect(findUnusedSettings({ environment, faults })).toEqual([]);
  });
});
