import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cacheKeyFor, nameOfKey, UNFILTERED_KEY } from '../../src/cache/cache-key.ts';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { isRefreshDue } from '../../src/cache/early-refresh.ts';
import { NAME_LOADS_BEFORE_LIST } from '../../src/cache/name-load-budget.ts';
import { createResponseCache, type ResponseCacheOptions } from '../../src/cache/response-cache.ts';
import { pauseAfterFailures } from '../../src/pause-after-failures.ts';
import { IMAGE_CACHE_NAME } from '../../src/query/imagecaches-query.ts';
import { createSeparateFlight, createSharedFlight, type SingleFlight } from '../../src/single-flight.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

const CONFIG = {
  ttlMs: 30 * SECOND,
  emptyTtlMs: 5 * SECOND,
  staleWhileRevalidateMs: 5 * MINUTE,
  staleIfErrorMs: HOUR,
  maxEntries: 100,
  maxBytes: 1_048_576,
};

const REFUSED = new Error('refused');
const DOWN = new Error('down');

function loaded(text: string, more: Partial<LoadedBody> = {}): LoadedBody {
  return { body: new TextEncoder().encode(text), isEmpty: false, ...more };
}

/** A list of `name=version` words, from which a filter takes the words of one name. */
function loadedList(words: readonly string[]): LoadedBody {
  const encode = (text: string) => new TextEncoder().encode(text);
  return loaded(words.join(' '), {
    isEmpty: words.length === 0,
    filter: {
      empty: encode(''),
      select: (name) => {
        const matching = words.filter((word) => word.startsWith(`${name}=`));
        return matching.length === 0 ? undefined : encode(matching.join(' '));
      },
    },
  });
}

interface SetUpOptions {
  readonly config?: Partial<typeof CONFIG>;
  readonly random?: () => number;
  readonly flight?: () => SingleFlight;
}

function setUp({ config = {}, random = () => 0, flight = createSharedFlight }: SetUpOptions = {}) {
  const clock = createFakeClock();
  const background: Promise<unknown>[] = [];
  const reported: unknown[] = [];
  const loads: string[] = [];
  const upstream = {
    load: async (key: string): Promise<LoadedBody> => loaded(`${key} ${loads.length}`),
  };
  const options: ResponseCacheOptions = {
    ...CONFIG,
    ...config,
    load: (key) => {
      loads.push(key);
      return upstream.load(key);
    },
    isRefusal: (error) => error === REFUSED,
    reportFailure: (error) => reported.push(error),
  };
  const cache = createResponseCache(options, {
    now: clock.now,
    random,
    waitUntil: (promise) => background.push(promise),
    createSingleFlight: flight,
  });
  return {
    cache,
    clock,
    background,
    reported,
    loads,
    upstream,
    settled: () => Promise.allSettled(background),
    read: async (key: string, forceRefresh = false) => {
      const { response, outcome, forwarded, stored } = await cache.read(key, { forceRefresh });
      return {
        text: new TextDecoder().decode(response.body),
        outcome,
        forwarded,
        stored,
        etag: response.etag,
      };
    },
  };
}

function failWith(error: Error): () => Promise<never> {
  return () => Promise.reject(error);
}

describe('cacheKeyFor', () => {
  it('keeps the unfiltered list apart from every name, and can be read back', () => {
    expect(UNFILTERED_KEY).not.toMatch(IMAGE_CACHE_NAME);
    for (const name of [undefined, 'a', 'a-b']) expect(nameOfKey(cacheKeyFor({ name }))).toBe(name);
  });
});

describe('fresh', () => {
  it('answers at once, without a promise, for the time to live', async () => {
    const { cache, clock, loads, read } = setUp();
    expect(await read('a')).toMatchObject({ outcome: 'miss', forwarded: 'miss', stored: true, text: 'a 1' });
    await clock.advance(30 * SECOND - 1);
    const answer = cache.read('a');
    expect(answer).not.toBeInstanceOf(Promise);
    expect(answer).toMatchObject({ outcome: 'hit', forwarded: undefined, stored: false });
    expect(loads).toEqual(['a']);
  });

  it('is shorter for an empty answer', async () => {
    const { clock, read, upstream } = setUp();
    upstream.load = async () => loaded('', { isEmpty: true });
    await read('a');
    await clock.advance(5 * SECOND - 1);
    expect((await read('a')).outcome).toBe('hit');
    await clock.advance(1);
    expect((await read('a')).outcome).toBe('stale');
  });

  it('is shortened by up to a tenth at random, and never lengthened', async () => {
    for (const random of [0, 0.5, 0.999999]) {
      const { cache, clock } = setUp({ random: () => random });
      const { response } = await cache.read('a');
      expect(response.freshUntilMs - clock.now()).toBeCloseTo(30 * SECOND * (1 - 0.1 * random), 3);
    }
  });

  it('has a strong entity tag that depends on the bytes alone', async () => {
    const { read, upstream } = setUp();
    upstream.load = async (key) => loaded(key === 'c' ? 'two' : 'one');
    expect((await read('a')).etag).toBe((await read('b')).etag);
    expect((await read('c')).etag).not.toBe((await read('b')).etag);
    expect((await read('a')).etag).toMatch(/^"[0-9a-f]{32}"$/);
  });
});

