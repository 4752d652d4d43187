import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { type CacheAnswer, createListCache } from '../../src/cache/list-cache.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createMemorySharedStore } from '../support/memory-shared-store.ts';
import { createSeparateFlight } from '../support/separate-flight.ts';
import { CONFIG, DOWN, HOUR, LIST, loaded, MINUTE, nameOf, REJECTED, SECOND } from './cache-harness.ts';

type Mode = 'up' | 'empty' | 'down' | 'rejected';
type Step =
  | { readonly kind: 'read'; readonly key: string; readonly forceRefresh: boolean }
  | { readonly kind: 'other replica'; readonly key: string }
  | { readonly kind: 'names' }
  | { readonly kind: 'upstream'; readonly mode: Mode; readonly loadMs: number }
  | { readonly kind: 'advance'; readonly ms: number };

const KEYS = [LIST, 'a', 'b', 'none'];
const key = fc.constantFrom(...KEYS);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('read'), key, forceRefresh: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('other replica'), key }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('names') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('upstream'),
      mode: fc.constantFrom('up', 'up', 'empty', 'down', 'down', 'rejected'),
      loadMs: fc.constantFrom(0, 100, 2 * SECOND, 40 * SECOND),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('advance'),
      ms: fc.constantFrom(0, 1, 999, SECOND, 5 * SECOND, 29 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, HOUR),
    }),
  },
) as fc.Arbitrary<Step>;

interface WorldOptions {
  readonly isShared: boolean;
  readonly hasFleet: boolean;
  /** Draws of the cache, over and over. */
  readonly draws: readonly number[];
}

/** A cache whose loads, look-ups and draws are counted. */
function createWorld({ isShared, hasFleet, draws }: WorldOptions) {
  const clock = createFakeClock();
  const store = createMemorySharedStore(clock);
  const counts = { loads: 0, running: 0, lookUps: 0, draws: 0 };
  const background: Promise<unknown>[] = [];
  let upstream: { readonly mode: Mode; readonly loadMs: number } = { mode: 'up', loadMs: 0 };

  async function load(name: string | undefined): Promise<LoadedBody> {
    counts.loads += 1;
    counts.running += 1;
    const { mode, loadMs } = upstream;
    const text = `${name ?? LIST} ${counts.loads}`;
    await pass(clock, loadMs);
    counts.running -= 1;
    if (mode === 'down' || mode === 'rejected') throw mode === 'down' ? DOWN : REJECTED;
    return toLoaded(name, mode === 'empty' ? '' : text);
  }

  const entries = store.connect();
  const cache = createListCache(
    {
      ...CONFIG,
      resource: 'imagecaches',
      load,
      revive: (name, body) => toLoaded(name, new TextDecoder().decode(body)),
      wasSent: () => true,
      isRejection: (error) => error === REJECTED,
      reportFailure: () => undefined,
      ...(hasFleet && {
        shared: {
          entries: {
            ...entries,
            lookUp: (sharedKey, serves) => {
              counts.lookUps += 1;
              return entries.lookUp(sharedKey, serves);
            },
          },
          reportInvalid: () => undefined,
          waitMs: 8 * SECOND,
        },
      }),
    },
    {
      now: clock.now,
      elapsed: clock.elapsed,
      random: () => draws[counts.draws++ % draws.length] ?? 0,
      waitUntil: (promise) => background.push(promise),
      createSingleFlight: isShared ? createSharedFlight : createSeparateFlight,
      digests: { sha256: toHex, hmacSha256: () => '' },
    },
  );

  const replica = store.connect();
  async function shareFromOther(sharedKey: string): Promise<void> {
    const turn = await replica.lookUp(sharedKey, () => false);
    const nowMs = clock.now();
    const body = new TextEncoder().encode('shared');
    if (turn.state === 'ours')
      await turn.settle({ body, begunAtMs: nowMs, storedAtMs: nowMs, freshUntilMs: nowMs + 30 * SECOND });
  }

  const reads: Promise<unknown>[] = [];
  async function take(next: Step): Promise<void> {
    if (next.kind === 'upstream') upstream = next;
    else if (next.kind === 'advance') await clock.advance(next.ms);
    else if (next.kind === 'other replica') await shareFromOther(`imagecaches/${next.key}`);
    // As many as use up the budget of single loads.
    else if (next.kind === 'names') for (let index = 0; index < 17; index += 1) read(`x${index}`, false);
    else read(next.key, next.forceRefresh);
    await turns();
  }
  function read(readKey: string, forceRefresh: boolean): void {
    reads.push(cache.read(nameOf(readKey), { forceRefresh }).then(describeAnswer, String));
  }

  return {
    cache,
    counts,
    take,
    /** All answers, once all that was begun has ended. */
    async finish() {
      await clock.advance(HOUR);
      return Promise.all(reads);
    },
  };
}

function toLoaded(name: string | undefined, text: string): LoadedBody {
  const encode = (part: string) => new TextEncoder().encode(part);
  const isEmpty = text === '';
  if (name !== undefined) return loaded(text, { isEmpty });
  const select = (wanted: string) =>
    isEmpty || wanted === 'none' ? undefined : encode(`${wanted} of ${text}`);
  return loaded(text, { isEmpty, filter: { empty: encode(''), select } });
}

