import { describe, expect, it } from 'vitest';
import { claimAt, scopesOf } from '../../src/auth/principal.ts';
import { TEST_AUDIENCE, TEST_ISSUER } from '../support/test-keys.ts';
import { createTestService } from '../support/test-service.ts';

const SCOPE = 'imagecaches:read';

async function ask(claims: Record<string, unknown>, environment: Record<string, string | undefined> = {}) {
  const service = await createTestService(environment);
  const authorization = `Bearer ${await service.token(claims)}`;
  const { status } = await service.app.request('/imagecaches', { headers: { authorization } });
  const lines = service.logger.lines;
  const { reason, claim } = (lines.find(({ message }) => message === 'request')?.fields ?? {}) as Record<
    string,
    unknown
  >;
  return { status, reason, claim, lines };
}

describe('the log names the claim that failed, and never its value', () => {
  const SECONDS = Date.UTC(2026, 0, 2, 3, 4, 5) / 1000;
  it.each<[Record<string, unknown>, number, string, string]>([
    [{ aud: undefined }, 401, 'claim_missing', 'aud'],
    [{ aud: 'planted-value' }, 401, 'claim_wrong', 'aud'],
    [{ aud: ['planted-value', 'other'] }, 401, 'claim_wrong', 'aud'],
    [{ aud: [] }, 401, 'claim_wrong', 'aud'],
    [{ aud: null }, 401, 'claim_wrong', 'aud'],
    [{ aud: { [TEST_AUDIENCE]: TEST_AUDIENCE } }, 401, 'claim_wrong', 'aud'],
    [{ aud: [[TEST_AUDIENCE]] }, 401, 'claim_wrong', 'aud'],
    [{ aud: `${TEST_AUDIENCE} other` }, 401, 'claim_wrong', 'aud'],
    [{ iss: undefined }, 401, 'claim_missing', 'iss'],
    [{ iss: 'https://planted-value.test' }, 401, 'unknown_issuer', 'iss'],
    [{ iss: `${TEST_ISSUER}/` }, 401, 'unknown_issuer', 'iss'],
    [{ iss: [TEST_ISSUER] }, 401, 'unknown_issuer', 'iss'],
    [{ exp: undefined }, 401, 'claim_missing', 'exp'],
    [{ exp: 'planted-value' }, 401, 'claim_invalid', 'exp'],
    [{ exp: SECONDS - 31 }, 401, 'expired', 'exp'],
    [{ nbf: SECONDS + 31 }, 401, 'not_yet_valid', 'nbf'],
    [{ nbf: 'planted-value' }, 401, 'claim_invalid', 'nbf'],
    [{ iat: 'planted-value' }, 401, 'claim_invalid', 'iat'],
    [{ scope: undefined }, 403, 'missing_scope', 'scope scp'],
    [{ scope: 'planted-value' }, 403, 'missing_scope', 'scope scp'],
  ])('%j: %i, %s, %s', async (claims, status, reason, claim) => {
    const answer = await ask(claims);
    expect(answer).toMatchObject({ status, reason, claim });
    expect(JSON.stringify(answer.lines)).not.toContain('planted-value');
  });

  it('and says nothing of claims where none failed', async () => {
    expect(await ask({})).toMatchObject({ status: 200, reason: undefined, claim: undefined });
  });

  it('of a subject that is not allowed', async () => {
    const issuers = [
      {
        issuer: TEST_ISSUER,
        audiences: [TEST_AUDIENCE],
        jwksUrl: `${TEST_ISSUER}/jwks.json`,
        allowedSubjects: ['somebody'],
      },
    ];
    const environment = {
      AUTH_ISSUER: undefined,
      AUTH_AUDIENCE: undefined,
      AUTH_JWKS_URL: undefined,
      AUTH_ISSUERS: JSON.stringify({ issuers }),
    };
    expect(await ask({}, environment)).toMatchObject({
      status: 403,
      reason: 'subject_not_allowed',
      claim: 'sub',
    });
  });
});

