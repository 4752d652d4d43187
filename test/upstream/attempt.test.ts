import { describe, expect, it } from 'vitest';
import type { KeyAnswer, KeyProofs } from '../../src/fleet/key-proofs.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import { createUpstreamClient, type UpstreamClientParts } from '../../src/upstream/client.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';
import { createRecordingTracer } from '../support/recording-tracer.ts';

const CONFIG = {
  endpoint: 'https://cce.example.test',
  projectId: undefined,
  connectTimeoutMs: 2000,
  attemptTimeoutMs: 5000,
  deadlineMs: 8000,
  maxConcurrent: 32,
};
const KEY = Object.freeze({ accessKeyId: 'AK1', secretAccessKey: 'secret' });

function setUp(
  more: (clock: ReturnType<typeof createFakeClock>) => Partial<UpstreamClientParts> = () => ({}),
  config: Partial<typeof CONFIG> = {},
) {
  const clock = createFakeClock();
  const seen = { asked: 0, sent: 0, retried: 0, signals: [] as (AbortSignal | undefined)[] };
  const logger = createRecordingLogger();
  const background: Promise<unknown>[] = [];
  const upstream = { answer: (): Response | Promise<Response> => new Response('{}') };
  const client = createUpstreamClient(
    { ...CONFIG, ...config },
    {
      fetch: async (_url, { signal }) => {
        seen.sent += 1;
        seen.signals.push(signal);
        return upstream.answer();
      },
      now: clock.now,
      elapsed: clock.elapsed,
      schedule: clock.schedule,
      waitUntil: (promise) => {
        background.push(promise);
      },
      random: () => 0,
      credentials: {
        get: () => {
          seen.asked += 1;
          return KEY;
        },
        reload: async () => false,
        usable: () => true,
        warm: async () => undefined,
      },
      logger,
      metrics: {
        ...NO_METRICS,
        upstreamRetried: () => {
          seen.retried += 1;
        },
      },
      ...more(clock),
    },
  );
  const late: string[] = [];
  const ask = () =>
    client
      .get(
        '/v5/imagecaches',
        [],
        () => 'value',
        (value) => late.push(value),
      )
      .catch((error: Error) => error.message);
  return { ask, background, client, clock, late, logger, seen, upstream };
}

/** The same with a key that was accepted before, a while ago. */
async function setUpKnown(...args: Parameters<typeof setUp>) {
  const service = setUp(...args);
  await service.ask();
  await service.clock.advance(2000);
  Object.assign(service.seen, { asked: 0, sent: 0 });
  service.seen.signals.length = 0;
  return service;
}

const TIMEOUT = 'upstream_timeout: timeout';

