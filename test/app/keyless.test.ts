import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createTestService, type TestService } from '../support/test-service.ts';

const STS_PATH = '/v5/agencies/assume-with-oidc';
const LIST_PATH = '/v5/imagecaches';
const MINUTE_MS = 60_000;

let simulator: Simulator;
let clock: FakeClock = createFakeClock();

beforeAll(async () => {
  simulator = await startSimulator({ now: () => clock.now(), projects: [] });
});
afterEach(() => simulator.reset());
afterAll(() => simulator.stop());

interface Keyless {
  readonly service: TestService;
  /** Lets time go by in steps, with the work of each done before the next. */
  readonly advance: (ms: number) => Promise<void>;
  /** What the token file holds now. */
  token: string;
  /** Expiry times of the credentials that were loaded. */
  readonly loaded: (number | undefined)[];
}

/** The service with an OIDC token for 900 s credentials, and no key. */
async function startKeyless(environment: Record<string, string> = {}): Promise<Keyless> {
  const loaded: (number | undefined)[] = [];
  const metrics = { ...NO_METRICS, credentialLoaded: (atMs: number | undefined) => loaded.push(atMs) };
  const service = await createTestService(
    {
      CCE_ENDPOINT: simulator.url,
      HUAWEICLOUD_SDK_AK: undefined,
      HUAWEICLOUD_SDK_SK: undefined,
      HUAWEICLOUD_OIDC_PROVIDER_URN: 'iam::0000000000000000000000000000d001:oidcProvider:cluster',
      HUAWEICLOUD_OIDC_AGENCY_URN: 'iam::0000000000000000000000000000d001:agency:imagecaches',
      HUAWEICLOUD_OIDC_TOKEN_FILE: '/token',
      HUAWEICLOUD_OIDC_DURATION_SECONDS: '900',
      HUAWEICLOUD_SDK_STS_ENDPOINT: simulator.url,
      CACHE_TTL_SECONDS: '1',
      CACHE_STALE_WHILE_REVALIDATE_SECONDS: '0',
      CACHE_STALE_IF_ERROR_SECONDS: '0',
      RATE_LIMIT_PER_MINUTE: '0',
      ...environment,
    },
    { readTextFile: async () => keyless.token, metrics: { ...metrics, forTarget: () => metrics } },
  );
  clock = service.clock;
  service.upstream = ({ url, init }) => fetch(url, init);
  const keyless: Keyless = {
    service,
    loaded,
    token: 'simulator-oidc-token',
    async advance(ms) {
      await clock.advance(ms);
      await Promise.all(service.background.splice(0));
    },
  };
  return keyless;
}

/** Calls of one moment, by several callers at once. */
async function callTogether({ service }: Keyless, callers = 3): Promise<number[]> {
  const authorization = `Bearer ${await service.token()}`;
  const answers = Array.from({ length: callers }, async (_, index) => {
    const name = index === 0 ? '' : `?name=web-${index}`;
    return (await service.get(`/imagecaches${name}`, { headers: { authorization } })).status;
  });
  const statuses = await Promise.all(answers);
  await Promise.all(service.background.splice(0));
  return statuses;
}

it('serves 10 hours under load with 900 s credentials and a token of one minute', async () => {
  const keyless = await startKeyless();
  const statuses = new Set<number>();
  let sts = 0;
  const rejected: string[] = [];
  for (let minute = 0; minute < 600; minute += 1) {
    // The token of the last minute is no longer taken.
    keyless.token = `token-of-minute-${minute}`;
    simulator.setSts({ idTokens: [keyless.token] });
    for (let step = 0; step < 2; step += 1) {
      for (const status of await callTogether(keyless)) statuses.add(status);
      await keyless.advance(MINUTE_MS / 2);
    }
    sts += simulator.count(STS_PATH);
    for (const { path, authentication, status } of simulator.requests)
      if (status !== 200 || (path === LIST_PATH && authentication !== 'accepted'))
        rejected.push(`${path} ${status} ${authentication}`);
    expect(simulator.count(LIST_PATH)).toBeGreaterThanOrEqual(2);
    simulator.forgetRequests();
  }
  expect(statuses).toEqual(new Set([200]));
  expect(rejected).toEqual([]);
  // A refresh is due after three quarters of a life, 675 s, and begins with the next call, at most 30 s later.
  expect(sts).toBeGreaterThanOrEqual(Math.floor(36_000 / 705));
  expect(sts).toBeLessThanOrEqual(Math.ceil(36_000 / 675));
  expect(keyless.loaded).toHaveLength(sts);
}, 120_000);

