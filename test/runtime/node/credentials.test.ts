import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { makeImageCaches } from '../../simulator/image-cache-data.ts';
import { IMAGE_CACHES_PATH } from '../../simulator/image-caches-endpoint.ts';
import { METADATA_TOKEN_PATH } from '../../simulator/metadata-service.ts';
import { PROJECTS_PATH } from '../../simulator/projects-endpoint.ts';
import { DEFAULT_PROJECT, type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { freePort } from '../../support/free-port.ts';
import { createSecretVolume, type SecretVolume } from '../../support/secret-volume.ts';
import { type RunningProcess, startProcess } from './running-process.ts';

const PLANTED = (number: number) => ({
  accessKeyId: `AKPLANTED${number}`,
  secretAccessKey: `SKPLANTED+secret/${number}`,
});

let simulator: Simulator;
let issuer: TokenIssuer;
let volume: SecretVolume;
const running: RunningProcess[] = [];

beforeAll(async () => {
  simulator = await startSimulator({ accessKeys: [PLANTED(1)] });
  issuer = await startTokenIssuer();
  const { accessKeyId, secretAccessKey } = PLANTED(1);
  volume = await createSecretVolume({ ak: accessKeyId, sk: secretAccessKey });
});
afterEach(async () => {
  for (const { child, exited, stdout, stderr } of running.splice(0)) {
    child.kill('SIGKILL');
    await exited;
    expect(stdout() + stderr()).not.toMatch(/PLANTED|SIMULATORTEMP|NotARealOne|simulator-.*-?token/);
  }
  simulator.reset();
});
afterAll(async () => {
  await Promise.all([simulator.stop(), issuer.stop(), volume.remove()]);
});

async function startService(more: Record<string, string>): Promise<RunningProcess & { url: string }> {
  const started = startProcess('src/runtime/node.ts', [], {
    PORT: '0',
    METRICS_PORT: '0',
    CCE_ENDPOINT: simulator.url,
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    RATE_LIMIT_PER_MINUTE: '0',
    LOG_LEVEL: 'trace',
    ...more,
  });
  running.push(started);
  const [, port] = await started.printed(/"port":(\d+).*"msg":"listening"/);
  return { ...started, url: `http://127.0.0.1:${port}` };
}

/** Asks as fast as it is answered. */
async function ready(url: string): Promise<void> {
  while ((await fetch(`${url}/readyz`)).status !== 200);
}

async function get(url: string, query = ''): Promise<number> {
  const headers = { authorization: `Bearer ${await issuer.sign()}` };
  const response = await fetch(`${url}/imagecaches${query}`, { headers });
  expect(await response.text()).not.toMatch(/PLANTED|SIMULATORTEMP|NotARealOne/);
  return response.status;
}

const upstream = () => simulator.requests.filter(({ path }) => path === IMAGE_CACHES_PATH);

describe('temporary credentials', () => {
  it('come from the metadata service when nothing else is set', async () => {
    const { url } = await startService({ HUAWEICLOUD_METADATA_ENDPOINT: simulator.url });
    await ready(url);
    expect(await get(url)).toBe(200);
    const [request] = upstream();
    expect(request?.authentication).toBe('accepted');
    expect(request?.headers.map(([name]) => name.toLowerCase())).toContain('x-security-token');
  });

  it('come from pod identity where its variables are set', async () => {
    const tokenFile = join(volume.path, 'pod-token');
    await writeFile(tokenFile, 'simulator-pod-identity-token\n');
    const { url } = await startService({
      HC_CONTAINER_CREDENTIALS_FULL_URI: `${simulator.url}/v1/credentials`,
      HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: tokenFile,
    });
    await ready(url);
    expect(await get(url)).toBe(200);
    expect(upstream()[0]?.authentication).toBe('accepted');
  });

  it('come from STS for a token in a file, without any key', async () => {
    const tokenFile = join(volume.path, 'oidc-token');
    await writeFile(tokenFile, 'simulator-oidc-token\n');
    const { url } = await startService({
      HUAWEICLOUD_OIDC_PROVIDER_URN: 'iam::0000000000000000000000000000d001:oidcProvider:cluster',
      HUAWEICLOUD_OIDC_AGENCY_URN: 'iam::0000000000000000000000000000d001:agency:imagecaches',
      HUAWEICLOUD_OIDC_TOKEN_FILE: tokenFile,
      HUAWEICLOUD_SDK_STS_ENDPOINT: simulator.url,
    });
    await ready(url);
    expect(await get(url)).toBe(200);
    expect(upstream()[0]?.authentication).toBe('accepted');
    expect(simulator.count('/v5/agencies/assume-with-oidc')).toBe(1);
  });

  it('that cannot be had leave the service unready; it recovers by its probes', async () => {
    // Until it was seen: the probes that see it ask again.
    simulator.script({
      match: { path: METADATA_TOKEN_PATH },
      answer: { kind: 'refuse', error: 'internal' },
      times: 'always',
    });
    const { url, printed } = await startService({ HUAWEICLOUD_METADATA_ENDPOINT: simulator.url });
    await printed(/"code":"session_token_status_500".*"msg":"the credential could not be refreshed"/);
    let failing: unknown;
    do failing = ((await (await fetch(`${url}/readyz`)).json()) as { failing: unknown }).failing;
    while (/lifecycle|keys/.test(JSON.stringify(failing)));
    expect(failing).toEqual(['credentials']);
    simulator.clearScript();
    await ready(url);
    expect(await get(url)).toBe(200);
  });
});

it('a key comes from the profile file of the home folder where that is asked for', async () => {
  const folder = join(volume.path, 'home', '.huaweicloud');
  await mkdir(folder, { recursive: true });
  const { accessKeyId, secretAccessKey } = PLANTED(1);
  await writeFile(join(folder, 'credentials'), `[basic]\nak = ${accessKeyId}\nsk = ${secretAccessKey}\n`);
  const { url } = await startService({
    HOME: join(volume.path, 'home'),
    HUAWEICLOUD_CREDENTIALS: 'profile',
  });
  await ready(url);
  expect(await get(url)).toBe(200);
  expect(upstream()[0]?.authentication).toBe('accepted');
});

it('a token in a file is in no output: log, metrics, answers', async () => {
  const file = join(volume.path, 'auth-token');
  await writeFile(file, 'PLANTEDtoken1\n');
  simulator.authTokens.add('PLANTEDtoken1');
  const metricsPort = await freePort();
  const { url } = await startService({ CCE_AUTH_TOKEN_FILE: file, METRICS_PORT: String(metricsPort) });
  await ready(url);
  expect(await get(url)).toBe(200);
  // A file that holds no token, then one that the vendor rejects.
  for (const text of ['PLANTED token', 'PLANTEDtoken2']) {
    await writeFile(file, text);
    simulator.authTokens.clear();
    expect([200, 502]).toContain(await get(url, '?name=another'));
  }
  expect(
    upstream()
      .at(-1)
      ?.headers.map(([name]) => name.toLowerCase()),
  ).toContain('x-auth-token');
  const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  expect(metrics).toContain('imagecaches_');
  expect(metrics).not.toContain('PLANTED');
});

describe('with no credential settings, where there is no metadata service', () => {
  /** Nothing listens there. */
  const NOWHERE = 'http://127.0.0.1:1';
  const UNSET = ['HUAWEICLOUD_SDK_AK', 'CLOUD_SDK_SK', 'HC_CONTAINER_CREDENTIALS_FULL_URI'];

  it('callers get a 503 of its own, and the log names what is not set', async () => {
    const { url, printed, stdout } = await startService({ HUAWEICLOUD_METADATA_ENDPOINT: NOWHERE });
    await printed(/"msg":"the credential could not be refreshed"/);
    for (const path of ['/imagecaches', '/v5/imagecaches']) {
      const headers = { authorization: `Bearer ${await issuer.sign()}` };
      const response = await fetch(url + path, { headers });
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
      const body = await response.json();
      if (path === '/imagecaches')
        expect(body).toMatchObject({ code: 'credentials_unavailable', status: 503 });
      else expect(body).toMatchObject({ error_code: 'IMAGECACHES.credentials_unavailable' });
    }
    expect(upstream()).toEqual([]);
    await printed(/"code":"credentials_unavailable","reason":"no_credential".*"msg":"request"/);
    const lines = stdout()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { msg: string; notSet?: Record<string, string[]> });
    const start = lines.find(({ msg }) =>
      msg.startsWith('credentials come from the metadata service, since'),
    );
    const failure = lines.find(({ msg }) => msg === 'the credential could not be refreshed');
    expect(Object.keys(failure?.notSet ?? {})).toEqual(['oidc', 'static', 'token', 'profile', 'pod']);
    for (const name of UNSET) {
      expect(start?.msg).toContain(name);
      expect(JSON.stringify(failure?.notSet)).toContain(name);
    }
  });

  it('and says nothing of settings where the metadata service is what was asked for', async () => {
    const { printed, stdout } = await startService({
      HUAWEICLOUD_METADATA_ENDPOINT: NOWHERE,
      HUAWEICLOUD_CREDENTIALS: 'metadata',
    });
    await printed(/"msg":"the credential could not be refreshed"/);
    expect(stdout()).not.toMatch(/notSet|credentials come from/);
  });
});