describe('a call that has timed out', () => {
  it('while its credential was looked for is not sent, and holds no turn with the key', async () => {
    const late = Promise.withResolvers<typeof KEY>();
    let get: () => typeof KEY | Promise<typeof KEY> = () => late.promise;
    const { ask, clock, seen } = setUp(() => ({
      credentials: {
        get: () => get(),
        reload: async () => false,
        usable: () => true,
        warm: async () => undefined,
      },
    }));
    const first = ask();
    await clock.advance(8000);
    expect(await first).toBe(TIMEOUT);
    late.resolve(KEY);
    await clock.advance(0);
    get = () => KEY;
    // No time passes: the turn is free at once.
    expect(await ask()).toBe('value');
    expect(seen.sent).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('while it was signed is not sent, even when both happen at once', async () => {
    const signature = Promise.withResolvers<string>();
    const { ask, clock, seen } = setUp(({ schedule }) => ({
      digests: { sha256: () => 'hash', hmacSha256: () => signature.promise },
      // The signature arrives right before the timeout is called, so signing goes on before the attempt has ended.
      schedule: (callback, delayMs) =>
        schedule(() => {
          signature.resolve('signature');
          callback();
        }, delayMs),
    }));
    const first = ask();
    await clock.advance(8000);
    expect(await first).toBe(TIMEOUT);
    expect(seen.sent).toBe(0);
    expect(await ask()).toBe('value');
    expect(seen.sent).toBe(1);
  });

  it('while it waited for its turn asks for no other credential', async () => {
    const { ask, clock, seen, upstream } = await setUpKnown(undefined, {
      attemptTimeoutMs: 600,
      deadlineMs: 600,
    });
    upstream.answer = () => new Promise(() => {});
    // Two try the key, the second after half a second; the third looks for its turn until its time is over.
    const asked = [ask(), ask(), ask()];
    await clock.advance(599);
    expect(seen.sent).toBe(2);
    const { asked: askedInTime } = seen;
    await clock.advance(11);
    expect(await Promise.all(asked)).toEqual(Array(3).fill(TIMEOUT));
    expect(seen.asked).toBe(askedInTime);
    // Only the two that were sent are read on.
    expect(clock.pending).toBe(2);
  });
});

describe('what is asked of the guards', () => {
  it.each([
    ['without', undefined],
    ['with', createRecordingTracer().tracer],
  ])('%s traces, is asked right before the fetch: nothing is awaited in between', async (_with, tracer) => {
    let isSameTurn = false;
    const turns: boolean[] = [];
    const { ask } = setUp((clock) => ({
      // The guards are asked with the time of that moment.
      elapsed: () => {
        isSameTurn = true;
        queueMicrotask(() => {
          isSameTurn = false;
        });
        return clock.elapsed();
      },
      fetch: async () => {
        turns.push(isSameTurn);
        return new Response('{}');
      },
      ...(tracer && { tracer }),
    }));
    expect(await ask()).toBe('value');
    expect(turns).toEqual([true]);
  });
});

describe('an attempt', () => {
  it('has a signal of its own', async () => {
    const { ask, seen, upstream } = setUp();
    upstream.answer = () => new Response('', { status: seen.sent === 1 ? 500 : 200 });
    expect(await ask()).toBe('value');
    expect(new Set(seen.signals).size).toBe(2);
    expect(seen.signals.map((signal) => signal?.aborted)).toEqual([false, false]);
  });

  it('is counted as a retry when it is the second of a call', async () => {
    const { ask, seen, upstream } = setUp();
    await ask();
    expect(seen.retried).toBe(0);
    upstream.answer = () => new Response('', { status: 500 });
    await ask();
    expect([seen.sent, seen.retried]).toEqual([3, 1]);
  });
});

describe('a call that was given up', () => {
  const answerAfter = (clock: ReturnType<typeof createFakeClock>, ms: number, make: () => Response) => () =>
    new Promise<Response>((resolve) => clock.schedule(() => resolve(make()), ms));
  const rejected = () => new Response('', { status: 401 });

  it('and is rejected after 6 seconds counts: 2 rejected calls in 5 minutes, however many callers keep asking', async () => {
    const { ask, clock, seen, upstream } = await setUpKnown();
    upstream.answer = answerAfter(clock, 6000, rejected);
    const asked: Promise<string>[] = [];
    for (let second = 0; second < 60; second += 4) {
      asked.push(ask());
      await clock.advance(4000);
    }
    await clock.advance(240_000);
    asked.push(ask());
    expect(seen.sent).toBe(2);
    upstream.answer = () => new Response('{}');
    await clock.advance(15_000);
    await Promise.all(asked);
    expect(await ask()).toBe('value');
  });

  it.each([
    [29_999, 'its answer counts', 'upstream_rejected: locked_out'],
    [30_001, 'nobody waits for it any longer', 'value'],
  ])('is read for 30 seconds: %i ms later %s', async (lateMs, _what, outcome) => {
    const { ask, clock, upstream } = await setUpKnown(undefined, { deadlineMs: 5000 });
    upstream.answer = answerAfter(clock, 5000 + lateMs, rejected);
    const first = ask();
    await clock.advance(500);
    const second = ask();
    await clock.advance(5000);
    expect(await Promise.all([first, second])).toEqual([TIMEOUT, TIMEOUT]);
    upstream.answer = () => new Response('{}');
    await clock.advance(31_000);
    expect(await ask()).toBe(outcome);
    expect(clock.pending).toBe(0);
  });

  it('with a key that was never accepted is the only one: 1 rejected call in 5 minutes', async () => {
    const { ask, clock, seen, upstream } = setUp();
    upstream.answer = answerAfter(clock, 6000, rejected);
    const asked: Promise<string>[] = [];
    for (let second = 0; second < 60; second += 4) {
      asked.push(ask());
      await clock.advance(4000);
    }
    await clock.advance(200_000);
    await Promise.all(asked);
    expect(await ask()).toBe('upstream_rejected: locked_out');
    expect(seen.sent).toBe(1);
  });

  it('holds its place with the key, and gives back its place among all calls', async () => {
    const { ask, clock, seen, upstream } = await setUpKnown(undefined, {
      maxConcurrent: 1,
      deadlineMs: 5000,
    });
    upstream.answer = () => new Promise(() => {});
    for (let call = 0; call < 4; call += 1) {
      const asked = ask();
      await clock.advance(5000);
      expect(await asked).toBe(TIMEOUT);
    }
    expect(seen.sent).toBe(2);
    expect(seen.signals.map((signal) => signal?.aborted)).toEqual([false, false]);
    await clock.advance(25_000);
    expect(seen.signals.map((signal) => signal?.aborted)).toEqual([true, true]);
    upstream.answer = () => new Response('{}');
    expect(await ask()).toBe('value');
  });

  it('and is answered in the end hands its value over, and proves the key', async () => {
    const { ask, background, clock, late, seen, upstream } = await setUpKnown();
    upstream.answer = answerAfter(clock, 6000, () => new Response('{}'));
    const asked = ask();
    await clock.advance(5000);
    // The second attempt is under way when the first is answered.
    expect(late).toEqual([]);
    await clock.advance(1000);
    expect(late).toEqual(['value']);
    await clock.advance(2000);
    expect(await asked).toBe(TIMEOUT);
    await clock.advance(3000);
    expect(late).toEqual(['value', 'value']);
    expect(await Promise.all(background)).toHaveLength(2);
    upstream.answer = () => new Promise(() => {});
    // A key that is proved is used by two at once.
    void ask();
    void ask();
    await clock.advance(1);
    expect(seen.sent).toBe(4);
  });

  it('teaches what it says: a pause, and the log has its status', async () => {
    const { ask, clock, logger, upstream } = setUp(undefined, { deadlineMs: 5000 });
    const throttled = () => new Response('', { status: 429, headers: { 'retry-after': '60' } });
    upstream.answer = answerAfter(clock, 7000, throttled);
    const asked = ask();
    await clock.advance(7000);
    expect(await asked).toBe(TIMEOUT);
    expect(await ask()).toBe('upstream_throttled: throttled');
    expect(logger.lines.at(-1)).toMatchObject({
      message: 'late upstream answer',
      fields: { status: 429, ms: 7000 },
    });
  });

  it('breaks nothing when its value cannot be taken: that is logged', async () => {
    const { background, clock, logger, client, upstream } = setUp();
    upstream.answer = answerAfter(clock, 6000, () => new Response('{}'));
    const onLate = () => {
      throw new TypeError('PLANTED');
    };
    const asked = client.get('/v5/imagecaches', [], () => 'value', onLate).catch(() => 'failed');
    await clock.advance(8000);
    expect(await asked).toBe('failed');
    await clock.advance(5000);
    await Promise.all(background);
    const lines = logger.lines.filter(({ level }) => level === 'error');
    expect(lines).toMatchObject([{ fields: { error: { name: 'TypeError' } } }, {}]);
    expect(JSON.stringify(lines)).not.toContain('PLANTED');
  });
});

describe('a call of one replica among several', () => {
  /** Replicas that say this; what they are told of the call. */
  function replicas(...answers: ('busy' | 'locked_out' | 'ours' | undefined)[]) {
    const told: string[] = [];
    const asked: { readonly isAccepted: boolean; readonly leaseMs: number }[] = [];
    const keyProofs: KeyProofs = {
      async enter(_credential, { isAccepted }, leaseMs) {
        asked.push({ isAccepted, leaseMs });
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        return answer === 'ours' ? { leave: async (verdict) => void told.push(verdict) } : answer;
      },
    };
    return { asked, told, more: () => ({ keyProofs }) };
  }

  it('asks them each time, and tells what the vendor says of the key', async () => {
    const { asked, more, told } = replicas('ours');
    const { ask, upstream } = setUp(more);
    expect(await ask()).toBe('value');
    upstream.answer = () => new Response('', { status: 500 });
    await ask();
    upstream.answer = () => new Response('', { status: 401 });
    await ask();
    expect(told[0]).toBe('accepted');
    expect(new Set(told.slice(1, -1))).toEqual(new Set(['neutral']));
    expect(told.at(-1)).toBe('rejected');
    // 8 seconds until the deadline, 1 for what is late, and 30 in which a late answer is read.
    expect(asked[0]).toEqual({ isAccepted: false, leaseMs: 39_000 });
    expect(asked[1]).toEqual({ isAccepted: true, leaseMs: 39_000 });
  });

  it('waits while they are proving the key', async () => {
    const { asked, more } = replicas('busy', 'busy', 'ours');
    const { ask, clock, seen } = setUp(more);
    const answer = ask();
    await clock.advance(199);
    expect(seen.sent).toBe(0);
    await clock.advance(1);
    expect(await answer).toBe('value');
    expect(asked).toHaveLength(3);
  });

  it('waits until its deadline and no longer, and is not sent then', async () => {
    const { more } = replicas('busy');
    const { ask, clock, seen } = setUp(more);
    const answer = ask();
    await clock.advance(8000);
    expect(await answer).toBe(TIMEOUT);
    await clock.advance(1000);
    expect([seen.sent, clock.pending]).toEqual([0, 0]);
  });

  it('that was allowed after nobody waited any more gives the permission back', async () => {
    const late = Promise.withResolvers<KeyAnswer>();
    const told: string[] = [];
    const { ask, clock, seen } = setUp(() => ({ keyProofs: { enter: () => late.promise } }));
    const answer = ask();
    await clock.advance(8000);
    expect(await answer).toBe(TIMEOUT);
    late.resolve({ leave: async (verdict) => void told.push(verdict) });
    await clock.advance(0);
    expect([told, seen.sent]).toEqual([['neutral'], 0]);
  });

  it('is not made with a key that they have seen rejected, which is asked for again after 5 seconds', async () => {
    const { asked, more } = replicas('locked_out', 'ours');
    const { ask, client, clock, seen } = setUp(more);
    expect(await ask()).toBe('upstream_rejected: locked_out');
    expect(client.standing).toBe('rejected');
    await clock.advance(4999);
    expect(await ask()).toBe('upstream_rejected: locked_out');
    expect([asked.length, seen.sent]).toEqual([1, 0]);
    await clock.advance(1);
    expect(await ask()).toBe('value');
    expect(client.standing).toBe('accepted');
  });

  it('goes by what it knows itself when they cannot be asked', async () => {
    const { more } = replicas(undefined);
    const { ask, seen, upstream } = setUp(more);
    upstream.answer = () => new Response('', { status: 401 });
    await ask();
    await ask();
    expect(seen.sent).toBe(1);
  });
});

describe('a call that waits for its turn', () => {
  it('has its whole attempt timeout from the moment it is sent', async () => {
    const { ask, clock, seen, upstream } = setUp(undefined, { attemptTimeoutMs: 1000 });
    upstream.answer = () => new Promise((resolve) => clock.schedule(() => resolve(new Response('{}')), 900));
    // The key is proved by the first, then two are under way at a time.
    const asked = Array.from({ length: 6 }, ask);
    await clock.advance(8000);
    expect(await Promise.all(asked)).toEqual(Array(6).fill('value'));
    expect(seen.sent).toBe(6);
  });

  it('ends with the deadline all the same', async () => {
    const { ask, clock, seen, upstream } = await setUpKnown(undefined, { attemptTimeoutMs: 7000 });
    upstream.answer = () => new Promise((resolve) => clock.schedule(() => resolve(new Response('{}')), 5000));
    // The second is sent after half a second, the third when the first is answered.
    const asked = [ask(), ask(), ask()];
    await clock.advance(8000);
    expect(await Promise.all(asked)).toEqual(['value', 'value', TIMEOUT]);
    expect(seen.sent).toBe(3);
  });
});
