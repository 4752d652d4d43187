import { describe, expect, it } from 'vitest';
import type { Platform } from '../../../src/platform/platform.ts';
import { createPrometheusMetrics } from '../../../src/runtime/node/telemetry/metrics.ts';
import { createMemorySharedStore } from '../../support/memory-shared-store.ts';
import { parseSamples } from '../../support/parse-samples.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../../support/test-service.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const OURS = /^imagecaches_(?:image_caches|list_age)/;

interface ScrapedService extends TestService {
  /** The gauges of image caches, without their prefix. */
  scrape(): Promise<Record<string, number>>;
  /** Waits for what runs in the background. */
  settled(): Promise<unknown>;
}

async function setUp(
  environment: Record<string, string | undefined> = {},
  overrides: Partial<Platform> = {},
): Promise<ScrapedService> {
  const { metrics, render } = createPrometheusMetrics('1.2.3');
  const service = await createTestService(
    { CCE_REGION: 'cn-north-4', RATE_LIMIT_PER_MINUTE: '0', ...environment },
    { metrics, ...overrides },
  );
  return Object.assign(service, {
    scrape: async () => {
      const samples = [...parseSamples(await render())].filter(([series]) => OURS.test(series));
      return Object.fromEntries(
        samples.map(([series, value]) => [series.replace('imagecaches_', ''), value]),
      );
    },
    settled: async () => {
      for (let count = -1; count !== service.background.length; ) {
        count = service.background.length;
        await Promise.allSettled(service.background);
      }
    },
  });
}

/** An entry that was made `agoMs` ago. */
function entryMade(service: TestService, agoMs: number, more: Record<string, unknown> = {}) {
  const created_at = new Date(service.clock.now() - agoMs).toISOString();
  return vendorEntry('web-base', { created_at, ...more });
}

const AGE = 'list_age_seconds{region="cn-north-4"}';
const USED = 'image_caches_used{region="cn-north-4"}';

describe('the gauges of image caches', () => {
  it('are taken from the whole list that is held', async () => {
    const service = await setUp();
    const days = (count: number) => count * 24 * HOUR;
    service.upstream = () =>
      vendorList(
        entryMade(service, days(6) + HOUR, { retention_days: 7 }),
        entryMade(service, days(1), { retention_days: 7, status: 'Failed' }),
        entryMade(service, days(1), { retention_days: 0, status: 'Creating' }),
        entryMade(service, days(1), { retention_days: 0, status: 'Rebuilding' }),
        entryMade(service, days(1), { retention_days: 0, status: null }),
      );
    const loadedAtMs = service.clock.now();
    await service.get('/imagecaches');
    await service.clock.advance(7 * SECOND);
    expect(await service.scrape()).toEqual({
      'image_caches{region="cn-north-4",status="Available"}': 1,
      'image_caches{region="cn-north-4",status="Unavailable"}': 0,
      'image_caches{region="cn-north-4",status="Creating"}': 1,
      'image_caches{region="cn-north-4",status="Deleting"}': 0,
      'image_caches{region="cn-north-4",status="Failed"}': 1,
      'image_caches{region="cn-north-4",status="other"}': 2,
      [USED]: 5,
      'image_caches_quota{region="cn-north-4"}': 50,
      'image_caches_failed{region="cn-north-4"}': 1,
      'image_caches_expiring_soon{region="cn-north-4"}': 1,
      'image_caches_earliest_expiry_timestamp_seconds{region="cn-north-4"}': (loadedAtMs + 23 * HOUR) / 1000,
      [AGE]: 7,
    });
    expect(service.calls).toHaveLength(1);
  });

  it('follow the wall clock: what ends later ends soon some time', async () => {
    const service = await setUp();
    service.upstream = () => vendorList(entryMade(service, 0, { retention_days: 1 }));
    await service.get('/imagecaches');
    expect((await service.scrape())['image_caches_expiring_soon{region="cn-north-4"}']).toBe(0);
    await service.clock.advance(1);
    expect((await service.scrape())['image_caches_expiring_soon{region="cn-north-4"}']).toBe(1);
  });

  it('have no series before there is a list, which a scrape does not load, nor from the list of a name', async () => {
    const service = await setUp();
    expect(await service.scrape()).toEqual({});
    await service.get('/imagecaches?name=web-base');
    expect(await service.scrape()).toEqual({});
    await service.settled();
    expect(service.calls).toHaveLength(1);
  });

  it('of an empty list are zeros, and no expiry', async () => {
    const service = await setUp();
    service.upstream = () => vendorList();
    await service.get('/imagecaches');
    const samples = await service.scrape();
    expect(samples[USED]).toBe(0);
    expect(samples['image_caches{region="cn-north-4",status="Failed"}']).toBe(0);
    expect(Object.keys(samples).filter((series) => series.includes('expiry'))).toEqual([]);
  });

  it.each([
    [{ CCE_REGION: undefined, CCE_ENDPOINT: 'https://cce.ap-southeast-1.example.test' }, 'ap-southeast-1'],
    [{ CCE_REGION: undefined, CCE_ENDPOINT: 'https://gateway.example.test' }, 'unknown'],
    [{ CCE_REGION: 'cn-north-4', CCE_ENDPOINT: 'https://cce.ap-southeast-1.example.test' }, 'cn-north-4'],
  ])('with %o have the region %s', async (environment, region) => {
    const service = await setUp(environment);
    await service.get('/imagecaches');
    expect((await service.scrape())[`image_caches_used{region="${region}"}`]).toBe(1);
  });
});

