import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SharedEntries, SharedEntry } from '../../../src/fleet/entries.ts';
import {
  createEdgeEntries,
  type EdgeCache,
  isKvNamespace,
  type KvNamespace,
} from '../../../src/runtime/worker/edge-entries.ts';
import { createSeparateFlight } from '../../support/separate-flight.ts';
import { createTestService, vendorEntry, vendorList } from '../../support/test-service.ts';
import { createQuietStores } from './quiet-stores.ts';

/** Cache API and KV together are waited for 200 ms at most (docs/workers.md). */
const EDGE_TIMEOUT_MS = 200;

const ORIGIN = 'https://lists.example.test';

/** The real Cache API and the real KV of workerd. */
const quiet = createQuietStores();
const CACHE = quiet.cache(await caches.open('test'));
const KV = quiet.kv(env.IMAGECACHES_KV as KvNamespace);

let runs = 0;
/** Keeps tests apart: what they store outlives them. */
let namespace: string;
beforeEach(() => {
  runs += 1;
  namespace = `imagecaches-bff:1:test${runs}`;
});

interface OpenOptions {
  readonly cache?: EdgeCache | undefined;
  readonly kv?: KvNamespace | undefined;
  readonly now?: () => number;
  readonly keepStaleMs?: number;
}

function open({
  cache,
  kv,
  now = Date.now,
  keepStaleMs = 3_900_000,
}: OpenOptions): SharedEntries & { settled: () => Promise<unknown>; invalid: () => number } {
  const background: Promise<unknown>[] = [];
  let invalid = 0;
  // What it does in the background may end in a later test.
  const ownNamespace = namespace;
  const reportInvalid = () => {
    invalid += 1;
  };
  const entries = createEdgeEntries(
    {
      openCache: async () => cache,
      origin: () => ORIGIN,
      kv,
      namespace: async () => ownNamespace,
      keepStaleMs,
      reportInvalid,
    },
    {
      now,
      elapsed: now,
      schedule: quiet.schedule,
      waitUntil: (promise) => background.push(promise),
    },
  );
  return { ...entries, settled: () => Promise.all(background.splice(0)), invalid: () => invalid };
}

function entry(text: string, begunAtMs = Date.now()): SharedEntry {
  const body = new TextEncoder().encode(text);
  return { body, begunAtMs, storedAtMs: begunAtMs + 3, freshUntilMs: begunAtMs + 30_000 };
}

async function put(entries: SharedEntries, key: string, value: SharedEntry): Promise<void> {
  const found = await entries.lookUp(key, () => false);
  if (found.state !== 'ours') throw new Error(found.state);
  await found.settle(value);
}

