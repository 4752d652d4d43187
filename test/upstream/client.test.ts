import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CredentialProvider, CredentialUnavailableError } from '../../src/credentials/provider.ts';
import { NO_METRICS, type TargetMetrics } from '../../src/observability/metrics.ts';
import type { Fetch } from '../../src/platform/fetch.ts';
import type { Credential, KeyPair } from '../../src/signing/credential.ts';
import { signRequest } from '../../src/signing/sign-request.ts';
import { createUpstreamClient, type UpstreamClientParts } from '../../src/upstream/client.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';
import { createFakeClock, settle } from '../support/fake-clock.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';
import { createRecordingTracer } from '../support/recording-tracer.ts';

/** The breaker is open for 5 seconds at first, and twice as long after each failed probe. */
const FIRST_OPEN_MS = 5000;
/** Fewer calls than 10 in the window do not open the breaker. */
const LEAST_CALLS = 10;
/** A call that waits for the proof of a key looks every 5 ms. */
const TURN_CHECK_MS = 5;
/** A refused key is left alone for 5 minutes, as long as the vendor locks it. */
const LOCK_OUT_MS = 300_000;
/** Two refusals in a row end the use of a key: the vendor locks it after more than 5. */
const MAX_REFUSALS = 2;
/** Retries are a tenth of the calls at most. */
const CALLS_PER_RETRY = 10;
/** A new budget holds 3 retries. */
const RETRY_RESERVE = 3;

const MINUTE = 60_000;
const CONFIG = {
  endpoint: 'https://cce.example.test',
  projectId: undefined,
  connectTimeoutMs: 2000,
  attemptTimeoutMs: 5000,
  deadlineMs: 8000,
  maxConcurrent: 32,
};

function credential(accessKeyId: string): Credential {
  return Object.freeze({ accessKeyId, secretAccessKey: `secret-of-${accessKeyId}` });
}

type Answer = () => Response | Promise<Response>;

const ok: Answer = () => new Response('{}');
const status =
  (code: number, headers: Record<string, string> = {}, body = ''): Answer =>
  () =>
    new Response(body, { status: code, headers });
const reset: Answer = () => Promise.reject(new TypeError('fetch failed'));
const hang: Answer = () => new Promise(() => {});

function clockRefusal(serverTime: string): Answer {
  const body = { error_code: 'APIGW.0301', error_msg: `signature expired, server time:${serverTime}` };
  return () => Response.json(body, { status: 401 });
}

