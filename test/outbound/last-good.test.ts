import { describe, expect, it } from 'vitest';
import { createLastGood, type LastGoodOptions } from '../../src/outbound/last-good.ts';
import { OutboundError } from '../../src/outbound/outbound-error.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createProviderDependencies, createScriptedSource } from '../credentials/scripted-source.ts';
import { settle } from '../support/fake-clock.ts';
import { createSeparateFlight } from '../support/separate-flight.ts';

const LOST_MS = 30_000;
/** 1, 2, 4 and 8 seconds, then 8. */
const pauseMs = (failures: number) => Math.min(8000, 1000 * 2 ** (failures - 1));

interface Entry {
  readonly text: string;
}

function setUp(options: Partial<LastGoodOptions<Entry>> = {}, createSingleFlight = createSharedFlight) {
  const context = createProviderDependencies(createSingleFlight);
  const source = createScriptedSource<Entry>();
  const events: string[] = [];
  const lastGood = createLastGood<Entry>(
    {
      load: source.load,
      pauseMs,
      onLoaded: ({ text }, replaced) => events.push(`loaded ${text}, was ${replaced?.text}`),
      onFailed: (_error, failures) => events.push(`failed ${failures}`),
      onRecovered: () => events.push('recovered'),
      ...options,
    },
    context.deps,
  );
  /** Loads the first value. */
  const begin = async (text = 'first') => {
    const warmed = lastGood.warm();
    source.answer({ text });
    await warmed;
    events.length = 0;
    return lastGood.current() as Entry;
  };
  const answer = async (text: string) => {
    source.answer({ text });
    await settle();
  };
  const fail = async (error?: unknown) => {
    source.fail(error);
    await settle();
  };
  return { ...context, source, lastGood, events, begin, answer, fail };
}

/** What is promised by now; undefined while it is not settled. */
async function settledNow<Value>(promise: Promise<Value>): Promise<{ readonly value: Value } | undefined> {
  let outcome: { readonly value: Value } | undefined;
  void promise.then((value) => {
    outcome = { value };
  });
  await settle();
  return outcome;
}

describe('without a value', () => {
  it('everyone who asks joins one load', async () => {
    const { lastGood, source, background, events, answer } = setUp();
    expect(lastGood.usable()).toBe(false);
    expect(lastGood.current()).toBeUndefined();
    expect(source.calls).toBe(0);
    const callers = Array.from({ length: 20 }, () => lastGood.get());
    const warmed = lastGood.warm();
    expect(source.calls).toBe(1);
    await answer('a');
    const got = await Promise.all(callers);
    await warmed;
    expect(new Set(got).size).toBe(1);
    expect(got[0]).toEqual({ text: 'a' });
    expect(lastGood.get()).toBe(got[0]);
    expect(lastGood.usable()).toBe(true);
    expect(source.calls).toBe(1);
    expect(background).toHaveLength(1);
    expect(events).toEqual(['loaded a, was undefined']);
  });

  it('where loads overlap everyone is answered by the own one', async () => {
    const { lastGood, source, background } = setUp({}, createSeparateFlight);
    const hanging = lastGood.get() as Promise<Entry>;
    const second = lastGood.get() as Promise<Entry>;
    expect(source.calls).toBe(2);
    expect(background).toHaveLength(2);
    source.answer({ text: 'a' });
    expect(await settledNow(hanging)).toEqual({ value: { text: 'a' } });
    expect(await settledNow(second)).toBeUndefined();
    // A value is there, so a newcomer needs no load.
    expect(lastGood.get()).toEqual({ text: 'a' });
    source.answer({ text: 'b' });
    expect(await second).toEqual({ text: 'b' });
  });

  it('a failed load gives undefined to all, and no load begins in a pause that doubles up to its cap', async () => {
    const { lastGood, source, clock, events, fail } = setUp();
    const first = [lastGood.get(), lastGood.get()];
    await fail();
    expect(await Promise.all(first)).toEqual([undefined, undefined]);
    for (const pause of [1000, 2000, 4000, 8000, 8000]) {
      const { calls } = source;
      expect(lastGood.pauseLeftMs()).toBe(pause);
      await clock.advance(pause - 1);
      expect(await lastGood.get()).toBeUndefined();
      await lastGood.warm();
      await lastGood.reload();
      expect(lastGood.pauseLeftMs()).toBe(1);
      expect(source.calls).toBe(calls);
      await clock.advance(1);
      expect(lastGood.pauseLeftMs()).toBe(0);
      const caller = lastGood.get();
      expect(source.calls).toBe(calls + 1);
      await fail();
      expect(await caller).toBeUndefined();
    }
    expect(lastGood.failures).toBe(6);
    expect(events).toEqual(Array.from({ length: 6 }, (_, index) => `failed ${index + 1}`));
  });

  it('a success ends the row of failures', async () => {
    const { lastGood, source, clock, events, answer, fail } = setUp();
    for (let count = 0; count < 3; count += 1) {
      const warmed = lastGood.warm();
      await fail();
      await warmed;
      await clock.advance(10_000);
    }
    void lastGood.warm();
    await answer('a');
    expect(lastGood.failures).toBe(0);
    expect(lastGood.pauseLeftMs()).toBe(0);
    const reloaded = lastGood.reload();
    await fail();
    await reloaded;
    expect(lastGood.pauseLeftMs()).toBe(1000);
    expect(source.calls).toBe(5);
    expect(events).toEqual([
      'failed 1',
      'failed 2',
      'failed 3',
      'recovered',
      'loaded a, was undefined',
      'failed 1',
    ]);
  });

  it.each([
    ['joined', createSharedFlight],
    ['separate', createSeparateFlight],
  ])('a load that throws before it returns a promise is a failed load: flights are %s', async (_, create) => {
    const load = () => {
      throw new TypeError('at once');
    };
    const { lastGood, events, background } = setUp({ load }, create);
    expect(await lastGood.get()).toBeUndefined();
    await lastGood.warm();
    await lastGood.reload();
    expect(events).toEqual(['failed 1']);
    expect(lastGood.pauseLeftMs()).toBe(1000);
    expect(await Promise.all(background)).toEqual([undefined]);
  });
});