describe('entries at the edge', () => {
  it.each([
    ['the Cache API', { cache: CACHE }],
    ['KV', { kv: KV }],
    ['both', { cache: CACHE, kv: KV }],
  ])('are shared through %s, byte for byte and with their times', async (_what, where) => {
    const put1 = entry('{"image_caches":[{"name":"größe"}]}');
    await put(open(where), 'web', put1);
    const other = open(where);
    expect(await other.get('web')).toEqual(put1);
    const seen: SharedEntry[] = [];
    expect(await other.lookUp('web', (found) => seen.push(found) > 0)).toEqual({ state: 'served' });
    expect(seen).toEqual([put1]);
    expect(await other.get('api')).toBeUndefined();
    // The unfiltered list has a key of its own.
    expect(await other.get('*')).toBeUndefined();
    other.discard('web');
    await other.settled();
    expect(await other.get('web')).toBeUndefined();
  });

  it('come from KV where this place has none, and are then here', async () => {
    const value = entry('far');
    await put(open({ kv: KV }), 'web', value);
    const here = open({ cache: CACHE, kv: KV });
    expect((await here.lookUp('web', () => true)).state).toBe('served');
    await here.settled();
    expect(await open({ cache: CACHE }).get('web')).toEqual(value);
  });

  it('are asked for in KV when those of this place do not serve', async () => {
    const nowMs = Date.now();
    await put(open({ cache: CACHE }), 'web', entry('old', nowMs - 60_000));
    await put(open({ kv: KV }), 'web', entry('new', nowMs));
    const texts: string[] = [];
    const found = await open({ cache: CACHE, kv: KV }).lookUp('web', ({ body }) => {
      texts.push(new TextDecoder().decode(body));
      return texts.length === 2;
    });
    expect(found.state).toBe('served');
    expect(texts).toEqual(['old', 'new']);
  });

  it('are kept until they could serve nobody, and in KV for 10 minutes at least', async () => {
    const kept: number[] = [];
    const cached: (string | null)[] = [];
    const kv: KvNamespace = {
      getWithMetadata: async () => ({ value: null, metadata: null }),
      delete: async () => undefined,
      put: async (_key, _value, { expirationTtl }) => void kept.push(expirationTtl),
    };
    const cache: EdgeCache = {
      match: async () => undefined,
      delete: async () => false,
      put: async (_url, { headers }) => void cached.push(headers.get('cache-control')),
    };
    const nowMs = 1_767_323_045_000;
    for (const [freshMs, keepStaleMs] of [
      [1000, 0],
      [60_000, 0],
      [30_000, 31_000],
      [30_000, 3_900_000],
    ] as const) {
      const entries = open({ cache, kv, now: () => nowMs, keepStaleMs });
      await put(entries, 'web', { ...entry('x', nowMs), freshUntilMs: nowMs + freshMs });
    }
    expect(kept).toEqual([600, 600, 600, 3930]);
    expect(cached).toEqual(['max-age=1', 'max-age=60', 'max-age=61', 'max-age=3930']);
  });

  it('replace only what was loaded before them, in both stores, and are found by the same rule', async () => {
    const nowMs = Date.now();
    const where = { cache: CACHE, kv: KV };
    const empty = { ...entry('empty', nowMs - 10_000), freshUntilMs: nowMs - 5000 };
    const older = entry('older', nowMs - 20_000);
    await put(open(where), 'web', empty);
    // A load that began before and ended after it.
    await put(open(where), 'web', older);
    for (const each of [{ cache: CACHE }, { kv: KV }]) expect(await open(each).get('web')).toEqual(empty);

    // Another place still has the older one in KV, and it is fresh.
    await KV.delete(`${namespace}:entry:web`);
    await put(open({ kv: KV }), 'web', older);
    const serves = (found: SharedEntry) => found.freshUntilMs > nowMs;
    const here = open(where);
    expect((await here.lookUp('web', serves)).state).toBe('ours');
    await here.settled();
    expect(await open(where).get('web')).toEqual(empty);

    // What is newer is found first, wherever it is.
    const newer = entry('newer', nowMs);
    await put(open({ kv: KV }), 'web', newer);
    expect(await open(where).get('web')).toEqual(newer);
    expect((await here.lookUp('web', serves)).state).toBe('served');
    await here.settled();
    expect(await open({ cache: CACHE }).get('web')).toEqual(newer);
  });

  it('are written to KV when they have changed, and else every 5 minutes only', async () => {
    let nowMs = 1_767_323_045_000;
    const writes: string[] = [];
    const kv: KvNamespace = {
      getWithMetadata: (key, type) => KV.getWithMetadata(key, type),
      delete: (key) => KV.delete(key),
      put: async (key, value, options) => {
        writes.push(`${new TextDecoder().decode(value)} after ${(nowMs - 1_767_323_045_000) / 1000} s`);
        await KV.put(key, value, options);
      },
    };
    const entries = open({ kv, now: () => nowMs });
    for (const text of [...Array(24).fill('a'), 'b', 'b', 'a']) {
      await put(entries, 'web', entry(text, nowMs));
      nowMs += 30_000;
    }
    expect(writes).toEqual([
      'a after 0 s',
      'a after 300 s',
      'a after 600 s',
      'b after 720 s',
      'a after 780 s',
    ]);
  });

  it('of other namespaces stay apart', async () => {
    await put(open({ cache: CACHE, kv: KV }), 'web', entry('mine'));
    namespace = `${namespace}-other`;
    expect(await open({ cache: CACHE, kv: KV }).get('web')).toBeUndefined();
  });

  it('are not believed when they are of another form', async () => {
    const kvKey = `${namespace}:entry:web`;
    const good = { format: '1', begun: '1', stored: '2', fresh: '3' };
    const body = new TextEncoder().encode('{}');
    const here = open({ cache: CACHE, kv: KV });
    for (const metadata of [
      null,
      'x',
      {},
      { ...good, format: '2' },
      { ...good, begun: '9' },
      { ...good, fresh: 'x' },
      { ...good, begun: 'nan' },
      { ...good, begun: '-1' },
      { ...good, stored: 'Infinity' },
      { ...good, begun: '253402300799000', stored: '253402300799000' },
    ]) {
      await KV.put(kvKey, body, { expirationTtl: 60, metadata: metadata as object });
      expect(await here.get('web')).toBeUndefined();
    }
    await CACHE.put(
      `${ORIGIN}/${namespace}/web`,
      new Response('{}', { headers: { 'cache-control': 'max-age=60' } }),
    );
    expect(await here.get('web')).toBeUndefined();
    await KV.put(kvKey, body, { expirationTtl: 60, metadata: good });
    // All but the text, and twice the last of them: the answer without fields has it looked for in KV too.
    expect(here.invalid()).toBe(11);
    expect(await here.get('web')).toMatchObject({ begunAtMs: 1 });
  });

  it('are done without where both fail, and are not waited for longer than their bound', async () => {
    const fail = () => Promise.reject(new Error('down'));
    const failing = open({
      cache: { match: fail, put: fail, delete: fail },
      kv: { getWithMetadata: fail, put: fail, delete: fail },
    });
    await put(failing, 'web', entry('x'));
    expect(await failing.get('web')).toBeUndefined();
    failing.discard('web');
    await failing.settled();

    const hang = () => new Promise<never>(() => undefined);
    const delays: number[] = [];
    const hanging = createEdgeEntries(
      {
        openCache: async () => ({ match: hang, put: hang, delete: hang }),
        origin: () => ORIGIN,
        kv: undefined,
        namespace: async () => 'a',
        keepStaleMs: 0,
      },
      {
        now: Date.now,
        elapsed: Date.now,
        schedule: (callback, delayMs) => {
          delays.push(delayMs);
          queueMicrotask(callback);
          return () => undefined;
        },
        waitUntil: () => undefined,
      },
    );
    expect((await hanging.lookUp('web', () => true)).state).toBe('ours');
    expect(await hanging.get('web')).toBeUndefined();
    expect(delays).toEqual([EDGE_TIMEOUT_MS, EDGE_TIMEOUT_MS]);
  });

  it('knows a KV namespace from other bindings', () => {
    expect(isKvNamespace(KV)).toBe(true);
    for (const binding of [undefined, null, 'text', {}, { put: 1 }])
      expect(isKvNamespace(binding)).toBe(false);
  });
});