/** The time of an X-Sdk-Date. */
function timeOf(sdkDate: string): number {
  return Date.parse(sdkDate.replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'));
}

interface Call {
  readonly atMs: number;
  readonly accessKeyId: string;
  readonly sdkDate: string;
  readonly headers: Headers;
  readonly url: string;
}

function setUp(more: Partial<UpstreamClientParts> = {}, config: Partial<typeof CONFIG> = {}) {
  const clock = createFakeClock();
  const logger = createRecordingLogger();
  const calls: Call[] = [];
  const source: { current: Credential; next: Credential | undefined } = {
    current: credential('AK1'),
    next: undefined,
  };
  const provider: CredentialProvider = {
    get: () => source.current,
    reload: async () => {
      if (source.next === undefined) return false;
      source.current = source.next;
      source.next = undefined;
      return true;
    },
    usable: () => true,
    warm: async () => undefined,
  };
  const measured: [string, unknown][] = [];
  const metrics: TargetMetrics = {
    ...NO_METRICS,
    upstreamAnswered: (result) => measured.push(['answered', result]),
    upstreamRetried: () => measured.push(['retried', 1]),
    upstreamInFlight: (change) => measured.push(['inFlight', change]),
    breakerChanged: (state) => measured.push(['breaker', state]),
    clockSkewMeasured: (skewMs) => measured.push(['skew', skewMs]),
  };
  const upstream = { answer: ok };
  const client = createUpstreamClient(
    { ...CONFIG, ...config },
    {
      fetch: (url, init) => {
        const headers = new Headers(init.headers);
        const accessKeyId = /Access=([^,]+)/.exec(headers.get('authorization') ?? '')?.[1] ?? '';
        calls.push({
          atMs: clock.now(),
          accessKeyId,
          sdkDate: headers.get('x-sdk-date') ?? '',
          headers,
          url,
        });
        return Promise.resolve(upstream.answer());
      },
      now: clock.now,
      elapsed: clock.elapsed,
      schedule: clock.schedule,
      waitUntil: () => undefined,
      random: () => 0,
      credentials: provider,
      logger,
      metrics,
      ...more,
    },
  );
  const get = () => client.get('/v5/imagecaches', [], () => 'value');
  /** The outcome in a word: the value, or the reason and the seconds to wait. */
  const ask = () =>
    get().catch((error: unknown) => {
      if (!(error instanceof UpstreamError)) throw error;
      return [error.kind, error.reason, error.retryAfterSeconds]
        .filter((part) => part !== undefined)
        .join(' ');
    });
  return { ask, calls, client, clock, get, logger, measured, source, upstream };
}

describe('a call', () => {
  it.each([
    ['https://cce.example.test', 'cce.example.test', '/v5/imagecaches'],
    ['https://gateway.example.test:8443/cloud/cce', 'gateway.example.test:8443', '/cloud/cce/v5/imagecaches'],
  ])('goes below the endpoint %s, and is signed as it goes', async (endpoint, host, path) => {
    const { calls, client, clock, source } = setUp({}, { endpoint });
    await client.get('/v5/imagecaches', [['name', 'web.base-1']], () => 'value');
    await client.get('/v5/imagecaches', [], () => 'value');
    expect(calls.map(({ url }) => url)).toEqual([
      `https://${host}${path}?name=web.base-1`,
      `https://${host}${path}`,
    ]);
    for (const { url, headers } of calls) {
      const request = { method: 'GET', url: new URL(url) };
      const signed = await signRequest(request, source.current as KeyPair, { nowMs: clock.now() });
      expect(headers.get('authorization')).toBe(signed.headers.authorization);
    }
  });
});

it('the request id of the vendor is logged when it has a form of theirs: up to 128 letters, digits and hyphens', async () => {
  const { ask, logger, upstream } = setUp();
  const ids = ['a-B-9', 'x'.repeat(128), 'x'.repeat(129), 'PLANTED text'];
  for (const id of ids) {
    upstream.answer = status(200, { 'x-request-id': id }, '{}');
    expect(await ask()).toBe('value');
  }
  expect(logger.lines.map(({ fields }) => fields.vendorRequestId)).toEqual([
    'a-B-9',
    'x'.repeat(128),
    undefined,
    undefined,
  ]);
});

describe('retry', () => {
  it('is made once, for faults that may pass', async () => {
    for (const [answer, calls] of [
      [status(500), 2],
      [status(503), 2],
      [reset, 2],
      [status(404), 1],
      [status(302), 1],
      [status(403), 1],
      [status(429), 1],
    ] as const) {
      const service = setUp();
      service.upstream.answer = answer;
      await service.ask();
      expect(service.calls).toHaveLength(calls);
    }
  });

  it('comes after a pause of up to 200 ms, at random', async () => {
    const { ask, calls, clock, upstream } = setUp({ random: () => 0.5 });
    upstream.answer = status(500);
    const pending = ask();
    await clock.scheduled(100);
    upstream.answer = ok;
    await clock.advance(100);
    expect(await pending).toBe('value');
    expect(calls.map(({ atMs }) => atMs - (calls[0]?.atMs ?? 0))).toEqual([0, 100]);
  });

  it('stays within a tenth of the calls, after a small reserve', async () => {
    const { ask, calls, clock, upstream } = setUp();
    const asked = 200;
    for (let call = 0; call < asked; call += 1) {
      // Every other call fails at first, so that the breaker stays closed for want of failures in its window.
      upstream.answer = call % 10 === 0 ? status(500) : ok;
      await ask();
      await clock.advance(2000);
    }
    expect(calls.length).toBeLessThanOrEqual(asked + asked / CALLS_PER_RETRY + RETRY_RESERVE);
    expect(calls.length).toBeGreaterThan(asked + 10);
  });

  it('ends when the budget is spent', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = status(500);
    for (let call = 0; call < 8; call += 1) {
      await ask();
      await clock.advance(15_000);
    }
    expect(calls).toHaveLength(8 + RETRY_RESERVE);
  });

  it('under changed circumstances costs nothing of the budget', async () => {
    const { ask, calls, clock, source, upstream } = setUp();
    upstream.answer = status(500);
    for (let call = 0; call < 8; call += 1) {
      await ask();
      await clock.advance(15_000);
    }
    const sent = calls.length;
    source.next = credential('AK2');
    upstream.answer = () => (calls.at(-1)?.accessKeyId === 'AK2' ? ok() : status(403)());
    expect(await ask()).toBe('value');
    expect(calls).toHaveLength(sent + 2);
  });

  it('waits for Retry-After where the deadline allows', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = status(429, { 'retry-after': '3' });
    const pending = ask();
    await clock.scheduled(3000);
    upstream.answer = ok;
    await clock.advance(3000);
    expect(await pending).toBe('value');
    expect(calls.map(({ atMs }) => atMs - (calls[0]?.atMs ?? 0))).toEqual([0, 3000]);
  });

  it('makes no call before Retry-After is over', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = status(429, { 'retry-after': '30' });
    expect(await ask()).toBe('upstream_throttled throttled 30');
    upstream.answer = ok;
    await clock.advance(10_000);
    expect(await ask()).toBe('upstream_throttled throttled 20');
    expect(calls).toHaveLength(1);
    await clock.advance(20_000);
    expect(await ask()).toBe('value');
  });
});

