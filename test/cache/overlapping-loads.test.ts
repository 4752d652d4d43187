import { describe, expect, it } from 'vitest';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import { settle } from '../support/fake-clock.ts';
import { DOWN, LIST, loaded, loadedList, SECOND, setUp } from './cache-harness.ts';

const NONE = loaded('', { isEmpty: true });

/** Loads of the list and of the name a, each of which ends when it is told to. */
function setUpOverlap(config = {}) {
  const all = setUp({ config });
  const gates = new Map<string, PromiseWithResolvers<LoadedBody>>();
  const late = new Map<string, (answer: LoadedBody) => void>();
  const hold = (key: string) => gates.set(key, Promise.withResolvers());
  const begin = (key: string) => {
    hold(key);
    all.upstream.load = (asked, onLate) => {
      late.set(asked, onLate);
      return gates.get(asked)?.promise ?? Promise.resolve(NONE);
    };
    return all.read(key, true);
  };
  const end = (key: string, answer: LoadedBody) => gates.get(key)?.resolve(answer);
  const giveUp = (key: string) => gates.get(key)?.reject(DOWN);
  return {
    ...all,
    hold,
    begin,
    end,
    giveUp,
    endLate: (key: string, answer: LoadedBody) => late.get(key)?.(answer),
  };
}

/** A list with a is held; its next load begins, and a second later that of a, which finds none. */
async function setUpDeletion(config = {}) {
  const all = setUpOverlap(config);
  const { begin, clock, end, read, upstream } = all;
  upstream.load = async () => loadedList(['a=1', 'b=1']);
  await read(LIST);
  await clock.advance(2 * SECOND);
  const list = begin(LIST);
  await clock.advance(SECOND);
  const name = begin('a');
  end('a', NONE);
  expect((await name).text).toBe('');
  await clock.advance(2 * SECOND);
  return { ...all, list };
}

describe.each([
  ['a large cache', {}],
  ['a cache of one entry', { maxEntries: 1 }],
])('what a load has shown to be gone, in %s', (_what, config) => {
  it('does not come back with a list whose load began before and ends later', async () => {
    const { clock, end, list, read, upstream } = await setUpDeletion(config);
    end(LIST, loadedList(['a=1', 'b=2']));
    expect((await list).text).toBe('a=1 b=2');
    // No load that begins later ends.
    upstream.load = () => new Promise(() => {});
    for (let second = 0; second < 25; second += 1) {
      expect((await read('a')).text).toBe('');
      expect((await read('b')).text).toBe('b=2');
      await clock.advance(SECOND);
    }
  });

  it('does not come back with such a list that comes late', async () => {
    const { clock, endLate, giveUp, list, read } = await setUpDeletion(config);
    giveUp(LIST);
    await list;
    await clock.advance(SECOND);
    endLate(LIST, loadedList(['a=1', 'b=2']));
    await settle();
    expect((await read('a')).text).toBe('');
    expect((await read('b')).text).toBe('b=2');
  });

  it('is back with a list whose load began later', async () => {
    const { begin, clock, end, list, read } = await setUpDeletion(config);
    end(LIST, loadedList(['a=1', 'b=2']));
    await list;
    const later = begin(LIST);
    await clock.advance(SECOND);
    end(LIST, loadedList(['a=2']));
    await later;
    expect((await read('a')).text).toBe('a=2');
  });
});

describe('the load of a name that ends after that of a list which began later', () => {
  /** The name's load begins, finds a, which is deleted then, and does not end while the list is loaded. */
  async function setUpOlderName() {
    const all = setUpOverlap();
    const { begin, clock, end, read, upstream } = all;
    upstream.load = async () => loadedList(['a=1']);
    await read(LIST);
    await clock.advance(2 * SECOND);
    const forced = begin('a');
    await clock.advance(SECOND);
    const list = begin(LIST);
    end(LIST, loadedList(['b=2']));
    await list;
    await clock.advance(SECOND);
    return { ...all, forced };
  }

  it('answers nobody: who waits for it is given what the list says', async () => {
    const { clock, end, forced, read } = await setUpOlderName();
    end('a', loaded('a=1'));
    expect(await forced).toMatchObject({ text: '', outcome: 'derived', forwarded: undefined, stored: false });
    for (let second = 0; second < 25; second += 1) {
      expect(await read('a')).toMatchObject({ text: '', outcome: 'derived' });
      await clock.advance(SECOND);
    }
  });

  it('answers nobody when it comes late either', async () => {
    const { clock, endLate, forced, giveUp, read } = await setUpOlderName();
    giveUp('a');
    expect((await forced).text).toBe('');
    await clock.advance(SECOND);
    endLate('a', loaded('a=1'));
    await settle();
    expect(await read('a')).toMatchObject({ text: '', outcome: 'derived' });
  });
});

describe('an answer that comes late', () => {
  it.each([
    ['held', {}],
    ['evicted', { maxEntries: 1 }],
  ])('does not replace that of a newer load of its key, which is %s', async (_what, config) => {
    const { clock, read, upstream } = setUp({ config });
    let endLate: (answer: LoadedBody) => void = () => {};
    upstream.load = (_key, onLate) => {
      endLate = onLate;
      return Promise.reject(DOWN);
    };
    await expect(read('a')).rejects.toBe(DOWN);
    await clock.advance(SECOND);
    upstream.load = async (key) => loaded(`${key}=2`);
    await read('a');
    await read('b');
    endLate(loaded('a=1'));
    await settle();
    expect(await read('a')).toMatchObject({ text: 'a=2', outcome: 'hit' });
  });
});