describe('single flight', () => {
  it('makes one load of a thousand concurrent misses', async () => {
    const { read, loads, upstream } = setUp();
    const gate = Promise.withResolvers<LoadedBody>();
    upstream.load = () => gate.promise;
    const reads = Array.from({ length: 1000 }, () => read('a'));
    gate.resolve(loaded('shared'));
    const answers = await Promise.all(reads);
    expect(loads).toHaveLength(1);
    expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['shared']));
    expect(answers.filter(({ outcome }) => outcome === 'collapsed')).toHaveLength(999);
    expect(answers.filter(({ stored }) => stored)).toHaveLength(1);
  });

  it('gives a failure to all who waited, stores nothing, and leaves no stuck key', async () => {
    const { read, upstream, background } = setUp();
    upstream.load = failWith(DOWN);
    for (const result of await Promise.allSettled(Array.from({ length: 10 }, () => read('a')))) {
      expect(result).toEqual({ status: 'rejected', reason: DOWN });
    }
    // Background work never rejects: a runtime would take that for a crash.
    await expect(Promise.all(background)).resolves.toHaveLength(1);
    upstream.load = () => {
      throw new Error('at once');
    };
    await expect(read('a')).rejects.toThrow('at once');
    upstream.load = async () => loaded('fine');
    expect(await read('a')).toMatchObject({ outcome: 'miss', text: 'fine' });
  });

  it('loads for each caller where promises may not be shared', async () => {
    const { read, loads } = setUp({ flight: createSeparateFlight });
    const answers = await Promise.all([read('a'), read('a')]);
    expect(loads).toHaveLength(2);
    expect(answers.map(({ outcome }) => outcome)).toEqual(['miss', 'miss']);
  });
});

describe('stale while revalidate', () => {
  it('serves at once what it has, while one refresh runs', async () => {
    for (const flight of [createSharedFlight, createSeparateFlight]) {
      const { cache, clock, loads, read, settled, upstream } = setUp({ flight });
      await read('a');
      await clock.advance(30 * SECOND);
      const gate = Promise.withResolvers<LoadedBody>();
      upstream.load = () => gate.promise;
      for (let caller = 0; caller < 100; caller += 1) {
        const answer = cache.read('a');
        expect(answer).not.toBeInstanceOf(Promise);
        expect(answer).toMatchObject({ outcome: 'stale', forwarded: undefined });
      }
      expect(loads).toHaveLength(2);
      gate.resolve(loaded('new'));
      await settled();
      expect(await read('a')).toMatchObject({ outcome: 'hit', text: 'new' });
    }
  });

  it('goes on when a refresh fails, and is not waited for', async () => {
    const { clock, read, reported, settled, upstream } = setUp();
    await read('a');
    await clock.advance(30 * SECOND);
    upstream.load = failWith(DOWN);
    expect(await read('a')).toMatchObject({ outcome: 'stale', text: 'a 1' });
    await settled();
    expect(reported).toEqual([DOWN]);
    await clock.advance(5 * MINUTE - 1);
    expect(await read('a')).toMatchObject({ outcome: 'stale' });
  });

  it('starts another refresh when one was lost', async () => {
    const { clock, read, loads, upstream } = setUp({ flight: createSeparateFlight });
    await read('a');
    await clock.advance(30 * SECOND);
    upstream.load = () => new Promise(() => {});
    await read('a');
    await clock.advance(30 * SECOND - 1);
    await read('a');
    expect(loads).toHaveLength(2);
    await clock.advance(1);
    await read('a');
    expect(loads).toHaveLength(3);
  });
});