describe('a connection that was used before and is closed by the other end', () => {
  const closed: Answer = () =>
    Promise.reject(Object.assign(new TypeError('no answer'), { noAnswer: 'reused_connection' }));

  it('is tried again at once, costs nothing of the budget and is no ill health, however often it happens', async () => {
    const { ask, calls, clock, logger, measured, upstream } = setUp();
    for (let load = 0; load < 24; load += 1) {
      const before = calls.length;
      upstream.answer = () => (calls.length === before + 1 ? closed() : ok());
      expect(await ask()).toBe('value');
      expect(calls).toHaveLength(before + 2);
      await clock.advance(100);
    }
    expect(measured.filter(([name]) => name === 'breaker')).toEqual([]);
    expect(measured.filter(([name, result]) => name === 'answered' && result !== 'ok')).toEqual([]);
    expect(logger.lines.filter(({ level }) => level !== 'info')).toEqual([]);
  });

  it('is tried again once: the next one has the retry of any call', async () => {
    const { ask, calls, upstream } = setUp();
    upstream.answer = closed;
    expect(await ask()).toBe('upstream_failed connection');
    expect(calls).toHaveLength(3);
    upstream.answer = () => (calls.length === 4 ? closed() : status(500)());
    expect(await ask()).toBe('upstream_failed status');
    expect(calls).toHaveLength(6);
  });
});

describe('circuit breaker', () => {
  it('opens after enough failures, probes with one call at a time, and closes with a success', async () => {
    const { ask, calls, clock, measured, upstream } = setUp();
    upstream.answer = status(404);
    for (let call = 0; call < LEAST_CALLS; call += 1) expect(await ask()).toMatch(/^upstream_failed/);
    for (let call = 0; call < 100; call += 1) expect(await ask()).toBe('overloaded breaker_open 5');
    expect(calls).toHaveLength(LEAST_CALLS);

    await clock.advance(FIRST_OPEN_MS);
    const gate = Promise.withResolvers<Response>();
    upstream.answer = () => gate.promise;
    const probe = ask();
    // Signing takes its time, and the next call must find the probe under way.
    await settle();
    expect(calls).toHaveLength(LEAST_CALLS + 1);
    expect(await ask()).toBe('overloaded breaker_open 1');
    gate.resolve(new Response('', { status: 500 }));
    expect(await probe).toMatch(/^upstream_failed/);
    await clock.advance(2 * FIRST_OPEN_MS - 1);
    expect(await ask()).toBe('overloaded breaker_open 1');
    await clock.advance(1);
    upstream.answer = ok;
    expect(await ask()).toBe('value');
    expect(await ask()).toBe('value');
    expect(measured.filter(([name]) => name === 'breaker').map(([, state]) => state)).toEqual([
      'open',
      'half_open',
      'open',
      'half_open',
      'closed',
    ]);
  });

  it('does not count refusals, nor what is fewer than half', async () => {
    const { ask, clock, measured, upstream } = setUp();
    for (let call = 0; call < 40; call += 1) {
      upstream.answer = call % 3 === 0 ? status(404) : ok;
      await ask();
      await clock.advance(100);
    }
    expect(measured.filter(([name]) => name === 'breaker')).toEqual([]);
  });

  it('lets another probe out when one was lost', async () => {
    const { ask, clock, upstream, calls } = setUp();
    upstream.answer = status(404);
    for (let call = 0; call < LEAST_CALLS; call += 1) await ask();
    await clock.advance(FIRST_OPEN_MS);
    upstream.answer = hang;
    const lost = ask();
    await clock.advance(5000);
    await clock.advance(5000);
    expect(await lost).toMatch(/timeout/);
    await clock.advance(60_000);
    upstream.answer = ok;
    expect(await ask()).toBe('value');
    expect(calls.length).toBeGreaterThan(LEAST_CALLS);
  });
});