describe('the project id', () => {
  it('is looked up at the start with auto', async () => {
    const { url } = await startService({
      HUAWEICLOUD_METADATA_ENDPOINT: simulator.url,
      CCE_REGION: DEFAULT_PROJECT.name,
      HUAWEICLOUD_SDK_IAM_ENDPOINT: simulator.url,
      HUAWEICLOUD_SDK_PROJECT_ID: 'auto',
    });
    await ready(url);
    expect(simulator.count(PROJECTS_PATH)).toBe(1);
    expect(await get(url)).toBe(200);
    expect(upstream()[0]?.headers).toContainEqual(['x-project-id', DEFAULT_PROJECT.id]);
    expect(simulator.count(PROJECTS_PATH)).toBe(1);
  });
});

describe('a rotation of mounted keys', () => {
  it.each([
    ['with both keys valid for a while', true],
    ['with the old key revoked at once', false],
  ])('under load loses no request, %s', async (_name, hasGrace) => {
    // Lists that the cache does not keep and names of which each is new: every request goes upstream.
    simulator.setImageCaches(makeImageCaches(200));
    await volume.swap({ ak: PLANTED(1).accessKeyId, sk: PLANTED(1).secretAccessKey });
    const { url } = await startService({
      HUAWEICLOUD_SDK_AK_FILE: volume.file('ak'),
      HUAWEICLOUD_SDK_SK_FILE: volume.file('sk'),
      CACHE_MAX_BYTES: '65536',
    });
    await ready(url);

    const statuses: number[] = [];
    const token = await issuer.sign();
    let isOver = false;
    let answered = Promise.withResolvers<void>();
    const work = async (worker: number) => {
      for (let number = 0; !isOver; number += 1) {
        const headers = { authorization: `Bearer ${token}` };
        const response = await fetch(`${url}/imagecaches?name=w${worker}-${number}`, { headers });
        await response.arrayBuffer();
        statuses.push(response.status);
        answeredBy[worker - 1] = (answeredBy[worker - 1] ?? 0) + 1;
        answered.resolve();
        answered = Promise.withResolvers<void>();
      }
    };
    const answeredBy = [0, 0];
    const workers = [work(1), work(2)];
    const answers = async (more: number) => {
      const enough = statuses.length + more;
      while (statuses.length < enough) await answered.promise;
    };
    const newKeyIsUsed = async (accessKeyId: string) => {
      const isUsed = () =>
        upstream().some(({ headers }) =>
          headers.some(([, value]) => value.includes(`Access=${accessKeyId},`)),
        );
      while (!isUsed()) await answered.promise;
    };

    await answers(4);
    for (const number of [2, 3]) {
      const { accessKeyId, secretAccessKey } = PLANTED(number);
      const revoke = () => simulator.credentials.remove(PLANTED(number - 1).accessKeyId);
      simulator.credentials.add(PLANTED(number));
      await volume.swap({ ak: accessKeyId, sk: secretAccessKey });
      if (!hasGrace) revoke();
      await newKeyIsUsed(accessKeyId);
      // What was on its way with the old key arrives, of either worker: a call that waits for its turn may be
      // overtaken by many.
      const enough = answeredBy.map((count) => count + 2);
      while (answeredBy.some((count, index) => count < (enough[index] as number))) await answered.promise;
      if (hasGrace) revoke();
    }
    await answers(4);
    isOver = true;
    await Promise.all(workers);
    expect(new Set(statuses)).toEqual(new Set([200]));
    const refusals = new Set(upstream().map(({ authentication }) => authentication));
    refusals.delete('accepted');
    if (!hasGrace) refusals.delete('unknown-key');
    expect([...refusals]).toEqual([]);
  });
});