describe('a claim by name or path', () => {
  it.each<[string, Record<string, unknown>, unknown]>([
    ['scope', { scope: 'a' }, 'a'],
    ['realm_access.roles', { realm_access: { roles: ['a'] } }, ['a']],
    ['https://example.com/scopes', { 'https://example.com/scopes': 'a' }, 'a'],
    ['https://example.com/scopes', { 'https://example': { 'com/scopes': 'b' } }, 'b'],
    ['a.b', { 'a.b': 'literal', a: { b: 'path' } }, 'literal'],
    ['a.b', { 'a.b': null, a: { b: 'path' } }, null],
    [
      'resource_access.https://app.example.com.roles',
      { resource_access: { 'https://app.example.com': { roles: 'c' } } },
      'c',
    ],
    ['a.b.c', { a: { 'b.c': 'd' } }, 'd'],
    ['a.b.c', { 'a.b': { c: 'e' } }, 'e'],
    ['a.b.c', { a: { x: 1 }, 'a.b': { c: 'e' } }, 'e'],
    ['a.b', { a: 'text' }, undefined],
    ['a.b', { a: null }, undefined],
    ['a.b', {}, undefined],
    ['a.length', { a: 'text' }, undefined],
    ['a.', { a: { '': 'f' } }, 'f'],
    ['.', { '': { '': 'g' } }, 'g'],
    ['constructor.name', {}, undefined],
    ['__proto__.a', { a: 'x' }, undefined],
    ['a.constructor.name', { a: {} }, undefined],
    ['toString', {}, undefined],
  ])('%s in %j', (name, claims, value) => {
    expect(claimAt(claims, name)).toEqual(value);
  });

  it('scopes may stand in several, as texts and lists', () => {
    const claims = {
      scope: 'a  b',
      realm_access: { roles: ['c', 1, null, 'd e'] },
      other: { scp: { f: 'g' } },
    };
    expect(scopesOf(claims, ['scope', 'realm_access.roles', 'other.scp', 'none'])).toEqual([
      'a',
      'b',
      'c',
      'd e',
    ]);
  });

  it.each([
    ['realm_access.roles', { realm_access: { roles: [SCOPE] } }, 200],
    ['realm_access.roles', { realm_access: { roles: SCOPE } }, 200],
    ['realm_access.roles', { realm_access: { roles: ['other'] } }, 403],
    ['realm_access.roles', { realm_access: [SCOPE] }, 403],
    ['scope,realm_access.roles', { realm_access: { roles: [SCOPE] } }, 200],
    ['https://example.com/scopes', { 'https://example.com/scopes': [SCOPE] }, 200],
    ['https://example.com/scopes', { scope: SCOPE }, 403],
  ])('AUTH_SCOPE_CLAIM=%s with %j: %i', async (AUTH_SCOPE_CLAIM, claims, status) => {
    const answer = await ask({ scope: undefined, ...claims }, { AUTH_SCOPE_CLAIM });
    expect(answer).toMatchObject({
      status,
      claim: status === 403 ? AUTH_SCOPE_CLAIM.replace(',', ' ') : undefined,
    });
  });
});

describe('another claim in place of aud, as Amazon Cognito needs it', () => {
  const COGNITO = { AUTH_AUDIENCE: '1example23456789,other', AUTH_AUDIENCE_CLAIM: 'client_id' };
  /** As in an access token of a user pool. */
  const CLAIMS = {
    aud: undefined,
    token_use: 'access',
    client_id: '1example23456789',
    scope: `openid ${SCOPE}`,
  };

  it.each<[Record<string, unknown>, number, string?]>([
    [{}, 200],
    [{ client_id: 'other' }, 200],
    [{ client_id: 'a-third' }, 401, 'claim_wrong'],
    [{ client_id: undefined }, 401, 'claim_missing'],
    [{ client_id: undefined, aud: '1example23456789' }, 401, 'claim_missing'],
    [{ client_id: '1example23456789 x' }, 401, 'claim_wrong'],
    [{ client_id: '' }, 401, 'claim_wrong'],
    [{ aud: 'somebody' }, 200],
  ])('%j: %i', async (claims, status, reason) => {
    expect(await ask({ ...CLAIMS, ...claims }, COGNITO)).toMatchObject({
      status,
      reason,
      claim: status === 401 ? 'client_id' : undefined,
    });
  });

  it('per issuer, in the document of issuers; another issuer goes on needing aud', async () => {
    const second = 'https://login.example.test/second';
    const environment = {
      AUTH_ISSUERS: JSON.stringify({
        issuers: [
          {
            issuer: second,
            audiences: ['1example23456789'],
            audienceClaim: 'azp.id',
            jwksUrl: `${TEST_ISSUER}/jwks.json`,
          },
        ],
      }),
    };
    expect(
      (await ask({ iss: second, aud: undefined, azp: { id: '1example23456789' } }, environment)).status,
    ).toBe(200);
    expect(await ask({ iss: second, aud: '1example23456789' }, environment)).toMatchObject({
      status: 401,
      claim: 'azp.id',
    });
    expect((await ask({}, environment)).status).toBe(200);
    expect(await ask({ aud: undefined, azp: { id: TEST_AUDIENCE } }, environment)).toMatchObject({
      status: 401,
      claim: 'aud',
    });
  });
});
