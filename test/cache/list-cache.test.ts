import { describe, expect, it } from 'vitest';
import type { LoadedBody } from '../../src/cache/cached-response.ts';
import {
  DOWN,
  failWith,
  LIST,
  loaded,
  loadedList,
  MINUTE,
  NOT_SENT,
  REJECTED,
  SECOND,
  setUp,
} from './cache-harness.ts';

/** Names loaded one by one in a fresh life, see SECURITY.md. */
const NAMES_BEFORE_LIST = 16;

describe('derived answers', () => {
  it('answer every name from a fresh list, with the bytes that a load would give', async () => {
    const { clock, loads, read, upstream } = setUp();
    upstream.load = async (key) => (key === LIST ? loadedList(['a=1', 'b=1', 'a=2']) : loaded('a=1 a=2'));
    const own = await read('a');
    await clock.advance(SECOND);
    await read(LIST);
    expect(await read('a')).toEqual({ ...own, outcome: 'derived', forwarded: undefined, stored: false });
    expect(await read('b')).toMatchObject({ outcome: 'derived', text: 'b=1' });
    for (let index = 0; index < 10_000; index += 1) {
      expect(await read(`name-${index}`)).toMatchObject({ outcome: 'derived', text: '' });
    }
    expect(loads).toEqual(['a', LIST]);
  });

  it('come at once when they were asked for before', async () => {
    const { cache, read, upstream } = setUp();
    upstream.load = async () => loadedList(['a=1']);
    await read(LIST);
    for (const name of ['a', 'made-up']) {
      await read(name);
      expect(cache.peek(name)?.outcome).toBe('derived');
    }
    expect(cache.peek('another-made-up')?.outcome).toBe('derived');
  });

  it('are counted with the list, which takes twice its bytes', async () => {
    const bytesOf = async (list: LoadedBody) => {
      const { cache, read, upstream } = setUp();
      upstream.load = async () => list;
      await read(LIST);
      return cache.bytes;
    };
    const words = ['a'.repeat(10_000)];
    const plain = await bytesOf(loaded(words.join()));
    expect(plain).toBeGreaterThan(10_000);
    expect(await bytesOf(loadedList(words))).toBe(plain + 10_000);
  });

  it('give way to what is newer, and end with the list', async () => {
    const { clock, loads, read, upstream } = setUp();
    upstream.load = async (key) => (key === LIST ? loadedList(['a=old']) : loaded('a=new'));
    await read(LIST);
    await clock.advance(10 * SECOND);
    expect(await read('a', true)).toMatchObject({ outcome: 'refreshed', text: 'a=new' });
    expect(await read('a')).toMatchObject({ outcome: 'hit', text: 'a=new' });
    await clock.advance(20 * SECOND);
    expect(await read('b')).toMatchObject({ outcome: 'stale', text: '' });
    expect(loads).toEqual([LIST, 'a', LIST]);
  });
});

describe('a stale list', () => {
  it('still answers names while upstream is down', async () => {
    const { clock, read, upstream } = setUp();
    upstream.load = async (key) => (key === LIST ? loadedList(['a=1']) : loaded('never'));
    await read(LIST);
    upstream.load = failWith(DOWN);
    await clock.advance(30 * MINUTE);
    expect(await read('a')).toMatchObject({ outcome: 'stale_error', text: 'a=1' });
    expect(await read('b')).toMatchObject({ outcome: 'stale_error', text: '' });
    upstream.load = failWith(REJECTED);
    await clock.advance(MINUTE);
    await read('a');
    await clock.advance(MINUTE);
    await expect(read('a')).rejects.toBe(REJECTED);
  });
});

describe('loads that fail', () => {
  it('make all that the list answers pause, whichever name was loaded', async () => {
    const { clock, loads, read, upstream } = setUp();
    upstream.load = async () => loadedList(['a=1']);
    await read(LIST);
    await clock.advance(2 * SECOND);
    upstream.load = failWith(DOWN);
    await read('made-up', true);
    for (const name of ['other', 'another', 'made-up', LIST])
      expect((await read(name, true)).outcome).toBe(name === LIST ? 'hit' : 'derived');
    expect(loads).toEqual([LIST, 'made-up']);
    await clock.advance(SECOND);
    await read('other', true);
    expect(loads).toEqual([LIST, 'made-up', 'other']);
  });

  it('lengthen the pause only when upstream was asked; else the next begins a second later', async () => {
    const { clock, loads, read, settled, upstream } = setUp();
    upstream.load = async () => loadedList(['a=1']);
    await read(LIST);
    await clock.advance(31 * SECOND);
    const failAgain = async (error: Error): Promise<number> => {
      upstream.load = failWith(error);
      await read(LIST);
      await settled();
      const before = loads.length;
      for (let ms = 0; ; ms += 500) {
        await read(LIST);
        if (loads.length > before) return ms;
        await clock.advance(500);
      }
    };
    // Each is measured up to the next load, which fails in the same way.
    expect(await failAgain(NOT_SENT)).toBe(SECOND);
    await settled();
    await clock.advance(SECOND);
    expect(await failAgain(NOT_SENT)).toBe(SECOND);
    await settled();
    await clock.advance(SECOND);
    expect(await failAgain(DOWN)).toBe(SECOND);
    await settled();
    await clock.advance(2 * SECOND);
    expect(await failAgain(NOT_SENT)).toBe(SECOND);
    await settled();
    await clock.advance(SECOND);
    expect(await failAgain(DOWN)).toBe(4 * SECOND);
  });
});

