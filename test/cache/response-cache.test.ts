import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { isRefreshDue } from '../../src/cache/early-refresh.ts';
import { pauseAfterFailures } from '../../src/outbound/backoff.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createSeparateFlight } from '../support/separate-flight.ts';
import { DOWN, failWith, HOUR, loaded, MINUTE, REJECTED, SECOND, setUp } from './cache-harness.ts';

describe('fresh', () => {
  it('answers at once, without a promise, for the time to live', async () => {
    const { cache, clock, loads, read } = setUp();
    expect(await read('a')).toMatchObject({ outcome: 'miss', forwarded: 'miss', stored: true, text: 'a 1' });
    await clock.advance(30 * SECOND - 1);
    expect(cache.peek('a')).toMatchObject({ outcome: 'hit', forwarded: undefined, stored: false });
    expect(await read('a')).toMatchObject({ outcome: 'hit', forwarded: undefined, stored: false });
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
      expect(response.freshUntilMs - clock.elapsed()).toBeCloseTo(30 * SECOND * (1 - 0.1 * random), 3);
    }
  });

  it('has a strong entity tag that depends on the bytes alone', async () => {
    const { read, upstream } = setUp();
    upstream.load = async (key) => loaded(key === 'c' ? 'two' : 'one');
    expect((await read('a')).etag).toBe((await read('b')).etag);
    expect((await read('c')).etag).not.toBe((await read('b')).etag);
    expect((await read('a')).etag).toMatch(/^"[0-9a-f]{32}"$/);
  });

  it('keeps the tag of a body that a load gives again, and makes one for another', async () => {
    const { clock, read, upstream } = setUp();
    const same = loaded('same');
    upstream.load = async () => same;
    const first = await read('a');
    await clock.advance(SECOND);
    expect(await read('a', true)).toMatchObject({ outcome: 'refreshed', etag: first.etag });
    upstream.load = async () => loaded('other');
    await clock.advance(SECOND);
    const other = await read('a', true);
    expect(other).toMatchObject({ text: 'other', outcome: 'refreshed' });
    expect(other.etag).not.toBe(first.etag);
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

  it('answers each of several loads that overlap', async () => {
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
        // The first one starts the refresh, which none waits for.
        expect(cache.peek('a') === undefined).toBe(caller === 0);
        const answer = cache.peek('a') ?? (await cache.read('a'));
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

  it('ends 60 seconds after upstream rejected the credential, for every key', async () => {
    const { clock, read, settled, upstream } = setUp();
    await read('a');
    await read('b');
    await clock.advance(40 * SECOND);
    upstream.load = failWith(REJECTED);
    expect((await read('a')).outcome).toBe('stale');
    await settled();
    await clock.advance(59 * SECOND);
    expect((await read('a')).outcome).toBe('stale');
    expect((await read('b')).outcome).toBe('stale');
    await clock.advance(SECOND);
    await expect(read('a')).rejects.toBe(REJECTED);
    await expect(read('b')).rejects.toBe(REJECTED);
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
        if (cache.peek('a') === undefined) await cache.read('a');
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
  it('begins 10 load times before the end, however unlikely a draw', async () => {
    let draw = 0;
    const { clock, loads, read, upstream, settled } = setUp({ random: () => draw });
    upstream.load = async () => {
      const done = Promise.withResolvers<void>();
      clock.schedule(done.resolve, SECOND);
      await done.promise;
      return loaded('x');
    };
    const first = read('a');
    await clock.advance(SECOND);
    await first;
    // A draw that asks for a refresh 15 load times before the end, which comes after 30 seconds.
    draw = 1 - Math.exp(-15);
    await clock.advance(20 * SECOND - 1);
    expect(await read('a')).toMatchObject({ outcome: 'hit' });
    expect(loads).toHaveLength(1);
    await clock.advance(1);
    expect(await read('a')).toMatchObject({ outcome: 'hit' });
    expect(loads).toHaveLength(2);
    await clock.advance(SECOND);
    await settled();
  });

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
        // Small values, that the entries may be what binds, and large ones, that the bytes may.
        fc.constantFrom(100, 40_000),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.double({ min: 0, max: 1, noNaN: true })), {
          maxLength: 100,
        }),
        async (mostBytes, writes) => {
          const { cache, read, upstream, clock } = setUp({ config: { maxBytes: 200_000, maxEntries: 20 } });
          for (const [key, share] of writes) {
            upstream.load = async () => loaded('x'.repeat(share * mostBytes));
            await read(`k${key}`);
            await clock.advance(5 * SECOND);
            expect(cache.entries).toBeLessThanOrEqual(20);
            expect(cache.bytes).toBeLessThanOrEqual(200_000);
            expect(cache.bytes).toBeGreaterThanOrEqual(cache.entries * 1024);
          }
        },
      ),
      { numRuns: 20 },
    );
  });

  it('are reached exactly, in entries and in bytes', async () => {
    const few = setUp({ config: { maxEntries: 3 } });
    for (const key of ['a', 'b', 'c', 'd']) await few.read(key);
    expect(few.cache.entries).toBe(3);
    const outcomes = [];
    for (const key of ['d', 'c', 'b', 'a']) outcomes.push((await few.read(key)).outcome);
    expect(outcomes).toEqual(['hit', 'hit', 'hit', 'miss']);

    // 10 entries of 20,000 bytes would fill it, were it not for what an entry takes besides: 2 KiB and its key.
    const large = setUp({ config: { maxBytes: 200_000 } });
    large.upstream.load = async () => loaded('x'.repeat(20_000));
    for (let index = 0; index < 10; index += 1) await large.read(`key-${index}`);
    expect(large.cache.entries).toBe(9);
    expect(large.cache.bytes).toBe(9 * (20_000 + 'imagecaches/key-0'.length + 2048));
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
