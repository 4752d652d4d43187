import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createPodIdentitySource } from '../../src/credentials/pod-identity.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { sendSigned } from '../simulator/wire-client.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { codeOf } from './code-of.ts';

const PATH = '/v1/credentials';
/** One load takes 5 seconds at most. */
const POD_IDENTITY_TIMEOUT_MS = 5000;
const GOOD_TOKEN = 'simulator-pod-identity-token';

let simulator: Simulator;
let clock: FakeClock = createFakeClock();
let readTextFile: (path: string) => Promise<string>;
let load: ReturnType<typeof createPodIdentitySource>;

beforeAll(async () => {
  simulator = await startSimulator({ now: () => clock.now() });
});
beforeEach(() => {
  clock = createFakeClock();
  readTextFile = async (path) => (path === '/token' ? `${GOOD_TOKEN}\n` : '');
  load = createPodIdentitySource(
    { uri: simulator.url + PATH, tokenFile: '/token' },
    { fetch, schedule: clock.schedule, readTextFile: (path) => readTextFile(path) },
  );
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

describe('pod identity', () => {
  it.each([6, 0] as const)(
    'gives a credential that the gateway takes, with %i fraction digits',
    async (digits) => {
      simulator.setPodIdentity({ expiryFractionDigits: digits });
      const { expiresAtMs, ...credential } = await load();
      expect(expiresAtMs).toBe(clock.now() + 3_600_000);
      const accessKey = { ...credential, securityToken: credential.securityToken as string };
      expect((await sendSigned(simulator, { accessKey })).status).toBe(200);
      const [request] = simulator.requests;
      expect(request).toMatchObject({ method: 'POST', path: PATH, bodyBytes: 2 });
      expect(request?.headers).toContainEqual(['content-type', 'application/json; charset=utf-8']);
      expect(clock.pending).toBe(0);
    },
  );

  it('reads the token file for each load', async () => {
    await load();
    simulator.setPodIdentity({ token: 'rotated' });
    expect(await codeOf(load())).toBe('status_401');
    readTextFile = async () => 'rotated';
    expect(await codeOf(load())).toBe('no error');
  });

  it.each(['', ' \n', 'PLANTED token', 'PLANTED\ntoken', 'PLANTEDé'])(
    'never sends the token %j',
    async (text) => {
      readTextFile = async () => text;
      expect(await codeOf(load())).toBe('token_file_invalid');
      expect(simulator.requests).toEqual([]);
    },
  );

  it('says that the token file cannot be read', async () => {
    readTextFile = async () => {
      throw Object.assign(new Error('PLANTED'), { code: 'ENOENT' });
    };
    await expect(load()).rejects.toMatchObject({ code: 'token_file_unreadable', cause: { code: 'ENOENT' } });
  });

  const credentials = {
    accessKeyId: 'PLANTEDaccess',
    secretAccessKey: 'PLANTEDsecret',
    securityToken: 'PLANTEDtoken',
    expiration: '2020-01-08T03:50:07.574000Z',
  };
  it.each<[name: string, text: string]>([
    ['no JSON', 'PLANTED'],
    ['no credentials', '{}'],
    ...Object.keys(credentials).flatMap((member) =>
      [undefined, null, 7, '', 'PLANTED\n'].map((bad): [string, string] => [
        `${member}: ${JSON.stringify(bad)}`,
        JSON.stringify({ credentials: { ...credentials, [member]: bad } }),
      ]),
    ),
  ])('does not take %s', async (_name, text) => {
    simulator.script({ match: { path: PATH }, answer: { kind: 'respond', text } });
    expect(await codeOf(load())).toBe('not_the_model');
  });

  it.each([
    [{ kind: 'redirect', location: null } as const, 'status_302'],
    [{ kind: 'respond', status: 404, text: 'PLANTED' } as const, 'status_404'],
    [{ kind: 'reset' } as const, 'connection'],
    [{ kind: 'huge', bodyBytes: 10_000_000 } as const, 'too_large'],
  ])('reports %j', async (answer, code) => {
    simulator.script({ match: { path: PATH }, answer });
    expect(await codeOf(load())).toBe(code);
    expect(simulator.requests).toHaveLength(1);
  });

  it('gives up after 5 seconds, also when the file does not come', async () => {
    simulator.hold('hang', { match: { path: PATH } });
    const hanging = codeOf(load());
    await simulator.arrived('hang');
    await clock.advance(POD_IDENTITY_TIMEOUT_MS - 1);
    expect(await Promise.race([hanging, 'still waiting'])).toBe('still waiting');
    await clock.advance(1);
    expect(await hanging).toBe('timeout');
    readTextFile = () => new Promise(() => {});
    const waiting = codeOf(load());
    await clock.advance(POD_IDENTITY_TIMEOUT_MS - 1);
    expect(await Promise.race([waiting, 'still waiting'])).toBe('still waiting');
    await clock.advance(1);
    expect(await waiting).toBe('timeout');
  });
});