describe('a flood of names', () => {
  it('costs upstream a fixed number of calls, list or no list', async () => {
    const { loads, read, upstream } = setUp();
    upstream.load = async (key) =>
      key === LIST ? loadedList(['name-7777=1']) : loaded('', { isEmpty: true });
    const reads = Array.from({ length: 10_000 }, (_, index) => read(`name-${index}`));
    const answers = await Promise.all(reads);
    expect(loads).toEqual(['name-0', LIST]);
    expect(answers[7777]?.text).toBe('name-7777=1');
    expect(answers.filter(({ text }) => text !== '')).toHaveLength(1);
  });

  it('costs no more when the names are held and stale', async () => {
    const { clock, loads, read, settled, upstream } = setUp({ config: { maxEntries: 1000 } });
    upstream.load = async (key) => (key === LIST ? loaded('no filter') : loaded(key));
    for (let index = 0; index < 500; index += 1) await read(`name-${index}`);
    const heldNames = loads.length;
    expect(heldNames).toBeGreaterThan(500);
    upstream.load = async (key) => (key === LIST ? loadedList(['name-333=1']) : loaded(key));
    await clock.advance(30 * SECOND);
    for (let index = 0; index < 500; index += 1) {
      expect((await read(`name-${index}`)).outcome).toMatch(/^(?:stale|derived)$/);
    }
    await settled();
    expect(loads.length - heldNames).toBeLessThanOrEqual(NAMES_BEFORE_LIST + 1);
    expect(await read('name-333')).toMatchObject({ outcome: 'derived', text: 'name-333=1' });
  });

  it('leaves stale names to the refresh of the list, and says so at once while that runs', async () => {
    const { cache, clock, loads, read, upstream } = setUp();
    upstream.load = async (key) => loaded(key);
    await read(LIST);
    await read('a');
    await clock.advance(30 * SECOND);
    for (let index = 0; index < NAMES_BEFORE_LIST; index += 1) await read(`name-${index}`);
    expect(cache.peek('a')).toBeUndefined();
    upstream.load = () => Promise.withResolvers<LoadedBody>().promise;
    expect(await read('a')).toMatchObject({ outcome: 'stale', text: 'a' });
    expect(loads.slice(2 + NAMES_BEFORE_LIST)).toEqual([LIST]);
    expect(cache.peek('a')).toMatchObject({ outcome: 'stale' });
    expect(cache.peek(undefined)).toMatchObject({ outcome: 'stale' });
    await read('a');
    expect(loads).toHaveLength(2 + NAMES_BEFORE_LIST + 1);
  });

  it('gives its callers the problem that the list met', async () => {
    const { read, upstream } = setUp();
    upstream.load = async (key) => {
      if (key === LIST) throw DOWN;
      return loaded(key);
    };
    for (let index = 0; index < NAMES_BEFORE_LIST; index += 1) await read(`name-${index}`);
    await expect(read('one-more')).rejects.toBe(DOWN);
    expect((await read('name-3')).outcome).toBe('hit');
  });

  it('loads names by themselves where the list does not fit, or after a while', async () => {
    const { clock, loads, read, upstream } = setUp({ config: { maxBytes: 65_536 } });
    upstream.load = async (key) => (key === LIST ? loadedList(['x'.repeat(70_000)]) : loaded(key));
    for (let index = 0; index < NAMES_BEFORE_LIST; index += 1) await read(`name-${index}`);
    expect(await read('one-more')).toMatchObject({ text: 'one-more' });
    expect(loads.slice(-2)).toEqual([LIST, 'one-more']);
    await clock.advance(30 * SECOND);
    await read('later');
    expect(loads.at(-1)).toBe('later');
  });

  it('does not push hot keys out', async () => {
    const { clock, loads, read, upstream } = setUp({ config: { maxEntries: 50 } });
    upstream.load = async (key) => (key === LIST ? loadedList([]) : loaded(key));
    for (let index = 0; index < 10_000; index += 1) {
      if (index % 10 === 0) await read('hot');
      await read(`name-${index}`);
      if (index % 1000 === 999) await clock.advance(SECOND);
    }
    expect(loads.filter((key) => key === 'hot')).toHaveLength(1);
  });
});

describe('a wall clock that runs ahead', () => {
  it('makes what is held stale also where it was set back before', async () => {
    const { clock, read, loads } = setUp();
    clock.set(60 * MINUTE);
    await read(LIST);
    clock.set(-60 * MINUTE);
    expect((await read(LIST)).outcome).toBe('hit');
    clock.set(60 * MINUTE);
    expect((await read(LIST)).outcome).toBe('refreshed');
    expect((await read(LIST)).outcome).toBe('hit');
    expect(loads).toHaveLength(2);
  });
});
