import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/config.ts';
import { faultsOf } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('SDK clients', () => {
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
});
