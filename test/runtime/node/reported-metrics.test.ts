import { describe, expect, it } from 'vitest';
import type { Platform } from '../../../src/platform/platform.ts';
import { createPrometheusMetrics } from '../../../src/runtime/node/telemetry/metrics.ts';
import { createMemorySharedStore } from '../../support/memory-shared-store.ts';
import { parseSamples } from '../../support/parse-samples.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../../support/test-service.ts';

const SECOND = 1000;

/** The whole app, and what Prometheus would be told of it. */
async function setUp(
  environment: Record<string, string | undefined> = {},
  overrides: Partial<Platform> = {},
): Promise<TestService & { scrape: () => Promise<(series: string) => number | undefined> }> {
  const { metrics, render } = createPrometheusMetrics('1.2.3');
  const service = await createTestService(environment, { metrics, ...overrides });
  return Object.assign(service, {
    scrape: async () => {
      const samples = parseSamples(await render());
      return (series: string) => samples.get(`imagecaches_${series}`);
    },
  });
}

/** Upstream answers after this time. */
function answerAfter(service: TestService, ms: number, answer: () => Response): void {
  service.upstream = () =>
    new Promise((resolve) => {
      service.clock.schedule(() => resolve(answer()), ms);
    });
}

const RESULTS = [
  'ok',
  'upstream_failed',
  'upstream_timeout',
  'upstream_throttled',
  'upstream_rejected',
  'overloaded',
  'credentials_unavailable',
];

const failWith = (status: number, headers: Record<string, string> = {}) =>
  new Response('', { status, headers });

describe('requests', () => {
  it('are counted by route, method and status, with the time that each took', async () => {
    const service = await setUp();
    answerAfter(service, 700, () => vendorList(vendorEntry()));
    const slow = service.get('/imagecaches');
    await service.arrived(1);
    await service.clock.advance(700);
    expect((await slow).status).toBe(200);
    for (const [path, init] of [
      ['/imagecaches', {}],
      ['/imagecaches', { method: 'HEAD' }],
      ['/imagecaches', { method: 'POST' }],
      ['/imagecaches', { headers: { authorization: 'Bearer x' } }],
      ['/imagecaches?name=A', {}],
      ['/v5/imagecaches', {}],
      ['/livez', {}],
      ['/readyz', {}],
      ['/nowhere', {}],
    ] as const)
      await service.get(path, init);
    const sample = await service.scrape();
    const count = (route: string, method: string, status: number) =>
      sample(`http_request_duration_seconds_count{route="${route}",method="${method}",status="${status}"}`);
    expect(count('/imagecaches', 'GET', 200)).toBe(2);
    expect(count('/imagecaches', 'HEAD', 200)).toBe(1);
    expect(count('/imagecaches', 'GET', 401)).toBe(1);
    expect(count('/imagecaches', 'GET', 400)).toBe(1);
    expect(count('/v5/imagecaches', 'GET', 200)).toBe(1);
    expect(count('/livez', 'GET', 200)).toBe(1);
    expect(count('/readyz', 'GET', 200)).toBe(1);
    expect(count('unmatched', 'POST', 405)).toBe(1);
    expect(count('unmatched', 'GET', 404)).toBe(1);
    const labels = 'route="/imagecaches",method="GET",status="200"';
    expect(sample(`http_request_duration_seconds_sum{${labels}}`)).toBeCloseTo(0.7);
    expect(sample(`http_request_duration_seconds_bucket{le="0.5",${labels}}`)).toBe(1);
    expect(sample(`http_request_duration_seconds_bucket{le="1",${labels}}`)).toBe(2);
  });

  it('that fail are measured too', async () => {
    const service = await setUp();
    answerAfter(service, 300, () => failWith(404));
    const failed = service.get('/imagecaches');
    await service.arrived(1);
    await service.clock.advance(300);
    expect((await failed).status).toBe(502);
    const sample = await service.scrape();
    const labels = 'route="/imagecaches",method="GET",status="502"';
    expect(sample(`http_request_duration_seconds_count{${labels}}`)).toBe(1);
    expect(sample(`http_request_duration_seconds_sum{${labels}}`)).toBeCloseTo(0.3);
  });
});

