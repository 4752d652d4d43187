import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/config.ts';
import { faultsOf } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('the shared store', () => {
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

  it('says that a password must be percent-encoded, and does not show it', () => {
    for (const url of ['redis://:Planted100%@host', 'redis://:Planted#1@host', 'redis://:Planted/1@host']) {
      const { REDIS_URL = [], ...others } = faultsOf({ ...TEST_ENVIRONMENT, REDIS_URL: url });
      expect(String(REDIS_URL)).toContain('percent-encoded in a URL: % as %25, # as %23, / as %2F');
      expect(String(REDIS_URL)).not.toContain('Planted');
      expect(others).toEqual({});
    }
    expect(String(faultsOf({ ...TEST_ENVIRONMENT, REDIS_URL: 'localhost:6379' }).REDIS_URL)).toMatch(
      /^must be redis:\/\/ .*, for example rediss:\/\//,
    );
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
    const profile = (more: string) => ({
      ...metadata,
      HUAWEICLOUD_CREDENTIALS: 'profile',
      HUAWEICLOUD_SDK_CREDENTIALS: `[basic]\nak=AK\nsk=SK\n${more}`,
    });
    expect(faultsOf(profile(''))).toHaveProperty('REDIS_URL');
    expect(faultsOf(profile('project_id=p1'))).not.toHaveProperty('REDIS_URL');
    expect(faultsOf({ ...metadata, HUAWEICLOUD_SDK_PROJECT_ID: 'a'.repeat(32) })).toEqual({});
    // What is bad is reported once, and not as missing too.
    expect(Object.keys(faultsOf({ ...metadata, HUAWEICLOUD_SDK_PROJECT_ID: 'p 1' }))).toEqual([
      'HUAWEICLOUD_SDK_PROJECT_ID',
    ]);
    expect(Object.keys(faultsOf(profile('project_id=p 1')))).toEqual(['HUAWEICLOUD_SDK_CREDENTIALS_FILE']);
  });
});