describe('stale if error', () => {
  it('asks upstream first, and serves what it has when that fails', async () => {
    const { clock, read, reported, upstream } = setUp();
    await read('a');
    await clock.advance(30 * SECOND + 5 * MINUTE);
    upstream.load = failWith(DOWN);
    expect(await read('a')).toMatchObject({ outcome: 'stale_error', forwarded: 'stale', text: 'a 1' });
    // The next caller comes within the pause, and does not wait for another failure.
    expect(await read('a')).toMatchObject({ outcome: 'stale_error', forwarded: undefined, text: 'a 1' });
    expect(reported).toEqual([DOWN]);
    await clock.advance(SECOND);
    upstream.load = async () => loaded('new');
    expect(await read('a')).toMatchObject({
      outcome: 'refreshed',
      forwarded: 'stale',
      stored: true,
      text: 'new',
    });
  });

  it('ends after its time', async () => {
    const { clock, read, upstream } = setUp();
    await read('a');
    upstream.load = failWith(DOWN);
    await clock.advance(30 * SECOND + 5 * MINUTE + HOUR - 1);
    expect(await read('a')).toMatchObject({ outcome: 'stale_error' });
    await clock.advance(1);
    await expect(read('a')).rejects.toBe(DOWN);
  });

  it('ends 60 seconds after upstream refused the credential, for every key', async () => {
    const { clock, read, settled, upstream } = setUp();
    await read('a');
    await read('b');
    await clock.advance(40 * SECOND);
    upstream.load = failWith(REFUSED);
    expect((await read('a')).outcome).toBe('stale');
    await settled();
    await clock.advance(59 * SECOND);
    expect((await read('a')).outcome).toBe('stale');
    expect((await read('b')).outcome).toBe('stale');
    await clock.advance(SECOND);
    await expect(read('a')).rejects.toBe(REFUSED);
    await expect(read('b')).rejects.toBe(REFUSED);
    // Another kind of failure does not bring the data back; a success does.
    upstream.load = failWith(DOWN);
    await expect(read('a')).rejects.toBe(DOWN);
    upstream.load = async () => loaded('again');
    expect(await read('a')).toMatchObject({ outcome: 'refreshed', text: 'again' });
    upstream.load = failWith(DOWN);
    expect((await read('b')).outcome).toBe('stale');
  });
});

describe('backoff', () => {
  it('doubles from 1 second to 60, less a fifth at random', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 1000].map((failures) => pauseAfterFailures(failures, 0))).toEqual(
      [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * SECOND),
    );
    expect(pauseAfterFailures(7, 0.999999)).toBeCloseTo(48 * SECOND, 0);
  });

  it('lets upstream see its schedule and not the callers: an hour at 500 requests a second', async () => {
    const { cache, clock, loads, read, settled, upstream } = setUp();
    await read('a');
    await clock.advance(30 * SECOND);
    upstream.load = failWith(DOWN);
    let answers = 0;
    for (let second = 0; second < 3600; second += 1) {
      for (let request = 0; request < 500; request += 1) {
        const answer = cache.read('a');
        if (answer instanceof Promise) await answer;
        answers += 1;
      }
      await settled();
      await clock.advance(SECOND);
    }
    expect(answers).toBe(1_800_000);
    // Pauses of 1, 2, 4, 8, 16 and 32 seconds, then 60 each: 7 calls in the first 63 seconds, 58 in the rest.
    expect(loads.length - 1).toBe(7 + Math.floor((3600 - 63 - 1) / 60));

    upstream.load = async () => loaded('back');
    await clock.advance(60 * SECOND);
    await read('a');
    expect(await read('a')).toMatchObject({ text: 'back' });
  });
});

describe('early refresh', () => {
  it('is the likelier the nearer the end and the longer a load takes', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 1e5, noNaN: true }),
        fc.double({ min: 0, max: 1e4, noNaN: true }),
        fc.double({ min: 0, max: 0.9999999, noNaN: true }),
        (leftMs, loadMs, random) => {
          if (isRefreshDue(leftMs, loadMs, random)) {
            expect(isRefreshDue(leftMs / 2, loadMs, random)).toBe(true);
            expect(isRefreshDue(leftMs, loadMs * 2, random)).toBe(true);
          }
        },
      ),
    );
    expect(isRefreshDue(1, 0, 0.999999)).toBe(false);
    // The chance at one load time before the end is 1/e.
    const samples = Array.from({ length: 1000 }, (_, index) => isRefreshDue(100, 100, index / 1000));
    expect(samples.filter(Boolean)).toHaveLength(367);
  });

  it('keeps a hot key from ever being stale', async () => {
    // A generator with a fixed seed (mulberry32), so that the run is the same each time.
    let state = 42;
    const random = () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    };
    const { cache, clock, upstream, loads } = setUp({ random });
    upstream.load = async () => {
      const done = Promise.withResolvers<void>();
      clock.schedule(done.resolve, 100);
      await done.promise;
      return loaded('x');
    };
    const first = cache.read('a');
    await clock.advance(100);
    await first;
    const outcomes = new Map<string, number>();
    // 200 requests a second for two minutes.
    for (let step = 0; step < 120 * 20; step += 1) {
      for (let request = 0; request < 10; request += 1) {
        const { outcome } = await cache.read('a');
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      await clock.advance(50);
    }
    expect([...outcomes.keys()]).toEqual(['hit']);
    expect(loads.length).toBeGreaterThanOrEqual(4);
    expect(loads.length).toBeLessThanOrEqual(7);
  });
});