describe('lists', () => {
  it('are counted by how the cache came to them, with the age of each', async () => {
    const service = await setUp();
    const { clock } = service;
    const gate = Promise.withResolvers<void>();
    service.upstream = async () => {
      await gate.promise;
      return vendorList(vendorEntry());
    };
    const [first, second] = [service.get('/imagecaches'), service.get('/imagecaches')];
    await service.arrived(1);
    await clock.advance(0);
    gate.resolve();
    await Promise.all([first, second]);
    await clock.advance(12 * SECOND);
    await service.get('/imagecaches');
    await service.get('/imagecaches?name=web-base');
    const refresh = {
      authorization: `Bearer ${await service.token({ scope: 'imagecaches:read imagecaches:refresh' })}`,
    };
    await service.get('/imagecaches', { headers: { ...refresh, 'cache-control': 'no-cache' } });
    service.upstream = () => failWith(404);
    await clock.advance(31 * SECOND);
    await service.get('/imagecaches');
    await Promise.all(service.background);
    await clock.advance(400 * SECOND);
    await service.get('/imagecaches');
    const sample = await service.scrape();
    const outcomes = ['miss', 'collapsed', 'hit', 'derived', 'refreshed', 'stale', 'stale_error'];
    for (const outcome of outcomes)
      expect([outcome, sample(`cache_answers_total{outcome="${outcome}"}`)]).toEqual([outcome, 1]);
    expect(sample('cache_age_seconds_count')).toBe(outcomes.length);
    // Of the hit and the derived answer 12 seconds each; then 31, and 431.
    expect(sample('cache_age_seconds_sum')).toBeCloseTo(12 + 12 + 31 + 431);
    expect(sample('cache_age_seconds_bucket{le="10"}')).toBe(3);
  });

  it('that another instance has loaded are counted as such, with the age that they have', async () => {
    const clockOf = await setUp();
    const store = createMemorySharedStore(clockOf.clock);
    const one = await setUp({}, { fleet: { openEntries: store.connect } });
    const other = await setUp({}, { fleet: { openEntries: store.connect } });
    await one.get('/imagecaches');
    await other.clock.advance(7 * SECOND);
    await other.get('/imagecaches');
    const sample = await other.scrape();
    expect(sample('cache_answers_total{outcome="shared"}')).toBe(1);
    expect(sample('cache_age_seconds_sum')).toBeCloseTo(7);
    expect(sample('shared_entries_rejected_total')).toBe(0);
  });

  it('held are gauged, in number and bytes', async () => {
    const service = await setUp();
    expect((await service.scrape())('cache_entries')).toBe(0);
    expect((await service.scrape())('cache_bytes')).toBe(0);
    const body = await (await service.get('/imagecaches')).arrayBuffer();
    const sample = await service.scrape();
    expect(sample('cache_entries')).toBe(1);
    // A list is counted twice, for the answers that are taken from it, and with its key and its object.
    expect(sample('cache_bytes')).toBeGreaterThan(2 * body.byteLength);
  });

  it('with entries that break the model: those are counted', async () => {
    const service = await setUp();
    service.upstream = () =>
      vendorList(
        vendorEntry('good'),
        vendorEntry('bad', { id: 7 }),
        'none',
        vendorEntry('also-bad', { images: 1 }),
      );
    expect((await service.get('/imagecaches')).status).toBe(200);
    const scraped = await service.scrape();
    const counts = ['id', 'entry', 'images', 'created_at'].map((member) =>
      scraped(`entries_dropped_total{member="${member}"}`),
    );
    expect(counts).toEqual([1, 1, 1, 0]);
  });

  it('with entries that all break the model: it is a failed call, and the member is named', async () => {
    const service = await setUp();
    service.upstream = () =>
      vendorList(vendorEntry('a', { created_at: 7 }), vendorEntry('b', { created_at: 8 }));
    expect((await service.get('/imagecaches')).status).toBe(502);
    const scraped = await service.scrape();
    expect(scraped('entries_dropped_total{member="created_at"}')).toBe(4);
    expect(scraped('upstream_call_duration_seconds_count{result="upstream_failed"}')).toBe(2);
    const lines = service.logger.lines.filter(({ message }) => message.includes('break the model'));
    expect(lines.map(({ fields }) => fields.members)).toEqual([{ created_at: 2 }, { created_at: 2 }]);
  });

  it('of the shared store that no load can have given are counted', async () => {
    const clockOf = await setUp();
    const store = createMemorySharedStore(clockOf.clock);
    const service = await setUp({}, { fleet: { openEntries: store.connect } });
    await service.get('/imagecaches');
    await Promise.all(service.background);
    const [[key, entry]] = [...store.entries] as [
      [string, NonNullable<ReturnType<typeof store.entries.get>>],
    ];
    store.entries.set(key, { ...entry, body: new TextEncoder().encode('{"image_caches":[{"planted":1}]}') });
    const other = await setUp({}, { fleet: { openEntries: store.connect } });
    expect((await other.get('/imagecaches')).headers.get('cache-status')).toContain('fwd=miss');
    const sample = await other.scrape();
    expect(sample('shared_entries_rejected_total')).toBe(1);
    expect(sample('cache_answers_total{outcome="shared"}')).toBeUndefined();
  });
});