/** As good as a digest here, and at once. */
function toHex(data: string | Uint8Array): string {
  const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
  return Array.from(text, (character) => character.charCodeAt(0).toString(16))
    .join('')
    .padEnd(32, '0');
}

async function pass({ schedule }: FakeClock, ms: number): Promise<void> {
  if (ms > 0) await new Promise<void>((resolve) => schedule(resolve, ms));
}

/** Lets everything run that waits for no timer: a flood of names has long chains of it. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 500; turn += 1) await Promise.resolve();
}

function describeAnswer({ response, ...answer }: CacheAnswer): object {
  const { body, ...rest } = response;
  return { text: new TextDecoder().decode(body), ...rest, ...answer };
}

const world = fc.record({
  isShared: fc.boolean(),
  hasFleet: fc.boolean(),
  draws: fc.array(fc.constantFrom(0, 0.3, 0.9, 0.999999), { minLength: 1, maxLength: 5 }),
});
const steps = fc.array(step, { minLength: 1, maxLength: 25, size: 'max' });
/** A turn of workerd's loop takes 1 ms, so that each step takes long there. */
const NUM_RUNS = navigator.userAgent === 'Cloudflare-Workers' ? 25 : 100;

const read = (readKey: string): Step => ({ kind: 'read', key: readKey, forceRefresh: false });
const later = (...ms: number[]): Step[] => ms.map((each) => ({ kind: 'advance', ms: each }));
const IS_DOWN: Step = { kind: 'upstream', mode: 'down', loadMs: 0 };
/** Ways to each kind of answer that is given at once. */
const EXAMPLES: readonly Step[][] = [
  [read(LIST), read('a'), read('none')],
  [read(LIST), read('a'), IS_DOWN, ...later(MINUTE), read(LIST), read('a')],
  [read(LIST), IS_DOWN, ...later(10 * MINUTE), read(LIST)],
  // The list outlives what was held of the name.
  [read('a'), ...later(HOUR), read(LIST), IS_DOWN, ...later(10 * MINUTE), read('a')],
];
/** What another replica has said of a name is no longer fresh, and loads of the older list that is held pause. */
const OLD_NEWS: readonly Step[] = [
  { kind: 'names' },
  ...later(5 * SECOND),
  { kind: 'other replica', key: 'a' },
  { kind: 'upstream', mode: 'rejected', loadMs: 0 },
  ...later(30 * SECOND),
  read(LIST),
];
const EXAMPLE_WORLD = { isShared: true, hasFleet: false, draws: [0] };

describe('peek', () => {
  it('answers what a read would at that moment, and starts nothing', async () => {
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(world, steps, async (options, taken) => {
        const { cache, counts, take, finish } = createWorld(options);
        for (const next of taken) {
          await take(next);
          for (const peeked of KEYS) {
            const before = { ...counts, entries: cache.entries, bytes: cache.bytes };
            const answer = cache.peek(nameOf(peeked));
            await turns();
            expect({ ...counts, entries: cache.entries, bytes: cache.bytes }).toEqual(before);
            if (answer === undefined) continue;
            outcomes.add(answer.outcome);
            const read = await cache.read(nameOf(peeked));
            await turns();
            expect(read).toEqual(answer);
            expect(read.response).toBe(answer.response);
            expect({ ...counts, entries: cache.entries, bytes: cache.bytes }).toEqual(before);
          }
        }
        await finish();
      }),
      { numRuns: NUM_RUNS, examples: EXAMPLES.map((example) => [EXAMPLE_WORLD, example] as const) },
    );
    expect([...outcomes].sort()).toEqual(['derived', 'hit', 'stale', 'stale_error']);
  }, 60_000);

  it('declines only where a read starts, draws, derives or waits for something', async () => {
    await fc.assert(
      fc.asyncProperty(world, steps, key, async (options, taken, peeked) => {
        const { cache, counts, take, finish } = createWorld(options);
        for (const next of taken) await take(next);
        if (cache.peek(nameOf(peeked)) === undefined) {
          const before = { ...counts };
          const read = cache.read(nameOf(peeked));
          read.catch(() => undefined);
          await turns();
          const isIdle = JSON.stringify(counts) === JSON.stringify(before);
          // What was derived for this read is there for the next one.
          if (isIdle && before.running === 0) expect(cache.peek(nameOf(peeked))).toEqual(await read);
        }
        await finish();
      }),
      { numRuns: NUM_RUNS, examples: [[{ ...EXAMPLE_WORLD, hasFleet: true }, [...OLD_NEWS], 'a']] },
    );
  }, 60_000);

  it('changes nothing for those who read later', async () => {
    await fc.assert(
      fc.asyncProperty(world, steps, async (options, taken) => {
        const [peeking, plain] = [createWorld(options), createWorld(options)];
        for (const next of taken) {
          await Promise.all([peeking.take(next), plain.take(next)]);
          for (const peeked of KEYS) peeking.cache.peek(nameOf(peeked));
          expect(peeking.counts).toEqual(plain.counts);
        }
        expect(await peeking.finish()).toEqual(await plain.finish());
        expect(peeking.counts).toEqual(plain.counts);
      }),
      { numRuns: NUM_RUNS },
    );
  }, 60_000);
});
