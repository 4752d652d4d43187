import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { StaticCredentialConfig } from '../../src/config/config.ts';
import type { CredentialProvider } from '../../src/credentials/provider.ts';
import { createCredentialProvider } from '../../src/credentials/sources.ts';
import { authoriseRequest } from '../../src/signing/authorise-request.ts';
import { keyIdOf } from '../../src/signing/credential.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { createSecretVolume, type SecretVolume } from '../support/secret-volume.ts';
import { createProviderDependencies } from './scripted-source.ts';

const CALLERS = 8;
const CALLS_EACH = 12;
const PLANTED = (number: number) => ({
  accessKeyId: `AKPLANTED${number}`,
  secretAccessKey: `SKPLANTED${number}`,
});

let simulator: Simulator;
let volume: SecretVolume;

beforeAll(async () => {
  simulator = await startSimulator({ accessKeys: [PLANTED(1)] });
  const { accessKeyId, secretAccessKey } = PLANTED(1);
  volume = await createSecretVolume({ ak: accessKeyId, sk: secretAccessKey });
});
afterEach(() => simulator.reset());
afterAll(async () => {
  await Promise.all([simulator.stop(), volume.remove()]);
});

/** Real time, because the files are real; but no reading and no call is given up, however long the machine takes. */
function realDependencies() {
  const { deps, logger } = createProviderDependencies();
  const real = {
    ...deps,
    schedule: () => () => undefined,
    fetch,
    now: Date.now,
    elapsed: () => performance.now(),
    readTextFile: (path: string) => readFile(path, 'utf8'),
  };
  return { deps: real, logger };
}

/** A call as the upstream client makes it: after a rejection once more, if there is another credential. */
async function call(provider: CredentialProvider): Promise<number> {
  const url = new URL(`${simulator.url}/v5/imagecaches`);
  for (let attempt = 1; ; attempt += 1) {
    const credential = await provider.get();
    const headers = await authoriseRequest({ method: 'GET', url }, credential, { nowMs: Date.now() });
    const response = await fetch(url, { headers });
    await response.arrayBuffer();
    if (response.status !== 401 || attempt > 1 || !(await provider.reload(credential)))
      return response.status;
  }
}

/**
 * Many callers at once; `rotate` runs each time that a share of the calls has ended. A call is tried twice, so it may meet
 * one rotation and no more: the next one waits for the calls that began before the last was over, however slow they are.
 */
async function statusesUnderLoad(
  provider: CredentialProvider,
  rotations: number,
  rotate: (rotation: number) => Promise<void>,
): Promise<number[]> {
  const statuses: number[] = [];
  /** Of each call under way, how many rotations were over when it began. */
  const underWay = new Set<{ readonly rotated: number }>();
  const every = Math.floor((CALLERS * CALLS_EACH) / (rotations + 1));
  let rotated = 0;
  let rotating: Promise<void> | undefined;
  let newestUsed = -1;
  const rotateIfDue = () => {
    if (rotating !== undefined || rotated === rotations || statuses.length < (rotated + 1) * every) return;
    if ([...underWay].some((call) => call.rotated < rotated)) return;
    // Some call has used the key of now: else the next one would replace a key that nobody has seen.
    if (newestUsed < rotated) return;
    rotating = rotate(rotated + 1).then(() => {
      rotated += 1;
      rotating = undefined;
    });
  };
  const work = async () => {
    for (let count = 0; count < CALLS_EACH || rotated < rotations; count += 1) {
      const begun = { rotated };
      underWay.add(begun);
      statuses.push(await call(provider));
      underWay.delete(begun);
      newestUsed = Math.max(newestUsed, begun.rotated);
      rotateIfDue();
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, work));
  return statuses;
}