it('serves 2 hours with the agency of another account, which is assumed with those credentials', async () => {
  const keyless = await startKeyless({
    HUAWEICLOUD_ASSUME_AGENCY_URN: 'iam::0000000000000000000000000000d002:agency:readers',
    HUAWEICLOUD_ASSUME_DURATION_SECONDS: '900',
  });
  const statuses = new Set<number>();
  for (let step = 0; step < 240; step += 1) {
    for (const status of await callTogether(keyless)) statuses.add(status);
    await keyless.advance(MINUTE_MS / 2);
  }
  expect(statuses).toEqual(new Set([200]));
  expect(simulator.requests.filter(({ status }) => status !== 200)).toEqual([]);
  const assumed = simulator.count('/v5/agencies/assume');
  expect(assumed).toBeGreaterThanOrEqual(Math.floor(7200 / 705));
  expect(assumed).toBeLessThanOrEqual(Math.ceil(7200 / 675));
  // The expiry that is measured is that of the agency's credentials alone.
  expect(keyless.loaded).toHaveLength(assumed);
});

describe('while STS gives nothing', () => {
  it.each([
    ['down', { kind: 'close' }, 'connection'],
    ['failing', { kind: 'respond', status: 500, text: 'PLANTED' }, 'status_500'],
    ['refusing', { kind: 'respond', status: 403, text: '{"error_msg":"PLANTED"}' }, 'status_403'],
    [
      'wrong about expiry',
      {
        kind: 'respond',
        text: JSON.stringify({
          credentials: {
            access_key_id: 'PLANTEDaccess',
            secret_access_key: 'PLANTEDsecret',
            security_token: 'PLANTEDtoken',
            expiration: '2001-01-08T03:50:07.574000Z',
          },
        }),
      },
      'expired',
    ],
  ] as const)('%s: the last good credential while it is valid, then the cause', async (_, answer, reason) => {
    const keyless = await startKeyless();
    expect(await callTogether(keyless, 1)).toEqual([200]);
    simulator.script({ match: { path: STS_PATH }, answer, times: 'always' });
    // Used until 10 seconds before it expires.
    for (let seconds = 0; seconds < 885; seconds += 15) {
      expect(await callTogether(keyless, 1)).toEqual([200]);
      await keyless.advance(15_000);
    }
    const calls = simulator.count(LIST_PATH);
    // The pause between two loads has grown to 60 seconds.
    for (const waitMs of [5000, MINUTE_MS]) {
      await keyless.advance(waitMs);
      expect(await callTogether(keyless, 1)).toEqual([503]);
    }
    expect(simulator.count(LIST_PATH)).toBe(calls);
    const failed = keyless.service.logger.lines.filter(
      ({ message }) => message === 'the credential could not be refreshed',
    );
    expect(failed.at(-1)?.fields).toMatchObject({ source: 'oidc', usable: false, error: { code: reason } });
    expect(JSON.stringify(keyless.service.logger.lines)).not.toContain('PLANTED');
    simulator.clearScript();
    await keyless.advance(MINUTE_MS);
    expect(await callTogether(keyless, 1)).toEqual([200]);
  });

  it('slow: nobody waits while the last good credential is valid', async () => {
    const keyless = await startKeyless();
    expect(await callTogether(keyless, 1)).toEqual([200]);
    await keyless.advance(690_000);
    simulator.hold('slow', { match: { path: STS_PATH } });
    const { service } = keyless;
    const authorization = `Bearer ${await service.token()}`;
    const get = () => service.get('/imagecaches', { headers: { authorization } });
    expect((await get()).status).toBe(200);
    await simulator.arrived('slow');
    await clock.advance(4000);
    expect((await get()).status).toBe(200);
    expect(simulator.count(STS_PATH)).toBe(2);
    simulator.release('slow');
    await Promise.all(service.background.splice(0));
    expect(keyless.loaded).toHaveLength(2);
  });
});