describe('calls at once', () => {
  it('are bounded, and the rest is shed at once', async () => {
    const { ask, calls, clock, measured, upstream } = setUp({}, { maxConcurrent: 3 });
    expect(await ask()).toBe('value');
    const gate = Promise.withResolvers<void>();
    upstream.answer = async () => {
      await gate.promise;
      return new Response('{}');
    };
    const let3In = [ask(), ask(), ask()];
    await settle();
    expect(calls).toHaveLength(1 + MAX_REFUSALS);
    expect(await Promise.all([ask(), ask()])).toEqual(Array(2).fill('overloaded too_many_in_flight 1'));
    // Two are sent, the third waits for its turn with the key.
    expect(calls).toHaveLength(1 + MAX_REFUSALS);
    gate.resolve();
    await clock.advance(TURN_CHECK_MS);
    expect(await Promise.all(let3In)).toEqual(Array(3).fill('value'));
    expect(calls).toHaveLength(4);
    expect(await ask()).toBe('value');
    const changes = measured.filter(([name]) => name === 'inFlight').map(([, change]) => change as number);
    expect(changes.reduce((sum, change) => sum + change, 0)).toBe(0);
  });
});

describe('the vendor clock', () => {
  it('is followed after a refused date, at once and from then on', async () => {
    const { ask, calls, measured, upstream, logger } = setUp();
    // Ours is 2026-01-02T03:04:05Z.
    upstream.answer = () => {
      upstream.answer = ok;
      return clockRefusal('20260102T050000Z')() as Response;
    };
    expect(await ask()).toBe('value');
    expect(calls.map(({ sdkDate }) => sdkDate)).toEqual(['20260102T030405Z', '20260102T050000Z']);
    expect(await ask()).toBe('value');
    expect(calls.at(-1)?.sdkDate).toBe('20260102T050000Z');
    expect(measured).toContainEqual(['skew', 6_955_000]);
    expect(logger.lines.filter(({ message }) => message === 'the vendor refused our date')).toHaveLength(1);
  });

  it('is followed by a call that was signed before another one corrected it', async () => {
    const { ask, calls, clock, measured, source, upstream } = setUp();
    const gates = [Promise.withResolvers<Response>(), Promise.withResolvers<Response>()] as const;
    upstream.answer = () => (gates[calls.length - 1] ?? { promise: ok() }).promise;
    const first = ask();
    await clock.advance(1);
    source.current = credential('AK2');
    const second = ask();
    await clock.advance(1);
    expect(calls).toHaveLength(2);
    for (const gate of gates) {
      gate.resolve(await clockRefusal('20260102T050000Z')());
      await clock.advance(1);
    }
    // The new key is tried by one call at a time.
    await clock.advance(10);
    expect(await Promise.all([first, second])).toEqual(['value', 'value']);
    expect(calls).toHaveLength(4);
    expect(measured.filter(([name]) => name === 'skew')).toHaveLength(2);
  });

  it('that two calls under way were signed without locks no key: both rejections count once', async () => {
    const { ask, calls, clock, upstream } = setUp();
    expect(await ask()).toBe('value');
    const gates = [Promise.withResolvers<Response>(), Promise.withResolvers<Response>()] as const;
    upstream.answer = () => (gates[calls.length - 2] ?? { promise: ok() }).promise;
    const asked = [ask(), ask()];
    await clock.advance(1);
    expect(calls).toHaveLength(3);
    for (const gate of gates) gate.resolve(await clockRefusal('20260102T050000Z')());
    await clock.advance(50);
    expect(await Promise.all(asked)).toEqual(['value', 'value']);
    // A rejection that follows is the second in a row all the same.
    upstream.answer = clockRefusal('20260102T060000Z');
    expect(await ask()).toBe('upstream_rejected clock');
    expect(await ask()).toBe('upstream_rejected locked_out');
  });

  it.each([
    [30 * 60, 0],
    [20, 20],
    [-20, -20],
  ])(
    'that is %i minutes ahead shows in the gauge, whatever the wording; corrected: %i',
    async (aheadMinutes, skew) => {
      const { ask, calls, clock, measured, upstream } = setUp();
      const date = new Date(clock.now() + aheadMinutes * MINUTE).toUTCString();
      const wrong = status(
        401,
        { date },
        '{"error_code":"APIGW.0301","error_msg":"verify aksk signature fail"}',
      );
      upstream.answer = () => (calls.length === 1 ? wrong() : ok());
      expect(await ask()).toBe(skew === 0 ? 'upstream_rejected clock' : 'value');
      expect(measured).toContainEqual(['skew', aheadMinutes * MINUTE]);
      // The date is compared with the one that was signed: now the wrong secret is not taken for the clock.
      if (skew === 0) return;
      upstream.answer = status(401, { date });
      expect(await ask()).toBe('upstream_rejected refused');
    },
  );

  it('is no reason to try again when the call was signed with it', async () => {
    const { ask, calls, upstream } = setUp();
    const refusal = clockRefusal('20260102T050000Z');
    upstream.answer = () => (calls.length === 1 ? refusal() : ok());
    expect(await ask()).toBe('value');
    upstream.answer = refusal;
    expect(await ask()).toBe('upstream_rejected clock');
    expect(calls).toHaveLength(3);
  });

  it('is not believed beyond 24 hours', async () => {
    const { ask, calls, upstream } = setUp();
    upstream.answer = clockRefusal('20260105T050000Z');
    expect(await ask()).toBe('upstream_rejected clock');
    expect(calls).toHaveLength(1);
  });
});

