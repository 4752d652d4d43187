import { describe, expect, it } from 'vitest';
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
      logger: createRecordingLogger(),
      metrics: {
        ...NO_METRICS,
        upstreamRetried: () => {
          seen.retried += 1;
        },
      },
      ...more(clock),
    },
  );
  const ask = () => client.get('/v5/imagecaches', [], () => 'value').catch((error: Error) => error.message);
  return { ask, clock, seen, upstream };
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
    await clock.advance(5000);
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
    await clock.advance(5000);
    expect(await first).toBe(TIMEOUT);
    expect(seen.sent).toBe(0);
    expect(await ask()).toBe('value');
    expect(seen.sent).toBe(1);
  });

  it('while it waited for its turn asks for no other credential', async () => {
    const { ask, clock, seen, upstream } = setUp(undefined, { attemptTimeoutMs: 600, deadlineMs: 600 });
    upstream.answer = () => new Promise(() => {});
    // Two try the key, the second after half a second; the third looks for its turn until its time is over.
    const asked = [ask(), ask(), ask()];
    await clock.advance(599);
    expect(seen.sent).toBe(2);
    const { asked: askedInTime } = seen;
    await clock.advance(11);
    expect(await Promise.all(asked)).toEqual(Array(3).fill(TIMEOUT));
    expect(seen.asked).toBe(askedInTime);
    expect(clock.pending).toBe(0);
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
