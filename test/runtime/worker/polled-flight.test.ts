import { describe, expect, it } from 'vitest';
import { createPolledFlight } from '../../../src/runtime/worker/polled-flight.ts';
import { createFakeClock, settle } from '../../support/fake-clock.ts';

/** A first request that was cancelled is waited for no longer than 3 seconds, and looks are at most 50 ms apart. */
const LEASE_MS = 3000;
const LAST_LOOK_MS = 50;

/** An isolate whose requests have timers of their own, which end when the request is cancelled. */
function setUp() {
  const clock = createFakeClock();
  const cancelled = new Set<string>();
  const background: Promise<unknown>[] = [];
  let current = '';
  const flight = createPolledFlight({
    elapsed: clock.elapsed,
    schedule: (callback, delayMs) => {
      const request = current;
      return clock.schedule(() => {
        if (cancelled.has(request)) return;
        current = request;
        callback();
      }, delayMs);
    },
    waitUntil: (promise) => background.push(promise),
  });
  const calls: string[] = [];
  /** Each request's work, settled by the test. */
  const works = new Map<string, PromiseWithResolvers<string>>();
  function ask(request: string, key = 'a') {
    current = request;
    const work = Promise.withResolvers<string>();
    works.set(request, work);
    const { promise, joined } = flight.run(key, () => {
      calls.push(request);
      return work.promise;
    });
    const outcome: { settled?: string } = {};
    promise.then(
      (value) => {
        outcome.settled = value;
      },
      (error: Error) => {
        outcome.settled = `failed: ${error.message}`;
      },
    );
    return { joined, outcome };
  }
  const end = async (request: string, value: string | Error) => {
    const work = works.get(request);
    if (typeof value === 'string') work?.resolve(value);
    else work?.reject(value);
    await settle();
  };
  return { clock, ask, end, cancel: (request: string) => cancelled.add(request), calls, background };
}

describe('work under way', () => {
  it('is joined by those who ask meanwhile, and its value is theirs one look later', async () => {
    const { clock, ask, end, calls, background } = setUp();
    const first = ask('first');
    expect(first.joined).toBe(false);
    const others = Array.from({ length: 99 }, (_, index) => ask(`other ${index}`));
    expect(others.every(({ joined }) => joined)).toBe(true);
    // Longer than the lease, which is renewed.
    await clock.advance(10 * LEASE_MS);
    expect(calls).toEqual(['first']);
    await end('first', 'value');
    expect(first.outcome.settled).toBe('value');
    expect(others.some(({ outcome }) => outcome.settled !== undefined)).toBe(false);
    await clock.advance(LAST_LOOK_MS);
    expect(others.map(({ outcome }) => outcome.settled)).toEqual(Array(99).fill('value'));
    expect(background).toHaveLength(1);
    expect(clock.pending).toBe(0);
    // It is forgotten then.
    expect(ask('next').joined).toBe(false);
  });

  it('is looked for soon at first', async () => {
    const { clock, ask, end } = setUp();
    ask('first');
    const { outcome } = ask('second');
    await end('first', 'value');
    await clock.advance(9);
    expect(outcome.settled).toBeUndefined();
    await clock.advance(1);
    expect(outcome.settled).toBe('value');
  });

  it('gives its failure to all who joined, even one who has gone, and the next starts again', async () => {
    const { clock, ask, end, calls, background } = setUp();
    const all = [ask('first'), ask('second'), ask('third')];
    await end('first', new Error('down'));
    await clock.advance(LAST_LOOK_MS);
    expect(all.map(({ outcome }) => outcome.settled)).toEqual(Array(3).fill('failed: down'));
    await expect(Promise.all(background)).resolves.toHaveLength(1);
    ask('fourth');
    expect(calls).toEqual(['first', 'fourth']);
  });

  it('of other keys is other work', () => {
    const { ask, calls } = setUp();
    ask('first', 'a');
    ask('second', 'b');
    expect(calls).toEqual(['first', 'second']);
  });
});

describe('work that was cancelled with its request', () => {
  it('is taken over by one of those who wait', async () => {
    const { clock, ask, end, cancel, calls } = setUp();
    ask('first');
    const others = [ask('second'), ask('third'), ask('fourth')];
    await clock.advance(1000);
    cancel('first');
    await clock.advance(LEASE_MS - 300);
    expect(calls).toEqual(['first']);
    await clock.advance(300 + 2 * LAST_LOOK_MS);
    expect(calls).toHaveLength(2);
    await end(calls[1] as string, 'value');
    await clock.advance(LAST_LOOK_MS);
    expect(others.map(({ outcome }) => outcome.settled)).toEqual(['value', 'value', 'value']);
    expect(clock.pending).toBe(0);
  });

  it('is taken over once, although its value comes before all have missed the first one', async () => {
    const { clock, ask, end, cancel, calls } = setUp();
    ask('first');
    const early = ask('early');
    cancel('first');
    // Those who have waited for long look less often, so the two look at different times.
    await clock.advance(2980);
    const late = ask('late');
    for (let ms = 0; ms < 150 && calls.length < 2; ms += 1) await clock.advance(1);
    await end(calls[1] as string, 'value');
    await clock.advance(LAST_LOOK_MS);
    expect([early, late].map(({ outcome }) => outcome.settled)).toEqual(['value', 'value']);
    expect(calls).toHaveLength(2);
  });

  it('is replaced by the next who asks where nobody waits', async () => {
    const { clock, ask, end, cancel, calls } = setUp();
    ask('first');
    cancel('first');
    await clock.advance(LEASE_MS);
    const second = ask('second');
    expect(second.joined).toBe(false);
    // What comes of the first one after all ends nothing of the second.
    await end('first', new Error('late'));
    const third = ask('third');
    expect(third.joined).toBe(true);
    await end('second', 'value');
    await clock.advance(LAST_LOOK_MS);
    expect(third.outcome.settled).toBe('value');
    expect(calls).toEqual(['first', 'second']);
  });

  it('may be cancelled again and again', async () => {
    const { clock, ask, end, cancel, calls } = setUp();
    for (const request of ['first', 'second', 'third']) ask(request);
    const last = ask('last');
    for (let round = 0; round < 3; round += 1) {
      cancel(calls.at(-1) as string);
      await clock.advance(2 * LEASE_MS);
    }
    expect(new Set(calls).size).toBe(4);
    if (calls.at(-1) !== 'last') throw new Error('the last one should work by now');
    await end('last', 'value');
    expect(last.outcome.settled).toBe('value');
  });
});
