import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createMetadataServiceSource } from '../../src/credentials/metadata-service.ts';
import { METADATA_TOKEN_PATH, SECURITY_KEY_PATH } from '../simulator/metadata-service.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { sendSigned } from '../simulator/wire-client.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';

/** One load takes 5 seconds at most, session token included. */
const METADATA_TIMEOUT_MS = 5000;
/** A session token is renewed 5 minutes before its end. */
const SESSION_TOKEN_MARGIN_MS = 300_000;
/** The most that the metadata service gives: 6 hours. */
const SESSION_TOKEN_TTL_SECONDS = 21_600;
/** That there are no session tokens is remembered for 1 hour. */
const TOKENLESS_MS = 3_600_000;

let simulator: Simulator;
let clock: FakeClock = createFakeClock();
let load: ReturnType<typeof createMetadataServiceSource>;

beforeAll(async () => {
  simulator = await startSimulator({ now: () => clock.now() });
});
beforeEach(() => {
  clock = createFakeClock();
  load = createMetadataServiceSource(simulator.url, { ...clock, fetch });
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

const asked = () => simulator.requests.map(({ method, path }) => `${method} ${path}`);
const PUT_TOKEN = `PUT ${METADATA_TOKEN_PATH}`;
const GET_KEY = `GET ${SECURITY_KEY_PATH}`;

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    expect(error).toMatchObject({ name: 'CredentialSourceError' });
    const { code, message, stack } = error as { code: string; message: string; stack: string };
    expect(message).toBe(code);
    expect(stack).not.toContain('PLANTED');
    return code;
  }
  return 'no error';
}