describe('a value', () => {
  it('is used while loads fail, and given up in time', async () => {
    const { lastGood, source, clock, begin, fail } = setUp({
      isUsable: (_value, ageMs) => ageMs < 100_000,
      renewAfterMs: () => 50_000,
    });
    const first = await begin();
    await clock.advance(50_000);
    for (let ageMs = 50_000; ageMs < 100_000; ageMs += 1000) {
      expect(lastGood.get()).toBe(first);
      if (source.waiting > 0) await fail();
      await clock.advance(1000);
    }
    // After 0, 1, 3, 7, 15, 23, 31, 39 and 47 seconds.
    expect(lastGood.failures).toBe(9);
    expect(lastGood.current()).toBeUndefined();
  });

  it('that was given up: callers wait for a load then, and get undefined when it fails', async () => {
    const { lastGood, clock, begin, answer, fail } = setUp({ isUsable: (_value, ageMs) => ageMs < 100_000 });
    const first = await begin();
    await clock.advance(99_999);
    expect(lastGood.get()).toBe(first);
    expect(lastGood.usable()).toBe(true);
    await clock.advance(1);
    expect(lastGood.usable()).toBe(false);
    expect(lastGood.current()).toBeUndefined();
    const caller = lastGood.get();
    await fail();
    expect(await caller).toBeUndefined();
    await clock.advance(1000);
    const later = lastGood.get();
    await answer('second');
    expect(await later).toEqual({ text: 'second' });
  });

  it('from the start is used without a load, and can be replaced', async () => {
    const initial = { text: 'initial' };
    const { lastGood, source, events, answer } = setUp({ initial });
    expect(lastGood.get()).toBe(initial);
    await lastGood.warm();
    expect(source.calls).toBe(0);
    void lastGood.reload();
    await answer('a');
    expect(lastGood.get()).toEqual({ text: 'a' });
    expect(events).toEqual(['loaded a, was initial']);
  });

  it('that is loaded again stays the same object, without an event', async () => {
    const { lastGood, events, begin, answer } = setUp({ isSame: (a, b) => a.text === b.text });
    const first = await begin();
    void lastGood.reload();
    await answer('first');
    expect(lastGood.current()).toBe(first);
    expect(events).toEqual([]);
  });

  it('that must settle replaces the held one when it was loaded unchanged for that long', async () => {
    const { lastGood, clock, events, begin, answer } = setUp({
      isSame: (a, b) => a.text === b.text,
      settleMs: (loaded) => (loaded.text === 'urgent' ? 0 : 2000),
    });
    await begin();
    const load = async (text: string) => {
      void lastGood.reload();
      await answer(text);
      return lastGood.current()?.text;
    };
    expect(await load('a')).toBe('first');
    await clock.advance(1999);
    expect(await load('a')).toBe('first');
    // Another one begins to settle from here, and so does one that had gone meanwhile.
    expect(await load('b')).toBe('first');
    await clock.advance(1999);
    expect(await load('b')).toBe('first');
    await clock.advance(1);
    expect(await load('first')).toBe('first');
    expect(await load('b')).toBe('first');
    await clock.advance(2000);
    expect(await load('b')).toBe('b');
    expect(await load('urgent')).toBe('urgent');
    expect(events).toEqual(['loaded b, was first', 'loaded urgent, was b']);
  });
});

