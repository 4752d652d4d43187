import { beforeAll, describe, expect, it } from 'vitest';
import { environmentOf, faultsOf, refusal, SETTINGS } from './chart-values.ts';
import { type DeployTools, installTools } from './install-tools.ts';
import { renderChart, renderText } from './render-chart.ts';

let tools: DeployTools;
beforeAll(async () => {
  tools = await installTools();
});

const OIDC = {
  HUAWEICLOUD_OIDC_PROVIDER_URN: 'a',
  HUAWEICLOUD_OIDC_AGENCY_URN: 'b',
  HUAWEICLOUD_OIDC_TOKEN_FILE: '/token',
};

describe('the settings of the chart', () => {
  it('gives every value the text that the service wants, however it was written', async () => {
    const forms = `settings:
  CCE_REGION: cn-north-4
  AUTH_ISSUER: https://login.example.com
  AUTH_AUDIENCE: 12345678
  HUAWEICLOUD_SDK_PROJECT_ID: "01234567890123456789012345678901"
  CACHE_MAX_BYTES: 67108864
  CACHE_MAX_ENTRIES: 1000000
  RATE_LIMIT_PER_MINUTE: " 100000000 "
  CACHE_TTL_SECONDS: 30.0
  CONSOLE: on
  API_DOCS: off
  LOG_LEVEL: null
  CACHE_EMPTY_TTL_SECONDS: ""
  OTEL_TRACES_SAMPLER_ARG: 0.00001
  OTEL_SERVICE_NAME: a$(HOST)
  SHUTDOWN_GRACE_SECONDS: " 040 "
`;
    const { the } = await renderText(tools, forms);
    const deployment = the('Deployment');
    expect(environmentOf(deployment)).toMatchObject({
      AUTH_AUDIENCE: '12345678',
      HUAWEICLOUD_SDK_PROJECT_ID: '01234567890123456789012345678901',
      CACHE_MAX_BYTES: '67108864',
      CACHE_MAX_ENTRIES: '1000000',
      RATE_LIMIT_PER_MINUTE: '100000000',
      CACHE_TTL_SECONDS: '30',
      CONSOLE: 'on',
      API_DOCS: 'off',
      OTEL_TRACES_SAMPLER_ARG: '0.00001',
      // Kubernetes reads $$ as a dollar sign, and would replace $(HOST).
      OTEL_SERVICE_NAME: 'a$$(HOST)',
    });
    for (const name of ['LOG_LEVEL', 'CACHE_EMPTY_TTL_SECONDS'])
      expect(environmentOf(deployment)).not.toHaveProperty(name);
    expect(deployment.spec.template.spec.terminationGracePeriodSeconds).toBe(5 + 40 + 5);
    const args = [
      ...['--set', 'settings.HUAWEICLOUD_SDK_PROJECT_ID=12345678901234567890123456789012'],
      ...['--set', 'settings.CACHE_MAX_BYTES=67108864,settings.CONSOLE=true,settings.API_DOCS=off'],
      ...[
        '--set-json',
        'settings.CACHE_MAX_ENTRIES=1e6',
        '--set-string',
        'settings.RATE_LIMIT_PER_MINUTE=1000000',
      ],
    ];
    const bySet = await renderChart(tools, { settings: SETTINGS }, 'test', args);
    expect(environmentOf(bySet.the('Deployment'))).toMatchObject({
      HUAWEICLOUD_SDK_PROJECT_ID: '12345678901234567890123456789012',
      CACHE_MAX_BYTES: '67108864',
      CACHE_MAX_ENTRIES: '1000000',
      RATE_LIMIT_PER_MINUTE: '1000000',
      CONSOLE: 'on',
      API_DOCS: 'off',
    });
    // YAML has made a float of it: the digits are gone.
    const lost = `${forms.replaceAll('"', '').replace(': 0123', ': 123')}`;
    expect(await refusal(tools, lost)).toContain(
      'HUAWEICLOUD_SDK_PROJECT_ID has lost digits as a number; write it in quotes',
    );
  });

  it.each<[Record<string, string | undefined>, string?]>([
    [{ CCE_REGION: undefined, AUTH_ISSUER: undefined, AUTH_AUDIENCE: undefined }],
    [{}],
    [{ CCE_REGION: '' }],
    [{ AUTH_AUDIENCE: undefined }],
    [{ CCE_REGION: undefined, CCE_ENDPOINT: 'https://a.example', HUAWEICLOUD_SDK_PROJECT_ID: 'auto' }],
    [{ UPSTREAM_ATTEMPT_TIMEOUT_MS: '9000' }],
    [{ UPSTREAM_CONNECT_TIMEOUT_MS: '6000' }],
    [{ UPSTREAM_CONNECT_TIMEOUT_MS: '6000', UPSTREAM_ATTEMPT_TIMEOUT_MS: '7000' }],
    [{ HUAWEICLOUD_METADATA_ENDPOINT: 'http://169.254.169.254' }],
    [{ HUAWEICLOUD_METADATA_ENDPOINT: 'http://169.254.169.254' }, 'metadata'],
    [{ AUTH_JWKS_URL: 'https://a.example/jwks', AUTH_JWKS_FILE: '/etc/jwks.json' }],
    [{ AUTH_FAILURES_PER_MINUTE: '5' }],
    [{ AUTH_FAILURES_PER_MINUTE: '5', TRUSTED_PROXIES: 'none' }],
    [{ SDK_PUBLIC_HOST: 'a.example' }],
    [{ SDK_REPLAY_PROTECTION: 'on' }],
    [{ CONSOLE_OIDC_CLIENT_ID: 'page' }],
    [{ CONSOLE_OIDC_CLIENT_ID: 'page', CONSOLE: 'on' }],
    [{ CONSOLE_OIDC_CLIENT_ID: 'page', CONSOLE: 'true' }],
    [{}, 'oidc'],
    [{ HUAWEICLOUD_OIDC_PROVIDER_URN: 'a', HUAWEICLOUD_OIDC_AGENCY_URN: 'b' }, 'oidc'],
    [OIDC, 'oidc'],
    [OIDC],
    [OIDC, 'metadata'],
    [{}, 'token'],
    [{}, 'profile'],
    [{ HUAWEICLOUD_SDK_STS_ENDPOINT: 'https://sts.example' }],
    [{ HUAWEICLOUD_ASSUME_SESSION_NAME: 'session' }],
    [{ HUAWEICLOUD_ASSUME_SESSION_NAME: 'session', HUAWEICLOUD_ASSUME_AGENCY_URN: 'c' }],
  ])('refuses settings together when the service does: %j %s', async (change, source = 'static') => {
    const settings = Object.fromEntries(
      Object.entries({ ...SETTINGS, ...change }).filter(([, value]) => value !== undefined),
    );
    const keys = source === 'static' && { HUAWEICLOUD_SDK_AK: 'AK', HUAWEICLOUD_SDK_SK: 'SK' };
    const faults = faultsOf({ ...settings, ...keys, HUAWEICLOUD_CREDENTIALS: source });
    const text = await refusal(tools, { settings, credentials: { source } });
    expect(text === '', text).toBe(faults.length === 0);
    for (const fault of faults) expect(text).toContain(fault);
  });
  it.each<[Record<string, string>, Record<string, string>?, object?]>([
    [{ HUAWEICLOUD_SDK_AK: 'AK' }, { HUAWEICLOUD_SDK_AK_FILE: '/ak' }],
    [{ CLOUD_SDK_AK: 'AK2' }],
    [{ REDIS_URL: 'redis://a' }, { REDIS_URL_FILE: '/url' }, { redis: { secretName: 'redis' } }],
    [{ SDK_KEYS: '{}' }, { SDK_KEYS_FILE: '/keys' }, { sdkKeys: { secretName: 'pairs' } }],
    [{ UPSTREAM_DEADLINE_MS: '3000' }],
    [{ UPSTREAM_DEADLINE_MS: '9000' }],
    [{ CCE_REGION: ' ' }, {}, { settings: { ...SETTINGS, CCE_REGION: null } }],
  ])('refuses variables of the pod when the service does: %j', async (variables, mounted, values) => {
    const settings = { ...SETTINGS, HUAWEICLOUD_SDK_AK: 'AK', HUAWEICLOUD_SDK_SK: 'SK' };
    // Where a value and its file are both there, the service refuses them as it reads the file.
    const files = Object.keys(mounted ?? {});
    const faults = faultsOf({ ...settings, ...variables });
    const extraEnv = Object.entries(variables).map(([name, value]) => ({ name, value }));
    const text = await refusal(tools, { settings: SETTINGS, extraEnv, ...values });
    expect(text === '', text).toBe(faults.length + files.length === 0);
    for (const name of [...files, ...faults]) expect(text).toContain(name);
  });

  it('takes it that variables from elsewhere are right, but needs to know how long a pod ends', async () => {
    const valueFrom = { configMapKeyRef: { name: 'a', key: 'b' } };
    const of = (name: string) => refusal(tools, { settings: SETTINGS, extraEnv: [{ name, valueFrom }] });
    for (const name of ['UPSTREAM_DEADLINE_MS', 'UPSTREAM_CONNECT_TIMEOUT_MS', 'CACHE_TTL_SECONDS'])
      expect(await of(name)).toBe('');
    expect(await of('SHUTDOWN_GRACE_SECONDS')).toContain('SHUTDOWN_GRACE_SECONDS belongs in settings');
  });
});