describe('the list that is loaded for several names', () => {
  it('does not answer one of them that was loaded meanwhile, by a load that began later', async () => {
    const { hold, begin, clock, end, loads, read } = setUpOverlap();
    hold(LIST);
    const first = begin('b');
    const second = read('a');
    await settle();
    expect(loads).toEqual(['b', LIST]);
    end('b', loaded('b=1'));
    await first;
    // The load of the list counts as lost by now.
    await clock.advance(31 * SECOND);
    const forced = begin('a');
    end('a', NONE);
    expect((await forced).text).toBe('');
    await clock.advance(SECOND);
    end(LIST, loadedList(['a=1', 'b=1']));
    expect(await second).toMatchObject({ text: '', outcome: 'hit' });
    expect(await read('a')).toMatchObject({ text: '', outcome: 'hit' });
  });
});

describe('what a newer load has said of a name', () => {
  it('has times of its own where only the list is held that it is kept with', async () => {
    const { clock, end, list, read, upstream } = await setUpDeletion({ maxEntries: 1 });
    end(LIST, loadedList(['a=1', 'b=2']));
    await list;
    const asked: string[] = [];
    upstream.load = (key) => {
      asked.push(key);
      return new Promise(() => {});
    };
    // Empty: fresh for 5 s, 2 s of which were over when the list came, which is fresh for 30 s.
    await clock.advance(2 * SECOND);
    expect(await read('a')).toMatchObject({ text: '', outcome: 'derived' });
    expect(asked).toEqual([]);
    await clock.advance(2 * SECOND);
    expect(await read('a')).toMatchObject({ text: '', outcome: 'stale' });
    expect(asked).toEqual([LIST]);
    expect(await read('b')).toMatchObject({ text: 'b=2', outcome: 'derived' });
  });

  it('is loaded first after its stale time, although the list may still be served at once', async () => {
    const { clock, end, list, read, upstream } = await setUpDeletion({ maxEntries: 1 });
    end(LIST, loadedList(['a=1', 'b=2']));
    await list;
    upstream.load = async () => loadedList(['a=3', 'b=3']);
    await clock.advance((5 + 300) * SECOND);
    expect(await read('a')).toMatchObject({ text: 'a=3', outcome: 'refreshed' });
  });

  /** It is over, and who asks for it waits for the list, whose load began earlier. */
  async function setUpWaiting() {
    const all = await setUpDeletion({ maxEntries: 1, staleWhileRevalidateMs: 0 });
    const { clock, hold, loads, read } = all;
    // So many names that the list is loaded in place of the next one.
    for (let other = 0; other < 15; other += 1) await read(`other-${other}`);
    // The empty answer is fresh for 5 s, of which 2 s are over.
    await clock.advance(3 * SECOND);
    const before = loads.length;
    const again = read('a');
    await settle();
    expect(loads.slice(before)).toEqual([]);
    hold('a');
    return { ...all, again, loadsSince: () => loads.slice(before) };
  }

  it('is loaded by itself after its time, where the list that was loaded for it is older', async () => {
    const { again, end, list, loadsSince } = await setUpWaiting();
    end('a', loaded('a=2'));
    end(LIST, loadedList(['a=1']));
    expect((await list).text).toBe('a=1');
    // It waited for the list, but loaded its answer.
    expect(await again).toMatchObject({ text: 'a=2', outcome: 'miss', stored: true });
    expect(loadsSince()).toEqual(['a']);
  });

  it('is served as stale where that load fails, which is reported', async () => {
    const { again, end, giveUp, loadsSince, reported } = await setUpWaiting();
    end(LIST, loadedList(['a=1']));
    await settle();
    giveUp('a');
    expect(await again).toMatchObject({ text: '', outcome: 'stale_error' });
    expect(loadsSince()).toEqual(['a']);
    expect(reported).toEqual([DOWN]);
  });

  it('is not served past its time, nor is the older list in its place', async () => {
    const { clock, end, list, read, upstream } = await setUpDeletion();
    end(LIST, loadedList(['a=1', 'b=2']));
    await list;
    upstream.load = () => Promise.reject(DOWN);
    // The empty answer of the name: 5 s, then 5 minutes, then an hour, 2 s before the list came.
    await clock.advance((5 + 300 + 3600 - 2) * SECOND - 1);
    expect(await read('a')).toMatchObject({ text: '', outcome: 'stale_error' });
    await clock.advance(1);
    await expect(read('a')).rejects.toBe(DOWN);
    expect(await read('b')).toMatchObject({ text: 'b=2', outcome: 'stale_error' });
  });

  it('is not served when its time ends while its load is under way', async () => {
    const { clock, end, list, read, upstream } = await setUpDeletion({ maxEntries: 1 });
    end(LIST, loadedList(['a=1', 'b=2']));
    await list;
    await clock.advance((5 + 300 + 3600 - 2) * SECOND - 1);
    const down = Promise.withResolvers<LoadedBody>();
    upstream.load = () => down.promise;
    const waiting = read('a');
    await clock.advance(1);
    down.reject(DOWN);
    await expect(waiting).rejects.toBe(DOWN);
  });
});
