import { expect, it } from 'vitest';
import { createIssuerKeys, createKeyLoader } from '../../src/auth/issuer-keys.ts';
import type { IssuerConfig } from '../../src/config/config.ts';
import { createProviderDependencies } from '../credentials/scripted-source.ts';
import { createTestKey } from '../support/test-keys.ts';

it('a file of keys that hangs is given up after 5 seconds, and read again after the pause', async () => {
  const { deps, clock, logger } = createProviderDependencies();
  const { publicJwk } = await createTestKey();
  let readings = 0;
  const readTextFile = () => {
    readings += 1;
    return readings === 1
      ? new Promise<string>(() => {})
      : Promise.resolve(JSON.stringify({ keys: [publicJwk] }));
  };
  const config: Pick<IssuerConfig, 'issuer' | 'keys' | 'algorithms'> = {
    algorithms: ['RS256'],
    issuer: 'https://login.example.test',
    keys: { kind: 'file', path: '/keys.json' },
  };
  const platform = { ...deps, readTextFile, fetch: () => Promise.reject(new Error('no network here')) };
  const keys = createIssuerKeys(config, createKeyLoader(config as IssuerConfig, platform), platform);
  const warmed = keys.warm();
  await clock.advance(4999);
  expect(logger.lines).toEqual([]);
  await clock.advance(1);
  await warmed;
  expect(logger.lines).toMatchObject([
    {
      level: 'warn',
      fields: { issuer: config.issuer, failures: 1, error: { name: 'KeyLoadError', code: 'timeout' } },
      message: 'keys could not be loaded',
    },
  ]);
  expect(keys.usable()).toBe(false);
  await clock.advance(1000);
  await keys.warm();
  expect(keys.usable()).toBe(true);
  expect(clock.pending).toBe(0);
});
