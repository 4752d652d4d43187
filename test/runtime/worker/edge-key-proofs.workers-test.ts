import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { type KeyAnswer, type KeyKnowledge, type KeyUse, waitForKey } from '../../../src/fleet/key-proofs.ts';
import type { Schedule } from '../../../src/platform/schedule.ts';
import type { EdgeCache, KvNamespace } from '../../../src/runtime/worker/edge-entries.ts';
import { createEdgeKeyProofs } from '../../../src/runtime/worker/edge-key-proofs.ts';
import { createSeparateFlight } from '../../support/separate-flight.ts';
import { createTestService, vendorEntry, vendorList } from '../../support/test-service.ts';
import { createQuietStores } from './quiet-stores.ts';

const ORIGIN = 'https://lists.example.test';
/** A call has 8 seconds, 1 more for what is late, and 30 in which its answer is read. */
const LEASE_MS = 39_000;
const MINUTE_MS = 60_000;
const UNKNOWN: KeyKnowledge = { isAccepted: false, isClockCorrected: false };
const ACCEPTED: KeyKnowledge = { isAccepted: true, isClockCorrected: false };
const CORRECTED: KeyKnowledge = { isAccepted: false, isClockCorrected: true };

/** The real Cache API of one place and of another, and the real KV of workerd. */
const quiet = createQuietStores();
const HERE = quiet.cache(await caches.open('here'));
const THERE = quiet.cache(await caches.open('there'));
const KV = quiet.kv(env.IMAGECACHES_KV as KvNamespace);

const STARTED_AT_MS = Date.now();

let runs = 0;
/** Each test has a key of its own: what is known of keys outlives it. */
let key: { accessKeyId: string; secretAccessKey: string; securityToken: string };
/** The wall clock and elapsed time of all isolates stand, so much ahead of the start. */
let aheadMs: number;
/** Of all isolates. */
let background: Promise<unknown>[];
beforeEach(() => {
  runs += 1;
  key = {
    accessKeyId: `PLANTEDAK${runs}`,
    secretAccessKey: `PlantedSecret${runs}`,
    securityToken: `PlantedToken${runs}`,
  };
  aheadMs = 0;
  background = [];
});

const settled = () => Promise.all(background.splice(0));
const now = () => STARTED_AT_MS + aheadMs;
const { schedule } = quiet;
const realSchedule: Schedule = (callback, delayMs) => {
  const timer = setTimeout(callback, delayMs);
  return () => clearTimeout(timer);
};
const platform = {
  now,
  elapsed: now,
  schedule,
  random: Math.random,
  waitUntil: (promise: Promise<unknown>) => void background.push(promise),
};

interface Stores {
  readonly cache?: EdgeCache | undefined;
  readonly kv?: KvNamespace | undefined;
}

const open = ({ cache, kv }: Stores) =>
  createEdgeKeyProofs({ openCache: async () => cache, origin: () => ORIGIN, kv }, platform);

type Isolate = ReturnType<typeof open>;

const ask = (isolate: Isolate, known = UNKNOWN, credential = key) =>
  isolate.enter(credential, known, LEASE_MS);

async function enter(...args: Parameters<typeof ask>): Promise<KeyUse> {
  const answer = await ask(...args);
  if (typeof answer !== 'object') throw new Error(String(answer));
  return answer;
}

const outcome = async (...args: Parameters<typeof ask>) => named(await ask(...args));
const named = (answer: KeyAnswer | undefined) => (typeof answer === 'object' ? 'ours' : answer);

/** Says what is asked of the stores. */
function spied(): { readonly stores: Required<Stores>; readonly seen: string[] } {
  const seen: string[] = [];
  const cache: EdgeCache = {
    match: (url) => {
      seen.push(`match ${url}`);
      return HERE.match(url);
    },
    put: async (url, response) => {
      seen.push(`put ${url} ${await response.clone().text()}`);
      await HERE.put(url, response);
    },
    delete: (url) => HERE.delete(url),
  };
  const kv: KvNamespace = {
    getWithMetadata: (name, type) => {
      seen.push(`kv get ${name}`);
      return KV.getWithMetadata(name, type);
    },
    put: async (name, value, options) => {
      seen.push(`kv put ${name} ${new TextDecoder().decode(value)} ${JSON.stringify(options)}`);
      await KV.put(name, value, options);
    },
    delete: async (name) => {
      seen.push(`kv delete ${name}`);
      await KV.delete(name);
    },
  };
  return { stores: { cache, kv }, seen };
}
const kinds = (seen: readonly string[]) => seen.map((each) => /^(?:kv )?\w+/.exec(each)?.[0]);

