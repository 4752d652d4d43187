import { describe, expect, it } from 'vitest';
import { faultsOf, parsed } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('callers', () => {
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
});
