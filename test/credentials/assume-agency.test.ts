import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAgencySource } from '../../src/credentials/assume-agency.ts';
import type { CredentialProvider } from '../../src/credentials/provider.ts';
import { staticCredentialProvider } from '../../src/credentials/static.ts';
import type { Credential } from '../../src/signing/credential.ts';
import { DEFAULT_ACCESS_KEY, type Simulator, startSimulator } from '../simulator/simulator.ts';
import { sendSigned } from '../simulator/wire-client.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger, type RecordingLogger } from '../support/recording-logger.ts';
import { codeOf } from './code-of.ts';

const PATH = '/v5/agencies/assume';
const AGENCY_URN = 'iam::0000000000000000000000000000d002:agency:readers';

let simulator: Simulator;
let clock: FakeClock = createFakeClock();
let logger: RecordingLogger;

beforeAll(async () => {
  simulator = await startSimulator({ now: () => clock.now() });
});
beforeEach(() => {
  clock = createFakeClock();
  logger = createRecordingLogger();
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

function createLoad(
  source: Pick<CredentialProvider, 'get' | 'reload'> = staticCredentialProvider(DEFAULT_ACCESS_KEY),
  more: Partial<Parameters<typeof createAgencySource>[2]> = {},
) {
  const { now, elapsed, schedule } = clock;
  return createAgencySource(
    {
      stsEndpoint: simulator.url,
      agencyUrn: AGENCY_URN,
      sessionName: 'imagecaches-bff',
      durationSeconds: 900,
    },
    source,
    { fetch, now, elapsed, schedule, random: () => 0, logger, ...more },
  );
}

const STALE: Credential = { accessKeyId: 'PLANTEDaccess', secretAccessKey: 'PLANTEDsecret' };

describe('an agency', () => {
  it.each<[string, () => Credential]>([
    ['a key pair', () => DEFAULT_ACCESS_KEY],
    [
      'a temporary key',
      () => {
        const key = { ...DEFAULT_ACCESS_KEY, securityToken: 'simulator-security-token' };
        simulator.credentials.replace([key]);
        return key;
      },
    ],
    [
      'a token of IAM',
      () => {
        simulator.authTokens.add('token');
        return { authToken: 'token' };
      },
    ],
  ])('gives a credential that the gateway takes, for %s', async (_name, make) => {
    const { expiresAtMs, ...credential } = await createLoad(staticCredentialProvider(make()))();
    expect(expiresAtMs).toBe(clock.now() + 900_000);
    const accessKey = { ...credential, securityToken: credential.securityToken as string };
    expect((await sendSigned(simulator, { accessKey })).status).toBe(200);
    expect(simulator.requests[0]).toMatchObject({ method: 'POST', url: PATH, authentication: 'accepted' });
    expect(clock.pending).toBe(0);
  });

  it('is not taken to live longer than was asked for', async () => {
    simulator.setSts({ expiryErrorMs: 3_600_000 });
    expect((await createLoad()()).expiresAtMs).toBe(clock.now() + 900_000);
  });

  it('that is not permitted', async () => {
    simulator.setSts({ agencyUrn: 'another' });
    expect(await codeOf(createLoad()())).toBe('status_403');
    // It says nothing of the key: that may ask again.
    expect(await codeOf(createLoad()())).toBe('status_403');
    expect(simulator.count(PATH)).toBe(2);
  });

  it('is asked for again at once by the corrected clock', async () => {
    simulator.setClockSkewMs(3_600_000);
    expect(await codeOf(createLoad()())).toBe('no error');
    expect(simulator.requests.map(({ authentication }) => authentication)).toEqual(['clock', 'accepted']);
  });
});

describe('a key that STS rejects', () => {
  it('makes one call in 5 minutes', async () => {
    const load = createLoad(staticCredentialProvider(STALE));
    expect(await codeOf(load())).toBe('status_401');
    for (const waitMs of [0, 1000, 298_000]) {
      await clock.advance(waitMs);
      expect(await codeOf(load())).toBe('key_rejected');
    }
    expect(simulator.count(PATH)).toBe(1);
    await clock.advance(1000);
    expect(await codeOf(load())).toBe('status_401');
    expect(simulator.count(PATH)).toBe(2);
    expect(JSON.stringify(logger.lines)).not.toContain('PLANTED');
  });

  it('is replaced by another one of the source at once', async () => {
    let current = STALE;
    const reloaded: Credential[] = [];
    const load = createLoad({
      get: () => current,
      reload: async (rejected) => {
        reloaded.push(rejected);
        current = DEFAULT_ACCESS_KEY;
        return true;
      },
    });
    expect(await codeOf(load())).toBe('no error');
    expect(reloaded).toEqual([STALE]);
    expect(simulator.count(PATH)).toBe(2);
  });

  it('is left alone while other replicas leave it alone', async () => {
    const load = createLoad(undefined, { keyProofs: { enter: async () => 'locked_out' } });
    expect(await codeOf(load())).toBe('key_left_alone');
    expect(simulator.count(PATH)).toBe(0);
  });
});

it('is given up after 5 seconds, also when the source gives nothing', async () => {
  const waiting = codeOf(createLoad({ get: () => new Promise(() => {}), reload: async () => false })());
  await clock.advance(4999);
  expect(await Promise.race([waiting, 'still waiting'])).toBe('still waiting');
  await clock.advance(1);
  expect(await waiting).toBe('timeout');
});