describe('what isolates know of a key', () => {
  it('lets one of five that start together prove it, and all use it once it was accepted', async () => {
    const isolates = Array.from({ length: 5 }, () => open({ cache: HERE, kv: KV }));
    const { signal } = new AbortController();
    let underWay = 0;
    let most = 0;
    const begins: string[] = [];
    await Promise.all(
      isolates.map(async (isolate) => {
        const use = await waitForKey(() => ask(isolate), { schedule, random: Math.random, signal });
        begins.push(begins.includes('accepted') ? 'proven' : 'first');
        underWay += 1;
        most = Math.max(most, begins.includes('accepted') ? 0 : underWay);
        await new Promise((resolve) => setTimeout(resolve, 20));
        underWay -= 1;
        begins.push('accepted');
        if (typeof use === 'object') await use.leave('accepted');
      }),
    );
    expect(most).toBe(1);
    expect(begins.filter((begin) => begin === 'first')).toHaveLength(1);
    expect(begins.filter((begin) => begin === 'proven')).toHaveLength(4);
  });

  it('gives the call to the last of two that have both read before either has written', async () => {
    /** An isolate, and the end of its wait of 50 ms once that has begun. */
    const openWaiting = (cache: EdgeCache) => {
      const { promise: wait, resolve } = Promise.withResolvers<() => void>();
      const schedule: Schedule = (callback, delayMs) => {
        if (delayMs === 50) resolve(callback);
        return () => undefined;
      };
      const stores = { openCache: async () => cache, origin: () => ORIGIN, kv: undefined };
      return { isolate: createEdgeKeyProofs(stores, { ...platform, schedule }), wait };
    };
    const [writes, mayWrite] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const slow = openWaiting({
      ...HERE,
      put: async (url, response) => {
        writes.resolve();
        await mayWrite.promise;
        await HERE.put(url, response);
      },
    });
    const quick = openWaiting(HERE);
    const last = outcome(slow.isolate);
    await writes.promise;
    const first = outcome(quick.isolate);
    // Without a wait they would have their answers at once.
    await Promise.race([quick.wait, first]);
    mayWrite.resolve();
    await Promise.race([slow.wait.then((end) => end()), last]);
    await Promise.race([quick.wait.then((end) => end()), first]);
    expect(await Promise.all([first, last])).toEqual(['busy', 'ours']);
  });

  it('costs a good key one announcement, and a read a second where it was accepted', async () => {
    const { stores, seen } = spied();
    const isolate = open(stores);
    const first = await enter(isolate);
    expect(kinds(seen.splice(0))).toEqual(['match', 'kv get', 'put', 'match']);
    await first.leave('accepted');
    await settled();
    expect(kinds(seen.splice(0))).toEqual(['match', 'put', 'match']);
    for (let count = 0; count < 5; count += 1) await (await enter(isolate, ACCEPTED)).leave('accepted');
    expect(seen).toEqual([]);
    aheadMs += 1000;
    for (let count = 0; count < 5; count += 1) await (await enter(isolate, ACCEPTED)).leave('accepted');
    expect(kinds(seen.splice(0))).toEqual(['match']);
    // Nothing to announce for one that comes later.
    await (await enter(open(stores))).leave('accepted');
    expect(kinds(seen)).toEqual(['match']);
  });

  it('leaves a rejected key alone here and in other places, for 5 minutes and then for longer', async () => {
    const here = { cache: HERE, kv: KV };
    const there = { cache: THERE, kv: KV };
    await (await enter(open(here))).leave('rejected');
    await settled();
    for (const isolate of [open(here), open(there), open({ kv: KV }), open({ cache: HERE })])
      expect(await outcome(isolate)).toBe('locked_out');
    expect(await outcome(open({ cache: THERE }))).toBe('ours');
    // Another secret has a call of its own.
    expect(await outcome(open(here), UNKNOWN, { ...key, secretAccessKey: 'another' })).toBe('ours');
    aheadMs += 5 * MINUTE_MS * 1.2;
    await (await enter(open(here))).leave('rejected');
    await settled();
    aheadMs += 9 * MINUTE_MS;
    expect(await outcome(open(here))).toBe('locked_out');
    aheadMs += 4 * MINUTE_MS;
    expect(await outcome(open(here))).toBe('ours');
  });

  it('lets the isolate whose clock was corrected go on, and the others when that was accepted', async () => {
    const [one, two] = [open({ cache: HERE, kv: KV }), open({ cache: HERE, kv: KV })];
    await (await enter(one)).leave('clock');
    await settled();
    expect(await outcome(two)).toBe('locked_out');
    const again = await enter(one, CORRECTED);
    expect(await outcome(two, CORRECTED)).toBe('busy');
    await again.leave('accepted');
    await settled();
    expect(await outcome(two)).toBe('ours');
  });

  it('forgets a rejection in both stores when the key works again', async () => {
    const { stores, seen } = spied();
    await (await enter(open(stores))).leave('rejected');
    await settled();
    aheadMs += 6 * MINUTE_MS;
    await (await enter(open(stores))).leave('accepted');
    await settled();
    expect(kinds(seen).at(-1)).toBe('kv delete');
    for (const cache of [HERE, THERE]) expect(await outcome(open({ cache, kv: KV }))).toBe('ours');
    const url = seen.at(-2)?.split(' ')[1] as string;
    const fields = Object.keys((await (await HERE.match(url))?.json()) as object);
    expect(fields.map((field) => field.split(':')[0])).toEqual(['accepted']);
  });

  it('holds an isolate back whose key was accepted, when four calls were rejected', async () => {
    const isolates = Array.from({ length: 3 }, () => open({ cache: HERE, kv: KV }));
    for (const isolate of isolates) await (await enter(isolate)).leave('accepted');
    await settled();
    aheadMs += 1000;
    const answers: string[] = [];
    for (const isolate of [...isolates, ...isolates])
      for (let count = 0; count < 2; count += 1) {
        const answer = await ask(isolate, ACCEPTED);
        answers.push(String(named(answer)));
        if (typeof answer === 'object') await answer.leave('rejected');
        await settled();
      }
    expect(answers).toEqual([...Array(4).fill('ours'), ...Array(8).fill('locked_out')]);
  });

  it('takes in rejections that are written at the same moment', async () => {
    const isolates = Array.from({ length: 5 }, () => open({ cache: HERE, kv: KV }));
    for (const isolate of isolates) await (await enter(isolate)).leave('accepted');
    const uses = await Promise.all(isolates.map((isolate) => enter(isolate, ACCEPTED)));
    await Promise.all(uses.map((use) => use.leave('rejected')));
    await settled();
    for (const isolate of isolates) expect(await outcome(isolate, ACCEPTED)).toBe('locked_out');
  });

  it('is named by digests, and nothing of the key is written', async () => {
    const { stores, seen } = spied();
    await (await enter(open(stores))).leave('rejected');
    await settled();
    await (await enter(open(stores), CORRECTED)).leave('accepted');
    await settled();
    expect(new Set(kinds(seen))).toEqual(new Set(['match', 'kv get', 'put', 'kv put', 'kv delete']));
    for (const secret of Object.values(key)) expect(seen.join('\n')).not.toContain(secret);
    expect(seen.join('\n')).not.toContain(Object.values(key)[0]);
    expect(seen.find((each) => each.startsWith('kv put'))).toContain('"expirationTtl":86400');
  });

  it('is done without where the stores fail, keep nothing or hold something else', async () => {
    const fail = () => Promise.reject(new Error('down'));
    const keepsNothing: EdgeCache = {
      match: async () => undefined,
      put: async () => undefined,
      delete: async () => false,
    };
    for (const stores of [
      {},
      { cache: keepsNothing },
      { cache: { match: fail, put: fail, delete: fail }, kv: KV },
      {
        cache: { match: fail, put: fail, delete: fail },
        kv: { getWithMetadata: fail, put: fail, delete: fail },
      },
    ]) {
      const isolate = open(stores);
      await (await enter(isolate)).leave('accepted');
      aheadMs += 1000;
      expect(await outcome(isolate, ACCEPTED)).toBe('ours');
    }
    const { stores, seen } = spied();
    await (await enter(open(stores))).leave('accepted');
    await settled();
    const url = seen[0]?.split(' ')[1] as string;
    for (const text of ['null', '"x"', '[1]', '{"call:x":7,"rejection:y":null}', 'no JSON']) {
      await HERE.put(url, new Response(text, { headers: { 'cache-control': 'max-age=60' } }));
      expect(await outcome(open({ cache: HERE }))).toBe('ours');
    }
  });

  it('is waited for 200 ms at a time', async () => {
    const hang = () => new Promise<never>(() => undefined);
    const delays: number[] = [];
    const isolate = createEdgeKeyProofs(
      {
        openCache: async () => ({ match: hang, put: hang, delete: hang }),
        origin: () => ORIGIN,
        kv: KV,
      },
      {
        ...platform,
        schedule: (callback, delayMs) => {
          delays.push(delayMs);
          queueMicrotask(callback);
          return () => undefined;
        },
      },
    );
    const use = await enter(isolate);
    await use.leave('rejected');
    expect(delays).toEqual([200, 200]);
  });
});

