import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { cacheKeyFor, UNFILTERED_KEY } from '../../src/cache/cache-key.ts';
import { createResponseCache, type LoadedBody } from '../../src/cache/response-cache.ts';
import { IMAGE_CACHE_NAME } from '../../src/query/imagecaches-query.ts';
import { createSeparateFlight, createSharedFlight, type SingleFlight } from '../../src/single-flight.ts';
import { createFakeClock } from '../support/fake-clock.ts';

const CONFIG = { ttlMs: 30_000, emptyTtlMs: 5000, maxEntries: 100, maxBytes: 1_048_576 };

function loaded(text: string, isEmpty = false): LoadedBody {
  return { body: new TextEncoder().encode(text), isEmpty };
}

function setUp(
  options: { config?: Partial<typeof CONFIG>; random?: number; flight?: () => SingleFlight } = {},
) {
  const clock = createFakeClock();
  const background: Promise<unknown>[] = [];
  const cache = createResponseCache(
    { ...CONFIG, ...options.config },
    {
      now: clock.now,
      random: () => options.random ?? 0,
      waitUntil: (promise) => background.push(promise),
      createSingleFlight: options.flight ?? createSharedFlight,
    },
  );
  return { cache, clock, background };
}

describe('cacheKeyFor', () => {
  it('keeps the unfiltered list apart from every name', () => {
    expect(cacheKeyFor({ name: undefined })).toBe(UNFILTERED_KEY);
    expect(UNFILTERED_KEY).not.toMatch(IMAGE_CACHE_NAME);
    expect(cacheKeyFor({ name: 'a' })).toBe('a');
  });
});

describe('response cache', () => {
  it('answers at once, without a promise, while fresh; loads again when not', async () => {
    const { cache, clock } = setUp();
    let loads = 0;
    const load = async () => loaded(`body ${++loads}`);
    const first = await cache.read('a', load);
    expect(first.verdict).toEqual({ kind: 'miss', stored: true, collapsed: false });

    await clock.advance(29_999);
    const second = cache.read('a', load);
    expect(second).not.toBeInstanceOf(Promise);
    expect(second).toMatchObject({ response: first.response, verdict: { kind: 'hit' } });

    await clock.advance(1);
    expect((await cache.read('a', load)).verdict.kind).toBe('miss');
    expect(loads).toBe(2);
  });

  it('keeps an empty answer for its own, shorter time', async () => {
    const { cache, clock } = setUp();
    await cache.read('a', async () => loaded('{}', true));
    await clock.advance(4999);
    expect(cache.read('a', async () => loaded('new'))).toMatchObject({ verdict: { kind: 'hit' } });
    await clock.advance(1);
    expect(cache.read('a', async () => loaded('new'))).toBeInstanceOf(Promise);
  });

  it('shortens a fresh life by up to a tenth, and never lengthens it', async () => {
    for (const random of [0, 0.5, 0.999999]) {
      const { cache, clock } = setUp({ random });
      const { response } = await cache.read('a', async () => loaded('x'));
      const lifeMs = response.freshUntilMs - clock.now();
      expect(lifeMs).toBeCloseTo(30_000 * (1 - 0.1 * random), 3);
      expect(lifeMs).toBeGreaterThan(26_999);
    }
  });

  it('gives equal bodies equal strong entity tags and different bodies different ones', async () => {
    const { cache } = setUp();
    const etag = async (key: string, text: string) =>
      (await cache.read(key, async () => loaded(text))).response.etag;
    expect(await etag('a', 'one')).toBe(await etag('b', 'one'));
    expect(await etag('c', 'two')).not.toBe(await etag('d', 'one'));
    expect(await etag('e', 'one')).toMatch(/^"[0-9a-f]{32}"$/);
  });

  it('makes one load of a thousand concurrent misses, and lets everyone share its failure', async () => {
    const { cache } = setUp();
    let loads = 0;
    let release: (() => void) | undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const load = async () => {
      loads += 1;
      await gate;
      return loaded('shared');
    };
    const reads = Array.from({ length: 1000 }, () => cache.read('a', load));
    release?.();
    const answers = await Promise.all(reads);
    expect(loads).toBe(1);
    expect(answers.filter(({ verdict }) => verdict.collapsed)).toHaveLength(999);
    expect(answers.filter(({ verdict }) => verdict.stored)).toHaveLength(1);

    const failure = new Error('no');
    const failing = Array.from({ length: 10 }, () => cache.read('b', async () => Promise.reject(failure)));
    for (const result of await Promise.allSettled(failing))
      expect(result).toEqual({ status: 'rejected', reason: failure });
    expect((await cache.read('b', async () => loaded('fine'))).verdict).toMatchObject({
      kind: 'miss',
      stored: true,
    });
  });

  it('also survives a load that throws before it gives a promise', async () => {
    const { cache } = setUp();
    const broken = () => {
      throw new Error('at once');
    };
    await expect(cache.read('a', broken)).rejects.toThrow('at once');
    await expect(cache.read('a', async () => loaded('fine'))).resolves.toMatchObject({
      verdict: { stored: true },
    });
  });

  it('hands the load to the runtime as background work that never rejects', async () => {
    const { cache, background } = setUp();
    await expect(cache.read('a', async () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(background).toHaveLength(1);
    await expect(background[0]).resolves.toBeUndefined();
  });

  it('loads for each caller where promises may not be shared', async () => {
    const { cache } = setUp({ flight: createSeparateFlight });
    let loads = 0;
    const load = async () => loaded(`body ${++loads}`);
    const answers = await Promise.all([cache.read('a', load), cache.read('a', load)]);
    expect(loads).toBe(2);
    expect(answers.map(({ verdict }) => verdict.collapsed)).toEqual([false, false]);
  });

  it('serves but does not keep a value larger than the whole cache', async () => {
    const { cache } = setUp({ config: { maxBytes: 65_536 } });
    const answer = await cache.read('a', async () => loaded('x'.repeat(70_000)));
    expect(answer.response.body.byteLength).toBe(70_000);
    expect(answer.verdict).toEqual({ kind: 'miss', stored: false, collapsed: false });
    expect(cache.entries).toBe(0);
  });

  it('stays within entries and bytes, and counts at least what it holds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 40_000 })), {
          maxLength: 200,
        }),
        async (writes) => {
          const { cache } = setUp({ config: { maxBytes: 200_000, maxEntries: 20 } });
          for (const [key, size] of writes) await cache.read(`k${key}`, async () => loaded('x'.repeat(size)));
          expect(cache.entries).toBeLessThanOrEqual(20);
          expect(cache.bytes).toBeLessThanOrEqual(200_000);
          expect(cache.bytes).toBeGreaterThanOrEqual(cache.entries * 1024);
        },
      ),
      { numRuns: 30 },
    );
  });
});