describe('derived answers', () => {
  it('answer every name from a fresh list, with the bytes that a load would give', async () => {
    const { clock, loads, read, upstream } = setUp();
    upstream.load = async (key) =>
      key === UNFILTERED_KEY ? loadedList(['a=1', 'b=1', 'a=2']) : loaded('a=1 a=2');
    const own = await read('a');
    await clock.advance(SECOND);
    await read(UNFILTERED_KEY);
    expect(await read('a')).toEqual({ ...own, outcome: 'derived', forwarded: undefined, stored: false });
    expect(await read('b')).toMatchObject({ outcome: 'derived', text: 'b=1' });
    for (let index = 0; index < 10_000; index += 1) {
      expect(await read(`name-${index}`)).toMatchObject({ outcome: 'derived', text: '' });
    }
    expect(loads).toEqual(['a', UNFILTERED_KEY]);
  });

  it('come at once when they were asked for before', async () => {
    const { cache, read, upstream } = setUp();
    upstream.load = async () => loadedList(['a=1']);
    await read(UNFILTERED_KEY);
    for (const name of ['a', 'made-up']) {
      await read(name);
      expect(cache.read(name)).not.toBeInstanceOf(Promise);
    }
    expect(cache.read('another-made-up')).not.toBeInstanceOf(Promise);
  });

  it('give way to what is newer, and end with the list', async () => {
    const { clock, loads, read, upstream } = setUp();
    upstream.load = async (key) => (key === UNFILTERED_KEY ? loadedList(['a=old']) : loaded('a=new'));
    await read(UNFILTERED_KEY);
    await clock.advance(10 * SECOND);
    expect(await read('a', true)).toMatchObject({ outcome: 'miss', text: 'a=new' });
    expect(await read('a')).toMatchObject({ outcome: 'hit', text: 'a=new' });
    await clock.advance(20 * SECOND);
    expect(await read('b')).toMatchObject({ outcome: 'miss', text: 'a=new' });
    expect(loads).toEqual([UNFILTERED_KEY, 'a', 'b']);
  });
});

describe('a stale list', () => {
  it('still answers names while upstream is down', async () => {
    const { clock, read, upstream } = setUp();
    upstream.load = async (key) => (key === UNFILTERED_KEY ? loadedList(['a=1']) : loaded('never'));
    await read(UNFILTERED_KEY);
    upstream.load = failWith(DOWN);
    await clock.advance(30 * MINUTE);
    expect(await read('a')).toMatchObject({ outcome: 'stale_error', text: 'a=1' });
    expect(await read('b')).toMatchObject({ outcome: 'stale_error', text: '' });
    upstream.load = failWith(REFUSED);
    await read('a');
    await clock.advance(MINUTE);
    await expect(read('a')).rejects.toBe(REFUSED);
  });
});

