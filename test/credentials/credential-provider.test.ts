import { describe, expect, it } from 'vitest';
import { isSameCredential } from '../../src/credentials/provider.ts';
import { staticCredentialProvider } from '../../src/credentials/static.ts';
import { plantedCredential } from './scripted-source.ts';

describe('staticCredentialProvider', () => {
  it('always answers one frozen object, no part of what was given and with nothing beside the credential', async () => {
    const given = { ...plantedCredential(1), source: 'static' };
    const provider = staticCredentialProvider(given);
    const credential = await provider.get();
    given.secretAccessKey = 'changed';
    expect(credential).toEqual(plantedCredential(1));
    expect(credential).not.toHaveProperty('source');
    expect(Object.isFrozen(credential)).toBe(true);
    expect(await provider.get()).toBe(credential);
    expect(await provider.reload(credential)).toBe(false);
    expect(provider.usable()).toBe(true);
  });

  it('refuses at once what cannot be used, without quoting it', () => {
    const make = () =>
      staticCredentialProvider({ accessKeyId: 'PLANTED', secretAccessKey: 'PLANTED with space' });
    expect(make).toThrow(TypeError);
    expect(make).not.toThrow(/PLANTED/);
  });
});

describe('isSameCredential', () => {
  it.each(['accessKeyId', 'secretAccessKey', 'securityToken'] as const)('looks at %s', (member) => {
    expect(isSameCredential(plantedCredential(1, 5), plantedCredential(1, 6))).toBe(true);
    expect(isSameCredential(plantedCredential(1), { ...plantedCredential(1), [member]: 'x' })).toBe(false);
  });
});