describe.each([
  ['joined', createSharedFlight],
  ['separate', createSeparateFlight],
])('a renewal, where flights are %s,', (_, createSingleFlight) => {
  it.each(['get', 'usable'] as const)('is begun once by `%s`, in the background', async (ask) => {
    const { lastGood, source, clock, background, begin, answer } = setUp(
      { renewAfterMs: () => 50_000 },
      createSingleFlight,
    );
    const first = await begin();
    await clock.advance(49_999);
    lastGood[ask]();
    expect(source.calls).toBe(1);
    await clock.advance(1);
    for (let count = 0; count < 10; count += 1) {
      lastGood[ask]();
      expect(lastGood.get()).toBe(first);
    }
    expect(source.calls).toBe(2);
    expect(background).toHaveLength(2);
    await answer('second');
    expect(lastGood.get()).toEqual({ text: 'second' });
    await clock.advance(49_999);
    lastGood[ask]();
    expect(source.calls).toBe(2);
    await clock.advance(1);
    lastGood[ask]();
    expect(source.calls).toBe(3);
  });

  it('that fails is begun again after the pause', async () => {
    const { lastGood, source, clock, background, begin, fail } = setUp(
      { renewAfterMs: () => 50_000 },
      createSingleFlight,
    );
    const first = await begin();
    await clock.advance(50_000);
    for (const [index, pause] of [1000, 2000, 4000].entries()) {
      expect(lastGood.get()).toBe(first);
      await fail();
      await clock.advance(pause - 1);
      expect(lastGood.get()).toBe(first);
      expect(source.calls).toBe(index + 2);
      await clock.advance(1);
    }
    expect(await Promise.all(background)).toEqual(Array(4).fill(undefined));
  });

  it('is put off by an unchanged value, and never brought forward', async () => {
    const { lastGood, source, clock, begin, answer } = setUp(
      {
        isSame: (a, b) => a.text === b.text,
        renewAfterMs: (_value, isUnchanged) => (isUnchanged ? 5000 : 50_000),
      },
      createSingleFlight,
    );
    await begin();
    // Early: what was planned stays.
    void lastGood.reload();
    await answer('first');
    await clock.advance(49_999);
    lastGood.get();
    expect(source.calls).toBe(2);
    await clock.advance(1);
    lastGood.get();
    expect(source.calls).toBe(3);
    await answer('first');
    await clock.advance(4999);
    lastGood.get();
    expect(source.calls).toBe(3);
    await clock.advance(1);
    lastGood.get();
    expect(source.calls).toBe(4);
  });

  it('is waited for from a certain age, unless the last load failed', async () => {
    const { lastGood, source, clock, begin, answer, fail } = setUp(
      { renewAfterMs: () => 50_000, waitAfterMs: 60_000 },
      createSingleFlight,
    );
    const first = await begin();
    await clock.advance(59_999);
    expect(lastGood.get()).toBe(first);
    await fail();
    await clock.advance(3_600_000);
    expect(lastGood.get()).toBe(first);
    expect(source.calls).toBe(3);
    await answer('second');
    await clock.advance(60_000);
    const caller = lastGood.get() as Promise<Entry>;
    expect(await settledNow(caller)).toBeUndefined();
    await answer('third');
    expect(await caller).toEqual({ text: 'third' });
  });
});