describe('a flood of names', () => {
  it('costs upstream a fixed number of calls, list or no list', async () => {
    const { loads, read, upstream } = setUp();
    upstream.load = async (key) =>
      key === UNFILTERED_KEY ? loadedList(['name-7777=1']) : loaded('', { isEmpty: true });
    const reads = Array.from({ length: 10_000 }, (_, index) => read(`name-${index}`));
    const answers = await Promise.all(reads);
    expect(loads).toHaveLength(NAME_LOADS_BEFORE_LIST + 1);
    expect(loads.at(-1)).toBe(UNFILTERED_KEY);
    expect(answers[7777]?.text).toBe('name-7777=1');
    expect(answers.filter(({ text }) => text !== '')).toHaveLength(1);
  });

  it('costs no more when the names are held and stale', async () => {
    const { clock, loads, read, settled, upstream } = setUp({ config: { maxEntries: 1000 } });
    upstream.load = async (key) => (key === UNFILTERED_KEY ? loaded('no filter') : loaded(key));
    for (let index = 0; index < 500; index += 1) await read(`name-${index}`);
    const heldNames = loads.length;
    expect(heldNames).toBeGreaterThan(500);
    upstream.load = async (key) => (key === UNFILTERED_KEY ? loadedList(['name-333=1']) : loaded(key));
    await clock.advance(30 * SECOND);
    for (let index = 0; index < 500; index += 1) {
      expect((await read(`name-${index}`)).outcome).toMatch(/^(?:stale|derived)$/);
    }
    await settled();
    expect(loads.length - heldNames).toBeLessThanOrEqual(NAME_LOADS_BEFORE_LIST + 1);
    expect(await read('name-333')).toMatchObject({ outcome: 'derived', text: 'name-333=1' });
  });

  it('gives its callers the problem that the list met', async () => {
    const { read, upstream } = setUp();
    upstream.load = async (key) => {
      if (key === UNFILTERED_KEY) throw DOWN;
      return loaded(key);
    };
    for (let index = 0; index < NAME_LOADS_BEFORE_LIST; index += 1) await read(`name-${index}`);
    await expect(read('one-more')).rejects.toBe(DOWN);
    expect((await read('name-3')).outcome).toBe('hit');
  });

  it('loads names by themselves where the list does not fit, or after a while', async () => {
    const { clock, loads, read, upstream } = setUp({ config: { maxBytes: 65_536 } });
    upstream.load = async (key) => (key === UNFILTERED_KEY ? loadedList(['x'.repeat(70_000)]) : loaded(key));
    for (let index = 0; index < NAME_LOADS_BEFORE_LIST; index += 1) await read(`name-${index}`);
    expect(await read('one-more')).toMatchObject({ text: 'one-more' });
    expect(loads.slice(-2)).toEqual([UNFILTERED_KEY, 'one-more']);
    await clock.advance(30 * SECOND);
    await read('later');
    expect(loads.at(-1)).toBe('later');
  });

  it('does not push hot keys out', async () => {
    const { clock, loads, read, upstream } = setUp({ config: { maxEntries: 50 } });
    upstream.load = async (key) => (key === UNFILTERED_KEY ? loadedList([]) : loaded(key));
    for (let index = 0; index < 10_000; index += 1) {
      if (index % 10 === 0) await read('hot');
      await read(`name-${index}`);
      if (index % 1000 === 999) await clock.advance(SECOND);
    }
    expect(loads.filter((key) => key === 'hot')).toHaveLength(1);
  });
});

describe('bounds', () => {
  it('serve but do not keep a value larger than the whole cache', async () => {
    const { cache, read, upstream } = setUp({ config: { maxBytes: 65_536 } });
    upstream.load = async () => loaded('x'.repeat(70_000));
    expect(await read('a')).toMatchObject({ outcome: 'miss', stored: false });
    expect(cache.entries).toBe(0);
  });

  it('hold in entries and in bytes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 40_000 })), {
          maxLength: 200,
        }),
        async (writes) => {
          const { cache, read, upstream, clock } = setUp({ config: { maxBytes: 200_000, maxEntries: 20 } });
          for (const [key, size] of writes) {
            upstream.load = async () => loaded('x'.repeat(size));
            await read(`k${key}`);
            await clock.advance(5 * SECOND);
            expect(cache.entries).toBeLessThanOrEqual(20);
            expect(cache.bytes).toBeLessThanOrEqual(200_000);
            expect(cache.bytes).toBeGreaterThanOrEqual(cache.entries * 1024);
          }
        },
      ),
      { numRuns: 10 },
    );
  });
});

describe('a forced refresh', () => {
  it('loads although the value is fresh, once a second at most', async () => {
    const { clock, loads, read } = setUp();
    await read('a');
    expect(await read('a', true)).toMatchObject({ outcome: 'hit' });
    await clock.advance(999);
    expect(await read('a', true)).toMatchObject({ outcome: 'hit' });
    await clock.advance(1);
    const answers = await Promise.all(Array.from({ length: 100 }, () => read('a', true)));
    expect(loads).toHaveLength(2);
    expect(answers[0]).toMatchObject({ outcome: 'refreshed', stored: true, text: 'a 2' });
    for (let step = 0; step < 100; step += 1) {
      await clock.advance(100);
      await read('a', true);
    }
    expect(loads.length - 2).toBe(10);
  });

  it('serves what is held when upstream fails, and then backs off like any other', async () => {
    const { clock, loads, read, upstream } = setUp();
    await read('a');
    await clock.advance(5 * SECOND);
    upstream.load = failWith(DOWN);
    expect(await read('a', true)).toMatchObject({ outcome: 'stale_error', text: 'a 1' });
    for (let step = 0; step < 60; step += 1) {
      await clock.advance(SECOND);
      await read('a', true);
    }
    // After 0, 1, 3, 7, 15 and 31 seconds.
    expect(loads.length - 1).toBe(6);
  });
});