describe('calls upstream', () => {
  it.each([
    ['ok', () => vendorList(vendorEntry()), 1],
    ['upstream_failed', () => failWith(404), 1],
    ['upstream_failed', () => failWith(500), 2],
    ['upstream_failed', () => new Response('not JSON'), 2],
    ['upstream_throttled', () => failWith(429, { 'retry-after': '60' }), 1],
    ['upstream_rejected', () => failWith(403), 1],
  ] as const)(
    'that end as %s are counted as such, and nothing else, with their time',
    async (result, answer, attempts) => {
      const service = await setUp();
      answerAfter(service, 250, answer);
      const answered = service.get('/imagecaches');
      for (let attempt = 1; attempt <= attempts; attempt += 1) {
        await service.arrived(attempt);
        await service.clock.advance(250);
      }
      await answered;
      const sample = await service.scrape();
      for (const other of RESULTS) {
        const count = sample(`upstream_call_duration_seconds_count{result="${other}"}`);
        expect([other, count ?? 0]).toEqual([other, other === result ? attempts : 0]);
      }
      expect(sample(`upstream_call_duration_seconds_sum{result="${result}"}`)).toBeCloseTo(0.25 * attempts);
      expect(sample('upstream_retries_total')).toBe(attempts - 1);
      expect(sample('upstream_calls_in_flight')).toBe(0);
    },
  );

  it('that take too long are counted as such', async () => {
    const service = await setUp();
    // A key that was never accepted would have one call at a time.
    await service.get('/imagecaches?name=another');
    service.upstream = () => new Promise(() => {});
    const answered = service.get('/imagecaches');
    await service.clock.advance(8 * SECOND);
    expect((await answered).status).toBe(504);
    const sample = await service.scrape();
    expect(sample('upstream_call_duration_seconds_count{result="upstream_timeout"}')).toBe(2);
    // 5 seconds for the first, and what is left of 8 for the second.
    expect(sample('upstream_call_duration_seconds_sum{result="upstream_timeout"}')).toBeCloseTo(8);
    expect(sample('upstream_call_duration_seconds_count{result="ok"}')).toBe(1);
    expect(sample('upstream_retries_total')).toBe(1);
    expect(sample('upstream_calls_in_flight')).toBe(0);
  });

  it('under way are gauged, until they end in whatever way', async () => {
    const service = await setUp();
    const inFlight = async () => (await service.scrape())('upstream_calls_in_flight');
    expect(await inFlight()).toBe(0);
    const gates: PromiseWithResolvers<Response>[] = [];
    service.upstream = () => {
      const gate = Promise.withResolvers<Response>();
      gates.push(gate);
      return gate.promise;
    };
    const first = service.get('/imagecaches?name=a');
    await service.arrived(1);
    expect(await inFlight()).toBe(1);
    gates[0]?.resolve(vendorList());
    expect((await first).status).toBe(200);
    expect(await inFlight()).toBe(0);
    const [second, third] = [service.get('/imagecaches?name=b'), service.get('/imagecaches?name=c')];
    await service.arrived(3);
    expect(await inFlight()).toBe(2);
    gates[1]?.resolve(failWith(404));
    gates[2]?.reject(new TypeError('fetch failed'));
    await service.arrived(4);
    expect(await inFlight()).toBe(1);
    gates[3]?.resolve(vendorList());
    await Promise.all([second, third]);
    expect(await inFlight()).toBe(0);
  });

  it('that are shed by a breaker: its state is gauged, and they are counted as no calls', async () => {
    const service = await setUp();
    const states = async () => {
      const sample = await service.scrape();
      return ['closed', 'open', 'half_open'].filter(
        (state) => sample(`upstream_breaker_state{state="${state}"}`) === 1,
      );
    };
    expect(await states()).toEqual(['closed']);
    service.upstream = () => failWith(404);
    for (let name = 0; (await states())[0] === 'closed' && name < 50; name += 1)
      await service.get(`/imagecaches?name=a${name}`);
    expect(await states()).toEqual(['open']);
    const calls = service.calls.length;
    expect((await service.get('/imagecaches?name=b')).status).toBe(503);
    expect(service.calls).toHaveLength(calls);
    expect((await service.scrape())('upstream_call_duration_seconds_count{result="upstream_failed"}')).toBe(
      calls,
    );
    await service.clock.advance(5 * SECOND);
    const gate = Promise.withResolvers<Response>();
    service.upstream = () => gate.promise;
    const probe = service.get('/imagecaches?name=c');
    await service.arrived(calls + 1);
    expect(await states()).toEqual(['half_open']);
    gate.resolve(vendorList());
    await probe;
    service.upstream = () => vendorList();
    for (let name = 0; (await states())[0] !== 'closed' && name < 10; name += 1)
      await service.get(`/imagecaches?name=d${name}`);
    expect(await states()).toEqual(['closed']);
  });

  it('that are not sent are no calls', async () => {
    const service = await setUp({
      HUAWEICLOUD_CREDENTIALS: 'metadata',
      HUAWEICLOUD_SDK_AK: undefined,
      HUAWEICLOUD_SDK_SK: undefined,
    });
    // The metadata service has no credential to give.
    service.upstream = () => new Response('', { status: 500 });
    expect((await service.get('/imagecaches')).status).toBe(503);
    const sample = await service.scrape();
    for (const result of RESULTS)
      expect(sample(`upstream_call_duration_seconds_count{result="${result}"}`)).toBeUndefined();
    expect(sample('upstream_retries_total')).toBe(0);
    expect(sample('upstream_calls_in_flight')).toBe(0);
  });

  it('that are refused for their date: the correction is gauged', async () => {
    const service = await setUp();
    expect((await service.scrape())('clock_skew_seconds')).toBe(0);
    const aheadMs = 3_600_000;
    const serverTime = new Date(service.clock.now() + aheadMs).toISOString().replace(/[-:]|\.\d+/g, '');
    service.upstream = (_call, index) =>
      index === 0
        ? Response.json(
            { error_code: 'APIGW.0301', error_msg: `signature expired, server time:${serverTime}` },
            { status: 401 },
          )
        : vendorList(vendorEntry());
    expect((await service.get('/imagecaches')).status).toBe(200);
    expect((await service.scrape())('clock_skew_seconds')).toBe(3600);
  });
});