describe('refused keys', () => {
  it('are tried twice in 5 minutes, at any request rate', async () => {
    const { ask, calls, clock, upstream, logger } = setUp();
    expect(await ask()).toBe('value');
    calls.length = 0;
    upstream.answer = status(401);
    const asked: Promise<unknown>[] = [];
    for (let step = 0; step < 239; step += 1) {
      for (let request = 0; request < 20; request += 1) asked.push(ask());
      await clock.advance(5000);
    }
    await Promise.all(asked);
    // Two at first; the lock-out is over 3 times in 20 minutes, and each time one call shows that nothing changed.
    expect(calls).toHaveLength(MAX_REFUSALS + 3);
    for (const [index, { atMs }] of calls.entries()) {
      const earlier = calls[index - MAX_REFUSALS];
      if (earlier !== undefined) expect(atMs - earlier.atMs).toBeGreaterThanOrEqual(LOCK_OUT_MS);
    }
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(4);
  });

  it('that were never accepted are tried once, then after 5, 10, 20, 40 and every 60 minutes', async () => {
    const { ask, calls, clock, upstream, logger } = setUp();
    const startMs = clock.now();
    upstream.answer = status(401);
    for (let minute = 0; minute <= 200; minute += 1) {
      const asked = [ask(), ask(), ask()];
      await clock.advance(MINUTE);
      await Promise.all(asked);
    }
    expect(calls.map(({ atMs }) => (atMs - startMs) / MINUTE)).toEqual([0, 5, 15, 35, 75, 135, 195]);
    expect(logger.lines.filter(({ level }) => level === 'error')).toHaveLength(7);
  });

  it('that were never accepted have another call when the clock was corrected, and no third', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = () => clockRefusal(calls.length === 1 ? '20260102T050000Z' : '20260102T080000Z')();
    expect(await ask()).toBe('upstream_rejected clock');
    for (let second = 0; second < 299; second += 1) {
      expect(await ask()).toBe('upstream_rejected locked_out');
      await clock.advance(1000);
    }
    expect(calls).toHaveLength(2);
  });

  it('work again as soon as they are replaced', async () => {
    const { ask, calls, source, upstream } = setUp();
    expect(await ask()).toBe('value');
    calls.length = 0;
    upstream.answer = status(401);
    await ask();
    await ask();
    expect(await ask()).toBe('upstream_rejected locked_out');
    source.current = credential('AK2');
    upstream.answer = ok;
    expect(await ask()).toBe('value');
    expect(calls.map(({ accessKeyId }) => accessKeyId)).toEqual(['AK1', 'AK1', 'AK2']);
  });

  it('are asked for once a second at most while locked out, and a new one is used at once', async () => {
    const { ask, calls, clock, source, upstream } = setUp();
    upstream.answer = status(401);
    await ask();
    await ask();
    expect(await ask()).toBe('upstream_rejected locked_out');
    source.next = credential('AK2');
    upstream.answer = ok;
    expect(await ask()).toBe('upstream_rejected locked_out');
    await clock.advance(999);
    expect(await ask()).toBe('upstream_rejected locked_out');
    await clock.advance(1);
    expect(await ask()).toBe('value');
    expect(calls.at(-1)?.accessKeyId).toBe('AK2');
  });

  it('are reloaded, and a new one is tried at once', async () => {
    const { ask, calls, source, upstream } = setUp();
    source.next = credential('AK2');
    upstream.answer = () => (calls.at(-1)?.accessKeyId === 'AK2' ? ok() : status(403)());
    expect(await ask()).toBe('value');
    expect(calls.map(({ accessKeyId }) => accessKeyId)).toEqual(['AK1', 'AK2']);
  });

  it('are proved by one call while the others wait', async () => {
    const { ask, calls, clock, upstream } = setUp();
    const gate = Promise.withResolvers<Response>();
    upstream.answer = () => gate.promise;
    const asked = Array.from({ length: 10 }, ask);
    await clock.advance(100);
    expect(calls).toHaveLength(1);
    gate.resolve(new Response('{}'));
    upstream.answer = ok;
    await clock.advance(100);
    expect(await Promise.all(asked)).toEqual(Array(10).fill('value'));
  });

  it('never earn a third refusal in 5 minutes, whatever the vendor answers', async () => {
    const step = fc.oneof(
      fc.record({
        ask: fc.integer({ min: 1, max: 6 }),
        answer: fc.constantFrom('401', '403', 'clock', 'slow', 'reset', 'hang'),
      }),
      fc.record({ wait: fc.integer({ min: 1, max: 2 * MINUTE }) }),
      fc.record({ key: fc.constantFrom('AK1', 'AK2', 'AK3') }),
    );
    const answers: Record<string, Answer> = {
      '401': status(401),
      '403': status(403),
      clock: clockRefusal('20260102T041500Z'),
      slow: status(401),
      reset,
      hang,
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const { ask, calls, clock, source, upstream } = setUp();
        const refused: Call[] = [];
        for (const next of steps) {
          if ('wait' in next) await clock.advance(next.wait);
          else if ('key' in next) source.current = credential(next.key);
          else {
            upstream.answer = async () => {
              const call = calls.at(-1) as Call;
              // So that calls that are let out together are refused together.
              if (next.answer === 'slow') await new Promise<void>((resolve) => clock.schedule(resolve, 50));
              // Those that were signed by the same wrong clock count once.
              const aheadMs = ({ sdkDate, atMs }: Call) => timeOf(sdkDate) - atMs;
              const isSame = (other: Call) =>
                other.accessKeyId === call.accessKeyId && Math.abs(aheadMs(other) - aheadMs(call)) < 1000;
              const isRepeated = next.answer === 'clock' && refused.some(isSame);
              if (['401', '403', 'clock', 'slow'].includes(next.answer) && !isRepeated) refused.push(call);
              return (answers[next.answer] as Answer)();
            };
            const asked = Promise.all(Array.from({ length: next.ask }, ask));
            let isOver = false;
            void asked.then(() => {
              isOver = true;
            });
            // Every call settles within the deadline and one look of those who waited.
            for (let tick = 0; tick < 9 && !isOver; tick += 1) await clock.advance(1000);
            expect(isOver).toBe(true);
          }
        }
        for (const key of ['AK1', 'AK2', 'AK3']) {
          const times = refused.filter(({ accessKeyId }) => accessKeyId === key).map(({ atMs }) => atMs);
          for (const [index, atMs] of times.entries()) {
            const earlier = times[index - MAX_REFUSALS];
            if (earlier !== undefined) expect(atMs - earlier).toBeGreaterThanOrEqual(LOCK_OUT_MS);
          }
        }
        // Calls that were given up are read for 30 seconds more.
        await clock.advance(40_000);
        expect(clock.pending).toBe(0);
      }),
      { numRuns: 25 },
    );
  });
});

