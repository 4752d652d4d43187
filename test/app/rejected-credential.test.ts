import { describe, expect, it } from 'vitest';
import type { Platform } from '../../src/platform/platform.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

/** A call has 8 seconds, whatever comes of it. */
const DEADLINE_MS = 8000;
/** A rejected key is left alone for 5 minutes. */
const LOCK_OUT_MS = 300_000;

const WRONG_SECRET = { error_code: 'APIGW.0301', error_msg: 'Incorrect IAM authentication information' };
const rejected = (status = 401, body: object = WRONG_SECRET) => Response.json(body, { status });
const good = () => vendorList(vendorEntry());

async function start(upstream: TestService['upstream'], overrides: Partial<Platform> = {}, more = {}) {
  const service = await createTestService(more, overrides);
  service.lifecycle = 'starting';
  service.upstream = upstream;
  const warmed = service.app.warm().then(() => {
    service.lifecycle = 'serving';
  });
  return { service, warmed };
}

async function readiness({ app }: TestService): Promise<string> {
  const response = await app.request('/readyz');
  const { failing = [] } = (await response.json()) as { failing?: string[] };
  return [response.status, ...failing].join(' ');
}

describe('the start', () => {
  it('loads the list once before the first ready answer, and callers find it', async () => {
    const { service, warmed } = await start(good);
    expect(await readiness(service)).toMatch(/^503/);
    await warmed;
    expect(await readiness(service)).toBe('200');
    expect((await service.get('/imagecaches')).headers.get('cache-status')).toContain('hit');
    expect(service.calls).toHaveLength(1);
  });

  it('is held back by an upstream that hangs for the deadline of a call and no longer', async () => {
    const { service, warmed } = await start(() => new Promise(() => {}));
    await service.clock.advance(DEADLINE_MS - 1);
    expect(await readiness(service)).toMatch(/^503 .*lifecycle/);
    await service.clock.advance(1);
    await warmed;
    expect(await readiness(service)).toBe('200');
  });

  it.each([
    ['answers 500', () => new Response('', { status: 500 })],
    ['cannot be reached', () => Promise.reject(new TypeError('no answer'))],
    ['throttles', () => new Response('', { status: 429 })],
    ['gives no list', () => new Response('nonsense')],
  ])('does not wait for an upstream that %s', async (_what, upstream) => {
    const { service, warmed } = await start(upstream);
    await service.clock.advance(1000);
    await warmed;
    expect(await readiness(service)).toBe('200');
  });
});

describe('a credential that the vendor rejects from the start', () => {
  it('makes the instance unready, whose probes make no call, and the log says why', async () => {
    const { service, warmed } = await start(() => rejected());
    await warmed;
    for (let probe = 0; probe < 100; probe += 1) {
      expect(await readiness(service)).toBe('503 credentials');
      await service.clock.advance(1000);
    }
    await Promise.all(service.background);
    expect(service.calls).toHaveLength(1);
    const [line] = service.logger.lines.filter(({ message }) => message === 'upstream call');
    expect(line?.fields.cause).toBe('the signature is not the one that the vendor computes');
    expect(JSON.stringify(service.logger.lines)).not.toContain('Incorrect');
  });

  it.each([
    [
      rejected(401, { error_msg: 'the access key X does not exist' }),
      'the vendor does not know this access key',
    ],
    [rejected(401, { error_msg: 'failures reach the limit' }), 'the vendor has locked this access key'],
    [rejected(403), 'the key may not list image caches'],
  ])('is explained as the doctor does: %#', async (answer, cause) => {
    const { service, warmed } = await start(() => answer.clone());
    await warmed;
    expect(await readiness(service)).toBe('503 credentials');
    expect(service.logger.lines.map(({ fields }) => fields.cause)).toContain(cause);
  });

  it('is the same where IAM is asked for the project first', async () => {
    const { service, warmed } = await start(
      () => rejected(),
      {},
      {
        CCE_ENDPOINT: undefined,
        CCE_REGION: 'cn-north-4',
        HUAWEICLOUD_SDK_PROJECT_ID: 'auto',
      },
    );
    await warmed;
    expect(await readiness(service)).toBe('503 credentials');
    expect(service.calls.map(({ url }) => url.pathname)).toEqual(['/v3/projects']);
    expect(service.logger.lines.map(({ fields }) => fields.cause)).toContain(
      'the signature is not the one that the vendor computes',
    );
  });

  it('becomes ready without a request when the vendor accepts it after all', async () => {
    const { service, warmed } = await start(() => rejected());
    await warmed;
    service.upstream = good;
    await service.clock.advance(LOCK_OUT_MS - 1);
    expect(await readiness(service)).toBe('503 credentials');
    await service.clock.advance(6000);
    expect(await readiness(service)).toBe('200');
    expect(service.calls).toHaveLength(2);
    await service.clock.advance(3_600_000);
    expect(service.calls).toHaveLength(2);
    expect(service.clock.pending).toBe(0);
  });

  it('becomes ready within seconds when another one comes, by one call', async () => {
    const texts: Record<string, string> = { '/sk': 'one-character-shor' };
    const { service, warmed } = await start(
      ({ headers }) =>
        texts['/sk'] === 'the-right-secret' && headers.has('authorization') ? good() : rejected(),
      { readTextFile: async (path) => texts[path] ?? '' },
      { HUAWEICLOUD_SDK_SK: 'one-character-shor', HUAWEICLOUD_SDK_SK_FILE: '/sk' },
    );
    await warmed;
    expect(await readiness(service)).toBe('503 credentials');
    texts['/sk'] = 'the-right-secret';
    await service.clock.advance(11_000);
    expect(await readiness(service)).toBe('200');
    expect(service.calls).toHaveLength(2);
  });

  it('stops nothing when the process ends meanwhile', async () => {
    const { service, warmed } = await start(() => rejected());
    await warmed;
    service.lifecycle = 'draining';
    await service.clock.advance(5000);
    expect(service.clock.pending).toBe(0);
  });
});

describe('a credential that has worked', () => {
  it('leaves the instance ready when it is rejected later', async () => {
    const { service, warmed } = await start(good);
    await warmed;
    service.upstream = () => rejected();
    await service.clock.advance(600_000);
    expect((await service.get('/imagecaches')).status).toBe(200);
    await service.clock.advance(120_000);
    expect((await service.get('/imagecaches')).status).toBe(502);
    expect(await readiness(service)).toBe('200');
  });

  it('is one that proved itself by a late answer too', async () => {
    const { service, warmed } = await start(
      () => new Promise((resolve) => service.clock.schedule(() => resolve(good()), 20_000)),
    );
    await service.clock.advance(DEADLINE_MS);
    await warmed;
    await service.clock.advance(20_000);
    service.upstream = () => rejected();
    await service.clock.advance(3_600_000);
    await service.get('/imagecaches');
    expect(await readiness(service)).toBe('200');
  });
});