describe('isolates', () => {
  it('serve what another has loaded, only to callers who may have it, and in an outage too', async () => {
    const isolate = () => {
      const { settled, ...sharedEntries } = open({ cache: CACHE, kv: KV });
      const fleet = { openEntries: () => sharedEntries };
      return createTestService({}, { fleet, createSingleFlight: createSeparateFlight });
    };
    const first = await isolate();
    // The fake clock stands; the store believes entries by the real one.
    await first.clock.advance(Date.now() - first.clock.now());
    first.upstream = () => vendorList(vendorEntry('web-base'), vendorEntry('api'));
    const body = await (await first.get('/imagecaches')).text();
    await Promise.all(first.background);

    const second = await isolate();
    await second.clock.advance(Date.now() - second.clock.now());
    const refused = await second.get('/imagecaches', { headers: { authorization: 'Bearer x' } });
    expect(refused.status).toBe(401);
    const answer = await second.get('/imagecaches');
    expect(answer.headers.get('cache-status')).toMatch(/^imagecaches; hit; ttl=\d+; detail=shared$/);
    expect(await answer.text()).toBe(body);
    expect(second.calls).toHaveLength(0);

    const third = await isolate();
    await third.clock.advance(Date.now() - third.clock.now() + 600_000);
    third.upstream = () => new Response('down', { status: 500 });
    const stale = await third.get('/imagecaches?name=api');
    expect(stale.status).toBe(200);
    expect(stale.headers.get('cache-status')).toContain('detail=stale-if-error');
    expect(((await stale.json()) as { image_caches: unknown[] }).image_caches).toHaveLength(1);
  });
});
