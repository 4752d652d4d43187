import { expect, it } from 'vitest';
import { parseConfig } from '../src/config/config.ts';
import { createNamespace } from '../src/fleet/namespace.ts';
import { TEST_ENVIRONMENT } from './support/test-service.ts';

const of = (more: Record<string, string | undefined> = {}) =>
  createNamespace([parseConfig({ ...TEST_ENVIRONMENT, ...more }).target])();

it('keeps endpoints, projects and accounts apart, and tells none of them', async () => {
  const project = { HUAWEICLOUD_SDK_PROJECT_ID: 'p'.repeat(32) };
  const namespaces = await Promise.all([
    of(),
    of({ HUAWEICLOUD_SDK_AK: 'AKOTHER' }),
    of({ CCE_ENDPOINT: 'https://cce2.example.test' }),
    of(project),
    of({ HUAWEICLOUD_SDK_PROJECT_ID: 'q'.repeat(32) }),
    // A key that looks like a project is none.
    of({ HUAWEICLOUD_SDK_AK: 'p'.repeat(32) }),
  ]);
  expect(new Set(namespaces).size).toBe(namespaces.length);
  for (const namespace of namespaces) expect(namespace).toMatch(/^imagecaches-bff:2:[0-9a-f]{24}$/);
});

it('is the same for a project whichever key is used, so that a key can be replaced one replica at a time', async () => {
  const project = { HUAWEICLOUD_SDK_PROJECT_ID: 'p'.repeat(32) };
  expect(await of({ ...project, HUAWEICLOUD_SDK_AK: 'AKNEW' })).toBe(await of(project));
});

it('keeps accounts apart that are known by an agency or a token', async () => {
  const keyless = { HUAWEICLOUD_SDK_AK: undefined, HUAWEICLOUD_SDK_SK: undefined, CCE_REGION: 'cn-north-4' };
  const oidc = (agency: string) => ({
    ...keyless,
    HUAWEICLOUD_OIDC_PROVIDER_URN: 'provider',
    HUAWEICLOUD_OIDC_AGENCY_URN: agency,
    HUAWEICLOUD_OIDC_ID_TOKEN: 'token',
  });
  const assumed = (agency: string) => ({
    CCE_REGION: 'cn-north-4',
    HUAWEICLOUD_ASSUME_AGENCY_URN: agency,
  });
  const settings = ['a', 'b'].flatMap((one) => [
    oidc(`oidc:${one}`),
    assumed(`assumed:${one}`),
    { ...keyless, CCE_AUTH_TOKEN: `token-${one}` },
  ]);
  const namespaces = await Promise.all(settings.map(of));
  expect(new Set(namespaces).size).toBe(6);
});
