import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { OidcCredentialConfig } from '../../src/config/config.ts';
import { createOidcSource } from '../../src/credentials/oidc.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { sendSigned } from '../simulator/wire-client.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger, type RecordingLogger } from '../support/recording-logger.ts';
import { codeOf } from './code-of.ts';

const PATH = '/v5/agencies/assume-with-oidc';
const TOKEN = 'simulator-oidc-token';

let simulator: Simulator;
let clock: FakeClock = createFakeClock();
let logger: RecordingLogger;
let readTextFile: (path: string) => Promise<string>;

beforeAll(async () => {
  simulator = await startSimulator({ now: () => clock.now() });
});
beforeEach(() => {
  clock = createFakeClock();
  logger = createRecordingLogger();
  readTextFile = async (path) => (path === '/token' ? `${TOKEN}\n` : '');
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

function load(changed: Partial<OidcCredentialConfig> = {}) {
  const config: OidcCredentialConfig = {
    source: 'oidc',
    stsEndpoint: simulator.url,
    providerUrn: 'iam::0000000000000000000000000000d001:oidcProvider:cluster',
    agencyUrn: 'iam::0000000000000000000000000000d001:agency:imagecaches',
    token: { file: '/token' },
    sessionName: 'oidc-sts-session',
    durationSeconds: 900,
    policy: undefined,
    policyIds: undefined,
    ...changed,
  };
  return createOidcSource(config, {
    fetch,
    now: clock.now,
    schedule: clock.schedule,
    readTextFile: (path) => readTextFile(path),
    logger,
  })();
}

describe('an OIDC token', () => {
  it.each(['snake', 'camel', 'short'] as const)(
    'becomes a credential that the gateway takes, with members in the spelling %s',
    async (spelling) => {
      simulator.setSts({ spelling });
      const { expiresAtMs, ...credential } = await load();
      expect(expiresAtMs).toBe(clock.now() + 900_000);
      const accessKey = { ...credential, securityToken: credential.securityToken as string };
      expect((await sendSigned(simulator, { accessKey })).status).toBe(200);
      expect(simulator.requests[0]).toMatchObject({ method: 'POST', url: PATH });
      expect(clock.pending).toBe(0);
    },
  );

  it('goes to STS in the members that the Python SDK sends, and no other', async () => {
    let body: unknown;
    const seen = async (url: string, init: { body?: string }) => {
      body = JSON.parse(init.body ?? '');
      return fetch(url, init);
    };
    const config = { stsEndpoint: simulator.url, providerUrn: 'p', agencyUrn: 'a', sessionName: 'session' };
    const platform = { now: clock.now, schedule: clock.schedule, readTextFile, logger, fetch: seen as never };
    const send = (policy?: string, policyIds?: string[]) =>
      codeOf(
        createOidcSource(
          { source: 'oidc', ...config, token: { text: 't' }, durationSeconds: 3600, policy, policyIds },
          platform,
        )(),
      );
    const always = {
      provider_urn: 'p',
      agency_urn: 'a',
      agency_session_name: 'session',
      id_token: 't',
      duration_seconds: 3600,
    };
    expect(await send()).toBe('status_404');
    expect(body).toEqual(always);
    await send('{"Version":"5.0"}', ['one', 'two']);
    expect(body).toEqual({ ...always, policy: '{"Version":"5.0"}', policy_ids: ['one', 'two'] });
  });

  it('is read for each call, since the platform replaces it', async () => {
    await load();
    simulator.setSts({ idTokens: ['rotated'] });
    expect(await codeOf(load())).toBe('status_401');
    readTextFile = async () => 'rotated';
    expect(await codeOf(load())).toBe('no error');
  });

  it('can stand in a setting', async () => {
    readTextFile = () => Promise.reject(new Error('not read'));
    expect(await codeOf(load({ token: { text: TOKEN } }))).toBe('no error');
  });

  it.each(['', ' \n', 'PLANTED token', 'PLANTED\ntoken', 'PLANTEDé'])('is never sent as %j', async (text) => {
    readTextFile = async () => text;
    expect(await codeOf(load())).toBe('token_file_invalid');
    expect(simulator.requests).toEqual([]);
  });

  it('that STS refuses is in no output, and what STS said of it neither', async () => {
    readTextFile = async () => 'PLANTEDtoken';
    expect(await codeOf(load())).toBe('status_401');
    expect(logger.lines).toEqual([
      {
        level: 'warn',
        message: 'STS gives no credential',
        fields: { status: 401, vendorCode: 'STS.0401', vendorRequestId: expect.any(String) },
      },
    ]);
    expect(JSON.stringify(logger.lines)).not.toContain('PLANTED');
  });
});

describe('an expiry that STS states', () => {
  it.each([
    [-300_000, 600_000],
    [300_000, 900_000],
    [86_400_000, 900_000],
  ])('%i ms from the one that it keeps to makes a life of %i ms', async (expiryErrorMs, lifeMs) => {
    simulator.setSts({ expiryErrorMs });
    expect((await load()).expiresAtMs).toBe(clock.now() + lifeMs);
  });
});

describe('STS', () => {
  const credentials = {
    access_key_id: 'PLANTEDaccess',
    secret_access_key: 'PLANTEDsecret',
    security_token: 'PLANTEDtoken',
    expiration: '2026-01-08T03:50:07.574000Z',
  };
  it.each<[name: string, text: string]>([
    ['no JSON', 'PLANTED'],
    ['null', 'null'],
    ['no credentials', '{}'],
    ['credentials that are null', '{"credentials":null}'],
    ...Object.keys(credentials).flatMap((member) =>
      [undefined, null, 7, '', 'PLANTED\n'].map((bad): [string, string] => [
        `${member}: ${JSON.stringify(bad)}`,
        JSON.stringify({ credentials: { ...credentials, [member]: bad } }),
      ]),
    ),
  ])('gives nothing with %s', async (_name, text) => {
    simulator.script({ match: { path: PATH }, answer: { kind: 'respond', text } });
    expect(await codeOf(load())).toBe('not_the_model');
  });

  it.each([
    [{ kind: 'redirect', location: null } as const, 'status_302'],
    [{ kind: 'respond', status: 500, text: 'PLANTED' } as const, 'status_500'],
    [{ kind: 'reset' } as const, 'connection'],
    [{ kind: 'huge', bodyBytes: 10_000_000 } as const, 'too_large'],
  ])('that answers %j', async (answer, code) => {
    simulator.script({ match: { path: PATH }, answer });
    expect(await codeOf(load())).toBe(code);
    expect(simulator.requests).toHaveLength(1);
  });

  it('is given up after 5 seconds', async () => {
    simulator.hold('hang', { match: { path: PATH } });
    const hanging = codeOf(load());
    await simulator.arrived('hang');
    await clock.advance(4999);
    expect(await Promise.race([hanging, 'still waiting'])).toBe('still waiting');
    await clock.advance(1);
    expect(await hanging).toBe('timeout');
  });
});
