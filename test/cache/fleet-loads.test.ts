import { describe, expect, it } from 'vitest';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { createListCache, type ListCacheOptions } from '../../src/cache/list-cache.ts';
import type { SharedEntries } from '../../src/fleet/entries.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createFakeClock, settle } from '../support/fake-clock.ts';
import { createMemorySharedStore } from '../support/memory-shared-store.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const WAIT_MS = 8 * SECOND;
const CONFIG = {
  ttlMs: 30 * SECOND,
  emptyTtlMs: 5 * SECOND,
  staleWhileRevalidateMs: 5 * MINUTE,
  staleIfErrorMs: HOUR,
  maxEntries: 100,
  maxBytes: 1_048_576,
};
/** The whole list, where tests write names. */
const LIST = '*';
const REJECTED = new Error('rejected');
const DOWN = new Error('down');

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A list is words with spaces between them; the names are what stands before the `=`. */
function toLoaded(key: string, body: Uint8Array<ArrayBuffer>): LoadedBody {
  const text = decode(body);
  const isEmpty = text === '';
  if (key !== LIST) return { body, isEmpty };
  const select = (name: string) => {
    const words = text.split(' ').filter((word) => word.startsWith(`${name}=`));
    return words.length === 0 ? undefined : encode(words.join(' '));
  };
  return { body, isEmpty, filter: { select, empty: encode('') } };
}

/** A fleet with one upstream, one store and one clock. */
function setUp() {
  const clock = createFakeClock();
  const store = createMemorySharedStore(clock);
  const background: Promise<unknown>[] = [];
  const loads: string[] = [];
  const reported: unknown[] = [];
  const counts = { invalid: 0 };
  const upstream = { load: async (key: string) => `${key}=${loads.length}` };

  function createInstance(more: Partial<ListCacheOptions> = {}, skewMs = 0) {
    const cache = createListCache(
      {
        ...CONFIG,
        resource: 'imagecaches',
        load: async (name = LIST) => {
          loads.push(name);
          return toLoaded(name, encode(await upstream.load(name)));
        },
        revive: (name = LIST, body) => (decode(body).startsWith('poison') ? undefined : toLoaded(name, body)),
        isRejection: (error) => error === REJECTED,
        wasSent: () => true,
        reportFailure: (error) => reported.push(error),
        shared: {
          entries: store.connect(),
          reportInvalid: () => {
            counts.invalid += 1;
          },
          waitMs: WAIT_MS,
        },
        ...more,
      },
      {
        now: () => clock.now() + skewMs,
        elapsed: clock.elapsed,
        random: () => 0,
        waitUntil: (promise) => background.push(promise),
        createSingleFlight: createSharedFlight,
      },
    );
    return {
      cache,
      read: async (key: string, forceRefresh = false) => {
        const { response, outcome, forwarded, stored } = await cache.read(key === LIST ? undefined : key, {
          forceRefresh,
        });
        const ageMs = clock.elapsed() - response.storedAtMs;
        const freshMs = response.freshUntilMs - clock.elapsed();
        return { text: decode(response.body), outcome, forwarded, stored, ageMs, freshMs };
      },
    };
  }
  return { clock, store, loads, reported, counts, upstream, background, createInstance };
}