describe('a load that does not end', () => {
  it('is the only one where flights are joined: its own time limit ends it', async () => {
    const { lastGood, source, clock, begin, answer } = setUp({ renewAfterMs: () => 50_000 });
    const first = await begin();
    await clock.advance(50_000);
    lastGood.get();
    await clock.advance(3_600_000);
    expect(lastGood.get()).toBe(first);
    expect(source.calls).toBe(2);
    await answer('second');
    expect(lastGood.get()).toEqual({ text: 'second' });
  });

  it('is lost where loads may overlap: another renewal begins after 30 seconds', async () => {
    const { lastGood, source, clock, begin, answer, background } = setUp(
      { renewAfterMs: () => 50_000 },
      createSeparateFlight,
    );
    const first = await begin();
    await clock.advance(50_000);
    lastGood.get();
    await clock.advance(LOST_MS - 1);
    expect(lastGood.get()).toBe(first);
    expect(source.calls).toBe(2);
    await clock.advance(1);
    expect(lastGood.get()).toBe(first);
    expect(source.calls).toBe(3);
    expect(background).toHaveLength(3);
    // The lost one comes back after all, and it is newer than what is held.
    await answer('late');
    expect(lastGood.current()).toEqual({ text: 'late' });
    await answer('newest');
    expect(lastGood.current()).toEqual({ text: 'newest' });
  });

  it.each(['value', 'failure'] as const)(
    'changes nothing with its %s once a newer one has succeeded',
    async (outcome) => {
      const lost = Promise.withResolvers<Entry>();
      let calls = 0;
      const load = () => {
        calls += 1;
        return calls === 1 ? lost.promise : Promise.resolve({ text: 'new' });
      };
      const { lastGood, events } = setUp({ load }, createSeparateFlight);
      const first = lastGood.get();
      expect(await lastGood.get()).toEqual({ text: 'new' });
      if (outcome === 'value') lost.resolve({ text: 'old' });
      else lost.reject(new Error('late'));
      // Its caller gets the newer one too.
      expect(await first).toEqual({ text: 'new' });
      expect(lastGood.failures).toBe(0);
      expect(events).toEqual(['loaded new, was undefined']);
    },
  );
});

describe('where loads overlap', () => {
  it('loads that fail together count as one failure, and one that succeeds among them counts', async () => {
    const { lastGood, source, events } = setUp({}, createSeparateFlight);
    const callers = Array.from({ length: 4 }, () => lastGood.get());
    expect(source.calls).toBe(4);
    for (let count = 0; count < 3; count += 1) {
      source.fail();
      await settle();
    }
    expect(lastGood.failures).toBe(1);
    expect(lastGood.pauseLeftMs()).toBe(1000);
    source.answer({ text: 'a' });
    await Promise.all(callers);
    expect(lastGood.failures).toBe(0);
    expect(events).toEqual(['failed 1', 'recovered', 'loaded a, was undefined']);
  });
});

describe('the cooldown', () => {
  it('keeps reloads away after a good load, and failed ones are followed by their pause', async () => {
    const { lastGood, source, clock, begin, answer, fail } = setUp({ cooldownMs: 30_000 });
    await begin();
    expect(lastGood.pauseLeftMs()).toBe(30_000);
    await clock.advance(29_999);
    for (let count = 0; count < 10; count += 1) await lastGood.reload();
    expect(source.calls).toBe(1);
    await clock.advance(1);
    const reloads = Array.from({ length: 10 }, () => lastGood.reload());
    expect(source.calls).toBe(2);
    await fail();
    await Promise.all(reloads);
    await clock.advance(999);
    await lastGood.reload();
    expect(source.calls).toBe(2);
    await clock.advance(1);
    void lastGood.reload();
    await answer('second');
    expect(source.calls).toBe(3);
    await clock.advance(29_999);
    await lastGood.reload();
    expect(source.calls).toBe(3);
  });
});