describe('the metadata service', () => {
  it('gives a credential that the gateway takes, and keeps the session token', async () => {
    const credential = await load();
    expect(credential).toEqual({
      accessKeyId: expect.stringMatching(/^SIMULATORTEMP/),
      secretAccessKey: expect.any(String),
      securityToken: expect.any(String),
      expiresAtMs: clock.now() + 86_400_000,
    });
    const { accessKeyId, secretAccessKey, securityToken = '' } = credential;
    const answer = await sendSigned(simulator, {
      accessKey: { accessKeyId, secretAccessKey, securityToken },
    });
    expect(answer.status).toBe(200);
    simulator.forgetRequests();
    await load();
    expect(asked()).toEqual([GET_KEY]);
    expect(clock.pending).toBe(0);
  });

  it('asks for a session token of 6 hours, and renews it shortly before its end', async () => {
    await load();
    const [put] = simulator.requests;
    expect(put?.headers.find(([name]) => name.toLowerCase() === 'x-metadata-token-ttl-seconds')?.[1]).toBe(
      '21600',
    );
    await clock.advance(SESSION_TOKEN_TTL_SECONDS * 1000 - SESSION_TOKEN_MARGIN_MS - 1);
    await load();
    expect(asked()).toEqual([PUT_TOKEN, GET_KEY, GET_KEY]);
    await clock.advance(1);
    await load();
    expect(asked().slice(3)).toEqual([PUT_TOKEN, GET_KEY]);
  });

  it('renews a session token that is rejected, once', async () => {
    await load();
    simulator.invalidateSessionTokens();
    await load();
    expect(asked().slice(2)).toEqual([GET_KEY, PUT_TOKEN, GET_KEY]);

    simulator.forgetRequests();
    simulator.script({ match: { path: SECURITY_KEY_PATH }, times: 'always', answer: respond(401, 'no') });
    expect(await codeOf(load())).toBe('status_401');
    expect(asked()).toEqual([GET_KEY, PUT_TOKEN, GET_KEY]);
  });

  it('a node without an agency is told apart, and asked once', async () => {
    const text = '{"message": "Please configure Cloud Service Agency first. PLANTED"}';
    simulator.script({ match: { path: SECURITY_KEY_PATH }, times: 'always', answer: respond(401, text) });
    expect(await codeOf(load())).toBe('agency_missing');
    expect(asked()).toEqual([PUT_TOKEN, GET_KEY]);
  });

  it.each([404, 405, 503] as const)(
    'goes without a session token when the service answers %i, for an hour',
    async (status) => {
      simulator.setMetadata({ sessionTokens: status, expiryFractionDigits: 0, lifetimeSeconds: 900 });
      const { expiresAtMs } = await load();
      expect(expiresAtMs).toBe(Math.floor((clock.now() + 900_000) / 1000) * 1000);
      expect(simulator.requests[1]?.headers.map(([name]) => name.toLowerCase())).not.toContain(
        'x-metadata-token',
      );
      await clock.advance(TOKENLESS_MS - 1);
      await load();
      expect(asked()).toEqual([PUT_TOKEN, GET_KEY, GET_KEY]);
      await clock.advance(1);
      await load();
      expect(asked().slice(3)).toEqual([PUT_TOKEN, GET_KEY]);
    },
  );

  it('a tokenless service that begins to want tokens gets one', async () => {
    simulator.setMetadata({ sessionTokens: 404 });
    await load();
    simulator.setMetadata({ sessionTokens: 'issued' });
    await load();
    expect(asked().slice(2)).toEqual([GET_KEY, PUT_TOKEN, GET_KEY]);
  });

  it('a tokenless service that rejects the key is not asked again', async () => {
    simulator.setMetadata({ sessionTokens: 404 });
    simulator.script({ match: { path: SECURITY_KEY_PATH }, times: 'always', answer: respond(401, 'no') });
    expect(await codeOf(load())).toBe('unauthorised');
    expect(asked()).toEqual([PUT_TOKEN, GET_KEY, PUT_TOKEN]);
  });

  it.each([
    [500, 'PLANTED', 'session_token_status_500'],
    [302, 'PLANTED', 'session_token_status_302'],
    [200, '', 'session_token_invalid'],
    [200, 'PLANTED token', 'session_token_invalid'],
    [200, 'PLANTED\r\nx: y', 'session_token_invalid'],
  ])('the session token answer %i %j fails', async (status, text, code) => {
    simulator.script({ match: { path: METADATA_TOKEN_PATH }, answer: respond(status, text) });
    expect(await codeOf(load())).toBe(code);
    expect(asked()).toEqual([PUT_TOKEN]);
  });

  it('trims the session token', async () => {
    simulator.setMetadata({ sessionTokens: 404 });
    simulator.script({ match: { path: METADATA_TOKEN_PATH }, answer: respond(200, ' token-1\n') });
    await load();
    expect(simulator.requests[1]?.headers).toContainEqual(['x-metadata-token', 'token-1']);
  });

  const credential = {
    access: 'PLANTEDaccess',
    secret: 'PLANTEDsecret',
    securitytoken: 'PLANTEDtoken',
    expires_at: '2026-01-03T00:00:00.000000Z',
  };
  it('the answer of the next table is good as it stands, and unknown members are let be', async () => {
    simulator.script({
      match: { path: SECURITY_KEY_PATH },
      answer: { kind: 'respond', json: { credential: { ...credential, more: 1 }, more: 1 } },
    });
    expect((await load()).expiresAtMs).toBe(Date.UTC(2026, 0, 3));
  });
  it.each<[name: string, text: string]>([
    ['no JSON', 'PLANTED {'],
    ['nothing', ''],
    ['null', 'null'],
    ['an array', '[]'],
    ['no credential', '{"PLANTED": 1}'],
    ['a credential that is null', '{"credential": null}'],
    ...Object.keys(credential).flatMap((member) =>
      [undefined, null, 7, '', ' PLANTED', 'PLANTED\n', 'PLANTEDé'].map((bad): [string, string] => [
        `${member}: ${JSON.stringify(bad)}`,
        JSON.stringify({ credential: { ...credential, [member]: bad } }),
      ]),
    ),
    [
      'an expiry that is no date',
      JSON.stringify({ credential: { ...credential, expires_at: '2026-02-30T00:00:00Z' } }),
    ],
  ])('does not take %s', async (_name, text) => {
    simulator.script({ match: { path: SECURITY_KEY_PATH }, answer: respond(200, text) });
    expect(await codeOf(load())).toBe('not_the_model');
  });

  it.each([
    [262_144, 'no error'],
    [262_145, 'too_large'],
  ])('takes an answer of up to 256 KiB: %i bytes', async (bytes, code) => {
    // White space at the end of JSON means nothing.
    const text = JSON.stringify({ credential }).padEnd(bytes);
    simulator.script({ match: { path: SECURITY_KEY_PATH }, answer: respond(200, text) });
    expect(await codeOf(load())).toBe(code);
  });

  it.each([
    ['a redirect', { kind: 'redirect', location: null } as const, 'status_302'],
    ['a rejection', respond(403, 'PLANTED'), 'status_403'],
    ['a fault', respond(500, 'PLANTED'), 'status_500'],
    ['a reset', { kind: 'reset' } as const, 'connection'],
    ['a cut body', { kind: 'truncate' } as const, 'connection'],
    ['a flood', { kind: 'huge', bodyBytes: 10_000_000 } as const, 'too_large'],
    ['a bomb', { kind: 'gzip-bomb', unpackedBytes: 50_000_000 } as const, 'too_large'],
  ])('reports %s', async (_name, answer, code) => {
    simulator.script({ match: { path: SECURITY_KEY_PATH }, answer });
    expect(await codeOf(load())).toBe(code);
    expect(asked()).toEqual([PUT_TOKEN, GET_KEY]);
    expect(clock.pending).toBe(0);
  });

  it.each([METADATA_TOKEN_PATH, SECURITY_KEY_PATH])(
    'gives up after 5 seconds in all when %s hangs, and ends the request',
    async (path) => {
      simulator.hold('hang', { match: { path } });
      const outcome = codeOf(load());
      await simulator.arrived('hang');
      await clock.advance(METADATA_TIMEOUT_MS - 1);
      expect(await Promise.race([outcome, 'still waiting'])).toBe('still waiting');
      await clock.advance(1);
      expect(await outcome).toBe('timeout');
      await simulator.abandoned('hang');
    },
  );
});

function respond(status: number, text: string) {
  return { kind: 'respond', status, text } as const;
}