describe('a fleet that shares', () => {
  it('asks upstream once for a key and period, whichever instance is asked', async () => {
    const { clock, loads, createInstance } = setUp();
    const [one, two, three] = [createInstance(), createInstance(), createInstance()];
    expect(await one.read('a')).toMatchObject({ text: 'a=1', outcome: 'miss', stored: true });
    await clock.advance(10 * SECOND);
    expect(await two.read('a')).toEqual({
      text: 'a=1',
      outcome: 'shared',
      forwarded: undefined,
      stored: false,
      ageMs: 10 * SECOND,
      freshMs: 20 * SECOND,
    });
    expect((await two.read('a')).outcome).toBe('hit');
    await clock.advance(20 * SECOND);
    // No longer fresh anywhere: one refreshes, and tells.
    expect((await two.read('a')).outcome).toBe('stale');
    await settle();
    expect(await one.read('a')).toMatchObject({ text: 'a=2', outcome: 'hit' });
    expect(await three.read('a')).toMatchObject({ text: 'a=2', outcome: 'shared' });
    expect(loads).toEqual(['a', 'a']);
  });

  it('waits for the load of another instance, and takes it', async () => {
    const { clock, loads, upstream, createInstance } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    const gate = Promise.withResolvers<string>();
    upstream.load = () => gate.promise;
    const first = one.read('a');
    await settle();
    const second = two.read('a');
    await clock.advance(3 * SECOND);
    expect(loads).toEqual(['a']);
    gate.resolve('a=new');
    expect((await first).outcome).toBe('miss');
    expect(await second).toMatchObject({ text: 'a=new', outcome: 'shared', ageMs: 0 });
    expect(loads).toEqual(['a']);
  });

  it('tries itself when the load of another failed, and when it takes too long', async () => {
    const { clock, loads, upstream, createInstance } = setUp();
    const [one, two, three] = [createInstance(), createInstance(), createInstance()];
    const gate = Promise.withResolvers<string>();
    upstream.load = () => gate.promise;
    const first = one.read('a');
    const failure = expect(first).rejects.toBe(DOWN);
    await settle();
    const second = two.read('a');
    await settle();
    upstream.load = async () => 'a=second';
    gate.reject(DOWN);
    await failure;
    expect(await second).toMatchObject({ text: 'a=second', outcome: 'miss' });

    const never = Promise.withResolvers<string>();
    upstream.load = () => never.promise;
    void one.read('b');
    await settle();
    upstream.load = async () => 'b=third';
    const third = three.read('b');
    await clock.advance(WAIT_MS);
    expect(await third).toMatchObject({ text: 'b=third', outcome: 'miss' });
    expect(loads).toEqual(['a', 'a', 'b', 'b']);
  });

  it('takes what another has loaded also when the wait for it took all its time', async () => {
    const { clock, store, loads, upstream, createInstance } = setUp();
    const entries = store.connect();
    const told = Promise.withResolvers<void>();
    const lookUp: SharedEntries['lookUp'] = async (key, serves) => {
      const found = await entries.lookUp(key, serves);
      return found.state === 'taken' ? { ...found, changed: told.promise } : found;
    };
    const shared = { entries: { ...entries, lookUp }, reportInvalid: () => undefined, waitMs: WAIT_MS };
    const [one, two] = [createInstance(), createInstance({ shared })];
    const gate = Promise.withResolvers<string>();
    upstream.load = () => gate.promise;
    const first = one.read('a');
    await settle();
    const second = two.read('a');
    await settle();
    gate.resolve('a=new');
    await first;
    await clock.advance(WAIT_MS);
    told.resolve();
    expect(await second).toMatchObject({ text: 'a=new', outcome: 'shared', ageMs: WAIT_MS });
    expect(loads).toEqual(['a']);
  });

  it('carries a forced refresh to every instance, at most once a second for all', async () => {
    const { clock, loads, createInstance } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    await one.read('a');
    await two.read('a');
    await clock.advance(5 * SECOND);
    expect(await one.read('a', true)).toMatchObject({ text: 'a=2', outcome: 'refreshed' });
    await settle();
    expect(await two.read('a')).toMatchObject({ text: 'a=2', outcome: 'hit' });
    await clock.advance(SECOND - 1);
    // By another instance, which has not loaded it itself.
    const three = createInstance();
    expect(await three.read('a', true)).toMatchObject({ text: 'a=2', outcome: 'shared' });
    await clock.advance(SECOND);
    expect(await three.read('a', true)).toMatchObject({ text: 'a=3', outcome: 'refreshed' });
    expect(loads).toHaveLength(3);
  });

  it('does not take in keys that nobody here has asked for', async () => {
    const { createInstance } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    await one.read('a');
    await settle();
    expect(two.cache.entries).toBe(0);
  });

  it('answers names from a shared list', async () => {
    const { loads, upstream, createInstance } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    upstream.load = async () => 'a=1 b=2';
    await one.read(LIST);
    expect((await two.read(LIST)).outcome).toBe('shared');
    expect(await two.read('b')).toMatchObject({ text: 'b=2', outcome: 'derived' });
    expect(loads).toEqual([LIST]);
  });

  it('keeps an entry no longer than it would keep its own', async () => {
    const { clock, createInstance } = setUp();
    const long = createInstance({ ttlMs: HOUR });
    const short = createInstance();
    await long.read('a');
    await clock.advance(10 * SECOND);
    expect(await short.read('a')).toMatchObject({ outcome: 'shared', freshMs: 20 * SECOND });
  });

  it('takes in nothing whose load began before that of what it holds, though it was stored later', async () => {
    const { clock, store, createInstance } = setUp();
    const one = createInstance();
    const begunBeforeMs = clock.now() - 1;
    expect(await one.read('a')).toMatchObject({ text: 'a=1' });
    await clock.advance(SECOND);
    const slow = {
      body: encode('a=slow'),
      begunAtMs: begunBeforeMs,
      storedAtMs: clock.now(),
      freshUntilMs: clock.now() + HOUR,
    };
    store.entries.set('imagecaches/a', slow);
    await clock.advance(30 * SECOND - 1);
    expect(await one.read('a')).toMatchObject({ text: 'a=1', outcome: 'stale' });
    await settle();
    expect(await one.read('a')).toMatchObject({ text: 'a=2', outcome: 'hit' });
    // One that began later is taken.
    await clock.advance(SECOND);
    store.entries.set('imagecaches/a', { ...slow, begunAtMs: clock.now(), storedAtMs: clock.now() });
    await clock.advance(29 * SECOND);
    await one.read('a');
    await settle();
    expect(await one.read('a')).toMatchObject({ text: 'a=slow', outcome: 'hit' });
  });

  it('is not confused by an instance whose clock is ahead', async () => {
    const { createInstance } = setUp();
    const ahead = createInstance({}, 20 * SECOND);
    const here = createInstance();
    await ahead.read('a');
    expect(await here.read('a')).toMatchObject({ outcome: 'shared', ageMs: 0, freshMs: 30 * SECOND });
  });

  it('drops what no load can have given, and loads', async () => {
    const { clock, store, loads, counts, createInstance } = setUp();
    const nowMs = clock.now();
    store.entries.set('imagecaches/a', {
      body: encode('poison'),
      begunAtMs: nowMs,
      storedAtMs: nowMs,
      freshUntilMs: nowMs + HOUR,
    });
    const one = createInstance();
    expect(await one.read('a')).toMatchObject({ text: 'a=1', outcome: 'miss' });
    expect(store.discarded).toEqual(['imagecaches/a']);
    expect(counts.invalid).toBe(1);
    expect(loads).toEqual(['a']);
  });

  it('does not look into what its times say is of no use', async () => {
    const { clock, store, loads, counts, createInstance } = setUp();
    const nowMs = clock.now();
    const entry = { body: encode('poison'), begunAtMs: nowMs, storedAtMs: nowMs, freshUntilMs: nowMs };
    store.entries.set('imagecaches/a', entry);
    const one = createInstance();
    expect(await one.read('a')).toMatchObject({ text: 'a=1', outcome: 'miss' });
    expect(store.discarded).toEqual([]);
    expect(counts.invalid).toBe(0);
    expect(loads).toEqual(['a']);
    // It was replaced.
    expect(await createInstance().read('a')).toMatchObject({ text: 'a=1', outcome: 'shared' });
  });

  it('goes on alone without the store', async () => {
    const { store, clock, loads, createInstance } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    store.isUp = false;
    expect((await one.read('a')).outcome).toBe('miss');
    expect((await two.read('a')).outcome).toBe('miss');
    expect((await two.read('a')).outcome).toBe('hit');
    store.isUp = true;
    await clock.advance(30 * SECOND);
    expect((await one.read('a')).outcome).toBe('stale');
    await settle();
    expect(await two.read('a')).toMatchObject({ text: 'a=3', outcome: 'hit' });
    expect(loads).toHaveLength(3);
  });
});