describe('the credential', () => {
  it('that cannot be had is no call, and no fault of upstream', async () => {
    const provider: CredentialProvider = {
      get: () => Promise.reject(new CredentialUnavailableError('no_credential')),
      reload: async () => false,
      usable: () => false,
      warm: async () => undefined,
    };
    const { ask, calls, logger, measured } = setUp({ credentials: provider });
    for (let call = 0; call < 20; call += 1)
      expect(await ask()).toBe('credentials_unavailable no_credential');
    expect(calls).toHaveLength(0);
    expect(logger.lines).toEqual([]);
    expect(measured.filter(([name]) => name === 'breaker')).toEqual([]);
  });

  it('brings its project id along', async () => {
    const { ask, calls } = setUp({
      resolveProjectId: async ({ accessKeyId }) => `project-of-${accessKeyId}`,
    });
    await ask();
    expect(calls[0]?.headers.get('x-project-id')).toBe('project-of-AK1');
  });
});

describe('what others learn while a call is prepared', () => {
  it('holds it back: a throttled answer', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = status(429, { 'retry-after': '30' });
    const asked = Array.from({ length: 10 }, ask);
    await clock.advance(100);
    expect(await Promise.all(asked)).toEqual(Array(10).fill('upstream_throttled throttled 30'));
    expect(calls).toHaveLength(1);
  });

  it('holds it back: a breaker that has opened', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = status(404);
    const asked = Array.from({ length: 30 }, ask);
    await clock.advance(1000);
    await Promise.all(asked);
    expect(calls).toHaveLength(LEAST_CALLS);
  });

  it('comes from second attempts too', async () => {
    const { ask, calls, upstream } = setUp();
    upstream.answer = () => (calls.length === 1 ? status(500)() : status(429, { 'retry-after': '60' })());
    expect(await ask()).toBe('upstream_throttled throttled 60');
    upstream.answer = ok;
    expect(await ask()).toBe('upstream_throttled throttled 60');
    expect(calls).toHaveLength(2);
  });

  it('corrects the clock from second attempts too', async () => {
    const { ask, calls, upstream } = setUp();
    upstream.answer = () => (calls.length === 1 ? status(500)() : clockRefusal('20260102T050000Z')());
    expect(await ask()).toBe('upstream_rejected clock');
    upstream.answer = ok;
    expect(await ask()).toBe('value');
    expect(calls.at(-1)?.sdkDate).toBe('20260102T050000Z');
  });
});

