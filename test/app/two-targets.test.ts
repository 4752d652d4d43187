import { Hono } from 'hono';
import { describe, expect, it } from 'vitest';
import { createShared } from '../../src/composition/shared.ts';
import { createTarget } from '../../src/composition/target.ts';
import { parseConfig, type TargetConfig } from '../../src/config/config.ts';
import type { SharedEntries } from '../../src/fleet/entries.ts';
import { createHits } from '../../src/hits.ts';
import type { AppEnv } from '../../src/http/env.ts';
import { observe } from '../../src/http/observe.ts';
import { answerErrors } from '../../src/http/on-error.ts';
import { requestId } from '../../src/http/request-id.ts';
import { createImageCacheLists } from '../../src/imagecaches/lists.ts';
import { imageCaches } from '../../src/imagecaches/routes.ts';
import type { Platform } from '../../src/platform/platform.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createPrometheusMetrics } from '../../src/runtime/node/telemetry/metrics.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';
import { createTestKey, signTestToken, TEST_ISSUER } from '../support/test-keys.ts';
import { TEST_ENVIRONMENT, vendorEntry, vendorList } from '../support/test-service.ts';

const NORTH = 'https://cce.north.example.test';
const SOUTH = 'https://cce.south.example.test';

/** A store of keys, each with the namespace that it was opened for. */
function createRecordingFleet() {
  const keys: string[] = [];
  const openEntries = ({ namespace }: { namespace: () => Promise<string> }): SharedEntries => ({
    async lookUp(key) {
      return {
        state: 'ours',
        settle: async (entry) => {
          if (entry !== undefined) keys.push(`${await namespace()} ${key}`);
        },
      };
    },
    get: async () => undefined,
    discard: () => undefined,
  });
  return { keys, fleet: { openEntries } };
}

/** Two accounts behind one service, each mounted at a path of its own, as a loop over targets would do it. */
async function setUp() {
  const config = parseConfig({ ...TEST_ENVIRONMENT, UPSTREAM_MAX_CONCURRENT: '1' });
  const targets: TargetConfig[] = [
    {
      ...config.target,
      name: 'north',
      region: 'cn-north-4',
      upstream: { ...config.target.upstream, endpoint: NORTH },
    },
    {
      ...config.target,
      name: 'south',
      region: 'cn-south-1',
      upstream: { ...config.target.upstream, endpoint: SOUTH },
    },
  ];
  const key = await createTestKey();
  const clock = createFakeClock();
  const calls = { [NORTH]: 0, [SOUTH]: 0 };
  const upstream: Record<string, () => Response | Promise<Response>> = {
    [NORTH]: () => vendorList(vendorEntry('north-1')),
    [SOUTH]: () => vendorList(vendorEntry('south-1')),
  };
  const prometheus = createPrometheusMetrics('1.2.3');
  const { keys, fleet } = createRecordingFleet();
  const background: Promise<unknown>[] = [];
  const platform: Platform = {
    fetch: async (url) => {
      if (url.startsWith(TEST_ISSUER)) return Response.json({ keys: [key.publicJwk] });
      const { origin } = new URL(url);
      calls[origin as keyof typeof calls] += 1;
      return (upstream[origin] as () => Response)();
    },
    now: clock.now,
    elapsed: clock.elapsed,
    schedule: clock.schedule,
    random: () => 0,
    readTextFile: async () => '',
    waitUntil: (promise) => background.push(promise),
    createSingleFlight: createSharedFlight,
    fleet,
    logger: createRecordingLogger(),
    metrics: prometheus.metrics,
  };
  const shared = createShared(config, platform);
  const app = new Hono<AppEnv>().use(requestId(), observe(platform)).onError(answerErrors(platform.logger));
  const hits = new Map<string, ReturnType<typeof createHits>>();
  for (const target of targets) {
    const lists = createImageCacheLists(createTarget(target, platform));
    app.route(`/${target.name}`, imageCaches(lists, shared.byToken, config.refreshScope));
    hits.set(target.name as string, createHits(shared, lists));
  }
  const authorization = `Bearer ${await signTestToken(key, clock.now())}`;
  const get = async (path: string) => {
    const response = await app.request(path, { headers: { authorization } });
    const body = (await response.json()) as { image_caches?: { name: string }[]; code?: string };
    return { status: response.status, names: body.image_caches?.map(({ name }) => name), code: body.code };
  };
  const series = async (start: string) =>
    (await prometheus.render()).split('\n').filter((line) => line.startsWith(start));
  return { authorization, background, calls, clock, get, hits, keys, series, upstream };
}