describe('keys of the shared store', () => {
  it('name resource and list; what was put under other keys is neither read nor written', async () => {
    const { clock, store, loads, createInstance } = setUp();
    const nowMs = clock.now();
    const times = { begunAtMs: nowMs, storedAtMs: nowMs, freshUntilMs: nowMs + HOUR };
    // As version 1 named them.
    for (const key of [LIST, 'a']) store.entries.set(key, { body: encode('a=old'), ...times });
    const instance = createInstance();
    expect(await instance.read('a')).toMatchObject({ text: 'a=1', outcome: 'miss' });
    expect(await instance.read(LIST)).toMatchObject({ text: '*=2', outcome: 'miss' });
    expect(loads).toEqual(['a', LIST]);
    expect([...store.entries.keys()].sort()).toEqual(['*', 'a', 'imagecaches/*', 'imagecaches/a']);
    for (const key of [LIST, 'a'])
      expect(store.entries.get(key)).toEqual({ body: encode('a=old'), ...times });
  });

  it('are those of one namespace for each target, so they do not say which', async () => {
    const { store, createInstance } = setUp();
    await createInstance({ target: 'eu-1' }).read('a');
    expect([...store.entries.keys()]).toEqual(['imagecaches/a']);
    expect(await createInstance({ target: 'eu-1' }).read('a')).toMatchObject({ outcome: 'shared' });
  });

  it('keep resources apart, which hear of each other and do not mind', async () => {
    const { clock, store, loads, createInstance } = setUp();
    const asked: string[] = [];
    const entries = store.connect();
    const get = (key: string) => {
      asked.push(key);
      return entries.get(key);
    };
    const shared = { entries: { ...entries, get }, reportInvalid: () => undefined, waitMs: WAIT_MS };
    const [caches, others] = [createInstance(), createInstance({ resource: 'others', shared })];
    const caller = createInstance();
    expect((await caches.read('a')).text).toBe('a=1');
    expect(await others.read('a')).toMatchObject({ text: 'a=2', outcome: 'miss' });
    expect(await caller.read('a')).toMatchObject({ text: 'a=1', outcome: 'shared' });
    await clock.advance(5 * SECOND);
    expect(await caller.read('a', true)).toMatchObject({ text: 'a=3', outcome: 'refreshed' });
    await settle();
    expect(await caches.read('a')).toMatchObject({ text: 'a=3', outcome: 'hit' });
    expect(await others.read('a')).toMatchObject({ text: 'a=2', outcome: 'hit' });
    expect(loads).toHaveLength(3);
    expect(asked).toEqual([]);
    expect(await createInstance({ resource: 'others' }).read('a', true)).toMatchObject({ text: 'a=4' });
    await settle();
    expect(asked).toEqual(['others/a']);
    expect(await others.read('a')).toMatchObject({ text: 'a=4', outcome: 'hit' });
  });
});