describe('five isolates with one KV and one Cache API', () => {
  async function start(count: number) {
    const services = await Promise.all(
      Array.from({ length: count }, () =>
        createTestService(
          {
            HUAWEICLOUD_SDK_AK: key.accessKeyId,
            HUAWEICLOUD_SDK_SK: key.secretAccessKey,
            RATE_LIMIT_PER_MINUTE: '0',
          },
          {
            ...platform,
            schedule: realSchedule,
            fleet: {
              // Lists are not shared, so that each isolate has calls to make.
              openEntries: () => ({
                lookUp: async () => ({ state: 'ours', settle: async () => undefined }),
                get: async () => undefined,
                discard: () => undefined,
              }),
              openKeyProofs: () => open({ cache: HERE, kv: KV }),
            },
            createSingleFlight: createSeparateFlight,
          },
        ),
      ),
    );
    for (const service of services) await service.clock.advance(now() - service.clock.now());
    const authorization = `Bearer ${await services[0]?.token({ exp: Math.round(now() / 1000) + 86_400 })}`;
    return services.map((service) => ({
      service,
      get: (path = '/imagecaches') => service.get(path, { headers: { authorization } }),
    }));
  }
  const reject = () => Response.json({ error_code: 'APIGW.0301' }, { status: 401 });

  it('make 4 rejected calls in any 5 minutes at most with a wrong secret', async () => {
    const isolates = await start(5);
    const calledAtMs: number[] = [];
    for (const { service } of isolates)
      service.upstream = () => {
        calledAtMs.push(now());
        return reject();
      };
    for (let minutes = 0; minutes < 60; minutes += 2.5) {
      const answers = await Promise.all(isolates.map(({ get }) => get()));
      expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(502));
      await settled();
      aheadMs += 2.5 * MINUTE_MS;
    }
    for (const begin of calledAtMs)
      expect(
        calledAtMs.filter((atMs) => atMs >= begin && atMs < begin + 5 * MINUTE_MS).length,
      ).toBeLessThanOrEqual(4);
    // 5, 10, 20 and 40 minutes apart, and up to a fifth more.
    expect(calledAtMs.length).toBeGreaterThanOrEqual(3);
    expect(calledAtMs.length).toBeLessThanOrEqual(5);
  });

  it('make 4 at most when a key that they all use is withdrawn, and go on when it works again', async () => {
    const isolates = await start(5);
    for (const { service, get } of isolates) {
      service.upstream = () => vendorList(vendorEntry());
      expect((await get()).status).toBe(200);
    }
    await settled();
    let rejected = 0;
    for (const { service } of isolates)
      service.upstream = () => {
        rejected += 1;
        return reject();
      };
    aheadMs += 2 * 60 * MINUTE_MS;
    for (let round = 0; round < 4; round += 1) {
      for (const { get } of isolates) {
        await get();
        await settled();
      }
      aheadMs += 61_000;
    }
    expect(rejected).toBe(4);
    for (const { service } of isolates) service.upstream = () => vendorList(vendorEntry());
    aheadMs += 6 * MINUTE_MS;
    for (const { get } of isolates) expect((await get()).status).toBe(200);
  });
});