describe('a reload', () => {
  it('happens at most once in its interval, counted from its start, and not for what others load', async () => {
    const { lastGood, source, clock, begin, answer } = setUp({ reloadIntervalMs: 5000 });
    await begin();
    const reloads = Array.from({ length: 10 }, () => lastGood.reload());
    expect(source.calls).toBe(2);
    await clock.advance(1000);
    await answer('second');
    await Promise.all(reloads);
    await clock.advance(3999);
    await lastGood.reload();
    expect(source.calls).toBe(2);
    await clock.advance(1);
    void lastGood.reload();
    expect(source.calls).toBe(3);
  });

  it('that joins an older load looks again when that one changed nothing', async () => {
    const { lastGood, source, clock, begin, answer } = setUp({
      renewAfterMs: () => 50_000,
      isSame: (a, b) => a.text === b.text,
    });
    await begin();
    await clock.advance(50_000);
    lastGood.get();
    const reloaded = lastGood.reload();
    expect(source.calls).toBe(2);
    await answer('first');
    expect(await settledNow(reloaded)).toBeUndefined();
    expect(source.calls).toBe(3);
    await answer('second');
    expect(await settledNow(reloaded)).toBeDefined();
    expect(lastGood.current()).toEqual({ text: 'second' });

    await clock.advance(50_000);
    lastGood.get();
    const changed = lastGood.reload();
    await answer('third');
    await changed;
    expect(source.calls).toBe(4);
  });
});

describe('a check', () => {
  const initial = { text: 'initial' };
  const check = { initial, checkIntervalMs: 1000, pauseMs: () => 0 };

  it('is waited for by the one whose turn it is, and by nobody else', async () => {
    const { lastGood, source, clock, answer } = setUp(check);
    const first = lastGood.get() as Promise<Entry>;
    expect(lastGood.get()).toBe(initial);
    await clock.advance(999);
    expect(lastGood.get()).toBe(initial);
    expect(source.calls).toBe(1);
    await answer('a');
    expect(await first).toEqual({ text: 'a' });
    // The interval runs from the start of the check.
    await clock.advance(1);
    const second = lastGood.get() as Promise<Entry>;
    expect(source.calls).toBe(2);
    await answer('b');
    expect(await second).toEqual({ text: 'b' });
  });

  it('is made while checks fail too, and finds the first good value', async () => {
    const { lastGood, source, clock, answer, fail, events } = setUp(check);
    for (let count = 1; count <= 3; count += 1) {
      const caller = lastGood.get();
      expect(source.calls).toBe(count);
      await fail();
      expect(await caller).toBe(initial);
      await clock.advance(1000);
    }
    const caller = lastGood.get();
    await answer('a');
    expect(await caller).toEqual({ text: 'a' });
    expect(events).toEqual(['failed 1', 'failed 2', 'failed 3', 'recovered', 'loaded a, was initial']);
  });

  it('is not put off by a clock that was set back', async () => {
    const { deps, clock } = createProviderDependencies();
    let loads = 0;
    const lastGood = createLastGood<Entry>(
      {
        ...check,
        load: async () => {
          loads += 1;
          return initial;
        },
      },
      deps,
    );
    await lastGood.get();
    expect(lastGood.get()).toBe(initial);
    clock.set(-8 * 3_600_000);
    await clock.advance(1000);
    await lastGood.get();
    expect(loads).toBe(2);
  });

  it('that finds trouble reports it once for each code, and once that it is over', async () => {
    const { lastGood, clock, answer, fail, events } = setUp({
      ...check,
      isReportedOnce: true,
      onFailed: (error) => events.push(`failed ${(error as OutboundError).code}`),
    });
    const steps = ['unreadable', 'unreadable', 'changing', 'unreadable', 'good', 'good', 'unreadable'];
    for (const step of steps) {
      void lastGood.get();
      await (step === 'good' ? answer(step) : fail(new OutboundError(step)));
      await clock.advance(1000);
    }
    expect(events.filter((event) => !event.startsWith('loaded'))).toEqual([
      'failed unreadable',
      'failed changing',
      'failed unreadable',
      'recovered',
      'failed unreadable',
    ]);
  });
});