describe('what others have loaded, in an outage', () => {
  it('serves as stale where nothing is held, also right after a start', async () => {
    const { clock, upstream, createInstance } = setUp();
    await createInstance().read('a');
    await clock.advance(10 * MINUTE);
    upstream.load = () => Promise.reject(DOWN);
    const restarted = createInstance();
    expect(await restarted.read('a')).toMatchObject({
      text: 'a=1',
      outcome: 'stale_error',
      ageMs: 10 * MINUTE,
    });
  });

  it('serves a name from the list', async () => {
    const { clock, upstream, createInstance } = setUp();
    upstream.load = async () => 'a=1 b=2';
    await createInstance().read(LIST);
    await clock.advance(10 * MINUTE);
    upstream.load = () => Promise.reject(DOWN);
    expect(await createInstance().read('b')).toMatchObject({ text: 'b=2', outcome: 'stale_error' });
  });

  it('serves no longer than it would be served by who loaded it', async () => {
    const { clock, upstream, createInstance } = setUp();
    await createInstance().read('a');
    await clock.advance(30 * SECOND + 5 * MINUTE + HOUR);
    upstream.load = () => Promise.reject(DOWN);
    await expect(createInstance().read('a')).rejects.toBe(DOWN);
  });

  it('is not taken in when upstream rejects the credential', async () => {
    const { clock, upstream, createInstance } = setUp();
    await createInstance().read('a');
    await clock.advance(10 * MINUTE);
    upstream.load = () => Promise.reject(REJECTED);
    await expect(createInstance().read('a')).rejects.toBe(REJECTED);
  });

  it('loaded after a rejection, ends its effect', async () => {
    const { clock, upstream, createInstance } = setUp();
    const [rejected, other] = [createInstance(), createInstance()];
    await rejected.read('a');
    await clock.advance(MINUTE);
    upstream.load = () => Promise.reject(REJECTED);
    expect((await rejected.read('a')).outcome).toBe('stale');
    await clock.advance(2 * MINUTE);
    await expect(rejected.read('a')).rejects.toBe(REJECTED);
    await clock.advance(1);
    upstream.load = async () => 'a=again';
    await other.read('a');
    await settle();
    expect(await rejected.read('a')).toMatchObject({ text: 'a=again', outcome: 'hit' });
    await clock.advance(MINUTE);
    expect((await rejected.read('a')).outcome).toBe('stale');
  });
});