describe('keys that are revoked as soon as they are replaced', () => {
  it('in files: no call is lost under load', async () => {
    const { deps, logger } = realDependencies();
    const config: StaticCredentialConfig = {
      source: 'static',
      ...PLANTED(1),
      securityToken: undefined,
      files: { accessKeyId: volume.file('ak'), secretAccessKey: volume.file('sk'), securityToken: undefined },
    };
    const provider = createCredentialProvider(config, deps);
    const statuses = await statusesUnderLoad(provider, 3, async (rotation) => {
      const next = PLANTED(rotation + 1);
      simulator.credentials.add(next);
      await volume.swap({ ak: next.accessKeyId, sk: next.secretAccessKey });
      simulator.credentials.remove(PLANTED(rotation).accessKeyId);
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(statuses.length).toBeGreaterThanOrEqual(CALLERS * CALLS_EACH);
    expect(await call(provider)).toBe(200);
    expect(await provider.get()).toMatchObject(PLANTED(4));
    expect(simulator.requests.filter(({ authentication }) => authentication === 'bad-signature')).toEqual([]);
    // A reading may also meet the folder that a swap has just removed: that is said, and that it is over.
    expect(logger.lines.filter(({ message }) => message === 'credential replaced')).toHaveLength(3);
    expect(logger.lines.filter(({ level }) => level === 'warn').length).toBe(
      logger.lines.filter(({ message }) => message === 'the credential files are good again').length,
    );
    expect(JSON.stringify(logger.lines)).not.toContain('PLANTED');
  });

  it('a token in a file: no call is lost under load', async () => {
    const { deps, logger } = realDependencies();
    const token = (number: number) => `PLANTEDtoken${number}`;
    simulator.authTokens.add(token(1));
    const tokens = await createSecretVolume({ token: token(1) });
    const provider = createCredentialProvider(
      { source: 'token', authToken: token(1), file: tokens.file('token') },
      deps,
    );
    const statuses = await statusesUnderLoad(provider, 3, async (rotation) => {
      simulator.authTokens.add(token(rotation + 1));
      await tokens.swap({ token: token(rotation + 1) });
      simulator.authTokens.remove(token(rotation));
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await call(provider)).toBe(200);
    expect(await provider.get()).toEqual({ authToken: token(4), expiresAtMs: undefined });
    await tokens.remove();
    expect(logger.lines.filter(({ message }) => message === 'credential replaced')).toHaveLength(3);
    expect(JSON.stringify(logger.lines)).not.toContain('PLANTED');
  });

  it('a profile file: no call is lost under load, and a file that is wrong changes nothing', async () => {
    const { deps, logger } = realDependencies();
    const text = (number: number) => {
      const { accessKeyId, secretAccessKey } = PLANTED(number);
      return `[basic]\nak = ${accessKeyId}\nsk = ${secretAccessKey}\n`;
    };
    simulator.credentials.replace([PLANTED(1)]);
    const files = await createSecretVolume({ profile: text(1) });
    const profile = { ...PLANTED(1), securityToken: undefined, projectId: undefined, iamEndpoint: undefined };
    const provider = createCredentialProvider(
      { source: 'profile', profile, file: files.file('profile') },
      deps,
    );
    const statuses = await statusesUnderLoad(provider, 3, async (rotation) => {
      simulator.credentials.add(PLANTED(rotation + 1));
      await files.swap({ profile: text(rotation + 1) });
      simulator.credentials.remove(PLANTED(rotation).accessKeyId);
    });
    expect(new Set(statuses)).toEqual(new Set([200]));
    expect(await call(provider)).toBe(200);
    // A read may have come upon the folder that is being removed; it is read again.
    const rotatedLines = logger.lines.length;
    await files.swap({ profile: '[basic]\nak = PLANTED' });
    await provider.reload(await provider.get());
    expect(await provider.get()).toMatchObject(PLANTED(4));
    await files.remove();
    await provider.reload(await provider.get());
    const failures = logger.lines.slice(rotatedLines).filter(({ level }) => level === 'warn');
    // Each cause by its own name: it says where to look.
    expect(failures.map(({ fields }) => fields.reason)).toEqual(['not_a_credential', 'unreadable']);
    expect(logger.lines.filter(({ message }) => message === 'credential replaced')).toHaveLength(3);
    expect(JSON.stringify(logger.lines)).not.toContain('PLANTED');
  });

  it.each(['metadata', 'pod'] as const)(
    'from %s: no call is lost under load, and one load is enough',
    async (source) => {
      const { deps } = realDependencies();
      const provider = createCredentialProvider(
        source === 'metadata'
          ? { source, endpoint: simulator.url, passedOver: {} }
          : { source, uri: `${simulator.url}/v1/credentials`, tokenFile: '/token' },
        { ...deps, readTextFile: async () => 'simulator-pod-identity-token' },
      );
      const statuses = await statusesUnderLoad(provider, 1, async () => {
        simulator.credentials.remove(keyIdOf(await provider.get()));
      });
      expect(new Set(statuses)).toEqual(new Set([200]));
      expect(statuses.length).toBeGreaterThanOrEqual(CALLERS * CALLS_EACH);
      const path = source === 'metadata' ? '/openstack/latest/securitykey' : '/v1/credentials';
      expect(simulator.count(path)).toBe(2);
    },
  );
});

it('keys in the settings alone never change', async () => {
  const { deps } = realDependencies();
  const provider = createCredentialProvider(
    {
      source: 'static',
      ...PLANTED(1),
      securityToken: undefined,
      files: { accessKeyId: undefined, secretAccessKey: undefined, securityToken: undefined },
    },
    deps,
  );
  expect(await call(provider)).toBe(200);
  simulator.credentials.remove(PLANTED(1).accessKeyId);
  expect(await call(provider)).toBe(401);
  expect(simulator.count()).toBe(2);
});