describe('two targets side by side', () => {
  it('each have their own lists, keys and series', async () => {
    const { authorization, background, get, hits, keys, series } = await setUp();
    expect(await get('/north/imagecaches')).toMatchObject({ status: 200, names: ['north-1'] });
    expect(await get('/south/imagecaches')).toMatchObject({ status: 200, names: ['south-1'] });
    expect(await get('/north/imagecaches?name=south-1')).toMatchObject({ names: [] });

    // The same list of both, under different namespaces. Nobody waits for what is shared.
    await Promise.all(background);
    expect(keys).toHaveLength(2);
    const [north = '', south = ''] = keys.map((key) => key.split(' ')[0]);
    expect(keys.map((key) => key.split(' ')[1])).toEqual(['imagecaches/*', 'imagecaches/*']);
    expect(north).toMatch(/^imagecaches-bff:2:[0-9a-f]{24}$/);
    expect(south).not.toBe(north);

    expect(await series('imagecaches_cache_answers_total')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/\{(?=.*target="north")(?=.*outcome="miss").*\} 1$/),
        expect.stringMatching(/\{(?=.*target="north")(?=.*outcome="derived").*\} 1$/),
        expect.stringMatching(/\{(?=.*target="south")(?=.*outcome="miss").*\} 1$/),
      ]),
    );
    expect(await series('imagecaches_cache_entries')).toEqual([
      'imagecaches_cache_entries{target="north"} 1',
      'imagecaches_cache_entries{target="south"} 1',
    ]);
    expect(await series('imagecaches_image_caches_used')).toEqual([
      'imagecaches_image_caches_used{target="north",region="cn-north-4"} 1',
      'imagecaches_image_caches_used{target="south",region="cn-south-1"} 1',
    ]);
    for (const [name, ask] of hits) {
      const hit = ask({
        method: 'GET',
        target: '/imagecaches',
        get: (header) => (header === 'authorization' ? authorization : null),
      });
      expect(new TextDecoder().decode(hit?.body ?? undefined)).toContain(`${name}-1`);
    }
  });

  it('have guards of their own: one that fails, or is rejected, leaves the other alone', async () => {
    const { calls, clock, get, series, upstream } = await setUp();
    upstream[NORTH] = () => new Response('', { status: 500 });
    // Enough failures to open the breaker of the north.
    for (let call = 0; call < 20; call += 1) {
      const pending = get(`/north/imagecaches?name=n${call}`);
      await clock.advance(1000);
      await pending;
    }
    expect(await series('imagecaches_upstream_breaker_state')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/\{(?=.*target="north")(?=.*state="open").*\} 1$/),
        expect.stringMatching(/\{(?=.*target="south")(?=.*state="closed").*\} 1$/),
      ]),
    );
    expect(await get('/south/imagecaches')).toMatchObject({ status: 200, names: ['south-1'] });
    expect(calls[SOUTH]).toBe(1);
  });

  it('have credentials of their own: a key that one rejects is still used with the other', async () => {
    const { calls, get, upstream } = await setUp();
    upstream[NORTH] = () => Response.json({ error_code: 'APIGW.0301' }, { status: 401 });
    for (let call = 0; call < 5; call += 1)
      expect(await get(`/north/imagecaches?name=n${call}`)).toMatchObject({
        status: 502,
        code: 'upstream_rejected',
      });
    expect(calls[NORTH]).toBe(1);
    expect(await get('/south/imagecaches')).toMatchObject({ status: 200 });
  });

  it('do not share the limit of calls at once', async () => {
    const { get, upstream } = await setUp();
    const answer = Promise.withResolvers<Response>();
    upstream[NORTH] = () => answer.promise;
    const waiting = get('/north/imagecaches');
    expect(await get('/south/imagecaches')).toMatchObject({ status: 200 });
    answer.resolve(vendorList());
    expect(await waiting).toMatchObject({ status: 200 });
  });
});