describe('loads of two instances that overlap', () => {
  /** Both hold a list with a. One loads the list again; a second later the other loads a, which is gone. */
  async function setUpDeletion() {
    const all = setUp();
    const { clock, createInstance, upstream } = all;
    const [one, two] = [createInstance(), createInstance()];
    upstream.load = async () => 'a=1 b=1';
    await one.read(LIST);
    await two.read(LIST);
    await clock.advance(2 * SECOND);
    const gate = Promise.withResolvers<string>();
    upstream.load = (key) => (key === LIST ? gate.promise : Promise.resolve(''));
    const list = one.read(LIST, true);
    await clock.advance(SECOND);
    expect((await two.read('a', true)).text).toBe('');
    await settle();
    return { ...all, one, two, list, end: gate.resolve };
  }

  it('bring back on neither what the load that began later has shown to be gone', async () => {
    const { clock, end, list, one, two, upstream } = await setUpDeletion();
    expect((await one.read('a')).text).toBe('');
    await clock.advance(2 * SECOND);
    end('a=1 b=2');
    expect((await list).text).toBe('a=1 b=2');
    await settle();
    // No load that begins later ends.
    upstream.load = () => new Promise(() => {});
    for (const instance of [one, two, one, two]) {
      expect((await instance.read('b')).text).toBe('b=2');
      expect((await instance.read('a')).text).toBe('');
      await clock.advance(10 * SECOND);
    }
  });

  it('bring it back on neither where the list is loaded for the first time', async () => {
    const { clock, createInstance, upstream } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    const gate = Promise.withResolvers<string>();
    upstream.load = (key) => (key === LIST ? gate.promise : Promise.resolve(''));
    const list = one.read(LIST);
    await clock.advance(SECOND);
    expect((await two.read('a')).text).toBe('');
    await clock.advance(SECOND);
    gate.resolve('a=1');
    await list;
    await settle();
    expect((await one.read('a')).text).toBe('');
    expect((await two.read(LIST)).outcome).toBe('shared');
    expect((await two.read('a')).text).toBe('');
  });

  it('are compared by their beginning where the name is loaded first and ends last', async () => {
    const { clock, createInstance, upstream } = setUp();
    const [one, two] = [createInstance(), createInstance()];
    const gate = Promise.withResolvers<string>();
    upstream.load = (key) => (key === LIST ? Promise.resolve('b=1') : gate.promise);
    const name = one.read('a');
    await clock.advance(SECOND);
    await two.read(LIST);
    expect((await one.read(LIST)).outcome).toBe('shared');
    await clock.advance(SECOND);
    gate.resolve('a=1');
    expect(await name).toMatchObject({ text: '', outcome: 'derived' });
    await settle();
    for (const instance of [one, two]) expect((await instance.read('a')).text).toBe('');
  });

  it('tell a later one that is back', async () => {
    const { clock, end, list, one, two, upstream } = await setUpDeletion();
    end('a=1 b=2');
    await list;
    await clock.advance(2 * SECOND);
    upstream.load = async () => 'a=2 b=2';
    await two.read(LIST, true);
    await settle();
    for (const instance of [one, two]) expect((await instance.read('a')).text).toBe('a=2');
  });
});