describe('a scrape', () => {
  it('refreshes a list older than 5 minutes, once, and waits for nothing', async () => {
    const service = await setUp();
    await service.get('/imagecaches');
    await service.clock.advance(5 * MINUTE);
    await service.scrape();
    await service.settled();
    expect(service.calls).toHaveLength(1);

    await service.clock.advance(1);
    const gate = Promise.withResolvers<Response>();
    service.upstream = () => gate.promise;
    const [first, second] = await Promise.all([service.scrape(), service.scrape()]);
    expect([first[AGE], second[AGE]]).toEqual([300.001, 300.001]);
    await service.arrived(2);
    await service.clock.advance(2 * SECOND);
    expect((await service.scrape())[USED]).toBe(1);
    gate.resolve(vendorList(vendorEntry('a'), vendorEntry('b')));
    await service.settled();
    const refreshed = await service.scrape();
    expect([refreshed[USED], refreshed[AGE]]).toEqual([2, 0]);
    expect(service.calls).toHaveLength(2);
  });

  it('does so when lists are fresh for longer than that', async () => {
    const service = await setUp({ CACHE_TTL_SECONDS: '3600' });
    await service.get('/imagecaches');
    await service.clock.advance(5 * MINUTE + 1);
    await service.scrape();
    await service.settled();
    expect((await service.scrape())[AGE]).toBe(0);
    expect(service.calls).toHaveLength(2);
  });

  it('keeps the numbers coming where callers are given nothing stale', async () => {
    const service = await setUp({
      CACHE_STALE_WHILE_REVALIDATE_SECONDS: '0',
      CACHE_STALE_IF_ERROR_SECONDS: '0',
    });
    await service.get('/imagecaches');
    for (let minute = 1; minute <= 20; minute += 1) {
      await service.clock.advance(MINUTE);
      expect((await service.scrape())[USED], `after ${minute} minutes`).toBe(1);
      await service.settled();
    }
    expect(service.calls).toHaveLength(1 + 3);
  });

  it('in an outage makes a call a minute at most, and the numbers end with the list', async () => {
    const service = await setUp();
    await service.get('/imagecaches');
    service.upstream = () => new Response('', { status: 404 });
    let samples: Record<string, number> = {};
    const callsAfter: number[] = [];
    for (let quarters = 1; quarters <= 4 * 65; quarters += 1) {
      await service.clock.advance(15 * SECOND);
      samples = await service.scrape();
      await service.settled();
      if (quarters % 4 === 0) callsAfter.push(service.calls.length);
    }
    expect(samples[AGE]).toBe(65 * 60);
    expect(service.calls.length).toBeGreaterThan(20);
    for (const [minute, calls] of callsAfter.entries())
      if (minute > 0) expect(calls - (callsAfter[minute - 1] as number)).toBeLessThanOrEqual(1);

    // 30 seconds fresh, 5 minutes and 1 hour stale.
    await service.clock.advance(30 * SECOND);
    expect(await service.scrape()).toEqual({});
    await service.settled();
    service.upstream = () => vendorList(vendorEntry());
    await service.clock.advance(5 * MINUTE);
    await service.scrape();
    await service.settled();
    expect((await service.scrape())[USED]).toBe(1);
  });

  it('holds to the pause of a rejected key, whose numbers end after 60 seconds', async () => {
    const service = await setUp();
    await service.get('/imagecaches');
    service.upstream = () => Response.json({ error_code: 'APIGW.0301', error_msg: 'x' }, { status: 401 });
    await service.clock.advance(5 * MINUTE + 1);
    await service.scrape();
    await service.settled();
    await service.clock.advance(59 * SECOND);
    expect((await service.scrape())[USED]).toBe(1);
    await service.clock.advance(2 * SECOND);
    expect(await service.scrape()).toEqual({});
    for (let scrapes = 0; scrapes < 20; scrapes += 1) {
      await service.clock.advance(10 * SECOND);
      await service.scrape();
      await service.settled();
    }
    // Two rejections, and then none for 5 minutes.
    expect(service.calls.length).toBeLessThanOrEqual(3);
  });

  it('takes what another replica has shared, instead of a call', async () => {
    const { clock } = await setUp();
    const store = createMemorySharedStore(clock);
    const fleet = { openEntries: () => ({ ...store.connect(), onShared: () => undefined }) };
    const one = await setUp({}, { fleet });
    const other = await setUp({}, { fleet });
    await one.get('/imagecaches');
    await one.settled();
    // Nothing is held here, fresh or not.
    await other.clock.advance(2 * MINUTE);
    expect(await other.scrape()).toEqual({});
    await other.settled();
    expect((await other.scrape())[AGE]).toBe(120);
    expect(other.calls).toHaveLength(0);

    await one.clock.advance(4 * MINUTE);
    one.upstream = () => vendorList(vendorEntry('a'), vendorEntry('b'));
    await one.get('/imagecaches');
    await one.settled();
    await other.clock.advance(3 * MINUTE + 1);
    await other.scrape();
    await other.settled();
    const samples = await other.scrape();
    expect(samples[USED]).toBe(2);
    expect(samples[AGE]).toBeCloseTo(60);
    expect(other.calls).toHaveLength(0);
  });

  it('refreshes a list after a suspension, whose time counts', async () => {
    const service = await setUp();
    await service.get('/imagecaches');
    service.clock.set(HOUR);
    expect((await service.scrape())[AGE]).toBe(3600);
    await service.settled();
    expect((await service.scrape())[AGE]).toBe(0);
    expect(service.calls).toHaveLength(2);
  });
});