describe('an error whose body stalls', () => {
  it('is what its status says, and a refusal is not tried again', async () => {
    const { ask, calls, clock, upstream } = setUp();
    upstream.answer = () =>
      new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), { status: 401 });
    const asked = ask();
    for (let second = 0; second < 8; second += 1) await clock.advance(1000);
    expect(await asked).toBe('upstream_rejected refused');
    expect(calls).toHaveLength(1);
    expect(clock.pending).toBe(0);
  });
});

describe('a credential source that hangs', () => {
  it('ends in time, and is no answer of upstream', async () => {
    const provider: CredentialProvider = {
      get: () => new Promise(() => {}),
      reload: async () => false,
      usable: () => false,
      warm: async () => undefined,
    };
    const { ask, clock, measured } = setUp({ credentials: provider });
    const asked = Array.from({ length: 12 }, ask);
    for (let second = 0; second < 8; second += 1) await clock.advance(1000);
    expect(await Promise.all(asked)).toEqual(Array(12).fill('upstream_timeout timeout'));
    expect(measured.filter(([name]) => name === 'breaker' || name === 'answered')).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  it('does not hold a refused call longer than its deadline', async () => {
    const { ask, clock, upstream } = setUp({
      credentials: {
        get: () => credential('AK1'),
        reload: () => new Promise(() => {}),
        usable: () => true,
        warm: async () => undefined,
      },
    });
    upstream.answer = status(401);
    const asked = ask();
    await clock.advance(8000);
    expect(await asked).toBe('upstream_rejected refused');
    expect(clock.pending).toBe(0);
  });
});

describe('traces', () => {
  function setUpTraced(more: Partial<UpstreamClientParts> = {}, config: Partial<typeof CONFIG> = {}) {
    const { tracer, spans } = createRecordingTracer();
    return { ...setUp({ tracer, ...more }, config), spans };
  }

  it('have a span for each attempt, and nothing of them is sent', async () => {
    const { ask, calls, upstream, spans } = setUpTraced({}, { endpoint: 'http://[::1]:8080' });
    upstream.answer = status(500);
    await ask();
    const attributes = {
      'http.request.method': 'GET',
      'server.address': '::1',
      'server.port': 8080,
      'network.protocol.version': '1.1',
      'url.full': 'http://[::1]:8080/v5/imagecaches',
      'http.response.status_code': 500,
    };
    expect(spans).toMatchObject([
      { kind: 'client', failure: '500', isEnded: true },
      { kind: 'client', failure: '500', isEnded: true },
    ]);
    expect(spans.map((span) => span.attributes)).toEqual([
      attributes,
      { ...attributes, 'http.request.resend_count': 1 },
    ]);
    expect([...(calls[0]?.headers.keys() ?? [])].sort()).toEqual(['accept', 'authorization', 'x-sdk-date']);
  });

  it('name the method and the path of the call, whatever the endpoint and the query', async () => {
    const { client, spans } = setUpTraced({}, { endpoint: 'https://gateway.example.test/cloud' });
    await client.get('/v5/imagecaches', [['name', 'web']], () => 'value');
    await client.get('/v3/clusters', [], () => 'value');
    expect(spans.map(({ name }) => name)).toEqual(['GET /v5/imagecaches', 'GET /v3/clusters']);
    expect(spans.map(({ attributes }) => attributes['url.full'])).toEqual([
      'https://gateway.example.test/cloud/v5/imagecaches?name=web',
      'https://gateway.example.test/cloud/v3/clusters',
    ]);
  });

  it('have none for an attempt that was not sent', async () => {
    const throttled = setUpTraced();
    throttled.upstream.answer = status(429, { 'retry-after': '60' });
    await throttled.ask();
    expect(await throttled.ask()).toBe('upstream_throttled throttled 60');
    expect(throttled.calls).toHaveLength(1);
    expect(throttled.spans).toHaveLength(1);

    const keyless = setUpTraced({
      credentials: {
        get: () => Promise.reject(new CredentialUnavailableError('none')),
        reload: async () => false,
        usable: () => false,
        warm: async () => undefined,
      },
    });
    expect(await keyless.ask()).toBe('credentials_unavailable no_credential');
    expect(keyless.spans).toEqual([]);
  });

  it('tell a call that was given up from one that broke', async () => {
    const heedful: Fetch = (_url, { signal }) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
    const slow = setUpTraced({ fetch: heedful });
    const asked = slow.ask();
    await slow.clock.advance(8000);
    expect(await asked).toBe('upstream_timeout timeout');
    expect(slow.spans[0]).toMatchObject({ failure: 'timeout', isEnded: true });

    const broken = setUpTraced();
    broken.upstream.answer = reset;
    await broken.ask();
    expect(broken.spans[0]).toMatchObject({ failure: 'connection', isEnded: true });
    expect(broken.spans[0]?.attributes).not.toHaveProperty('http.response.status_code');
  });

  it('end with a body that cannot be decoded', async () => {
    const { client, spans } = setUpTraced();
    const decode = () => {
      throw new UpstreamError('upstream_failed', { reason: 'invalid_json' });
    };
    await expect(client.get('/v5/imagecaches', [], decode)).rejects.toThrow(UpstreamError);
    expect(spans[0]).toMatchObject({ failure: 'invalid_json', isEnded: true });
  });
});

describe('a timer that is late', () => {
  it('leaves no time for another attempt, and none that is negative is asked for', async () => {
    let nowMs = 1_800_000_000_000;
    const asked: number[] = [];
    const service = setUp(
      {
        now: () => nowMs,
        schedule: (callback, ms) => {
          asked.push(ms);
          // The pause before the second attempt, which ends 6 ms late.
          if (ms === 1000) {
            nowMs += 1006;
            queueMicrotask(callback);
          }
          return () => undefined;
        },
      },
      { attemptTimeoutMs: 600, deadlineMs: 1500 },
    );
    service.upstream.answer = () => {
      nowMs += 497;
      return status(429, { 'retry-after': '1' })();
    };
    await expect(service.get()).rejects.toMatchObject({ kind: 'upstream_throttled' });
    expect(asked).toContain(1000);
    expect(service.calls).toHaveLength(1);
    expect(Math.min(...asked)).toBeGreaterThanOrEqual(0);
  });
});
