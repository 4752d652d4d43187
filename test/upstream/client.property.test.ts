import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { BreakerState } from '../../src/observability/metrics.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Credential } from '../../src/signing/credential.ts';
import { createUpstreamClient } from '../../src/upstream/client.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger } from '../support/recording-logger.ts';

/** A refused key is left alone for 5 minutes, as long as the vendor locks it. */
const LOCK_OUT_MS = 300_000;
/** Two refusals in a row end the use of a key: the vendor locks it after more than 5. */
const MAX_REFUSALS = 2;
/** Retries are a tenth of the calls at most. */
const CALLS_PER_RETRY = 10;
/** A new budget holds 3 retries. */
const RETRY_RESERVE = 3;

const MAX_CONCURRENT = 6;
const DEADLINE_MS = 8000;
const CONFIG = {
  endpoint: 'https://cce.example.test',
  projectId: undefined,
  connectTimeoutMs: 2000,
  attemptTimeoutMs: 5000,
  deadlineMs: DEADLINE_MS,
  maxConcurrent: MAX_CONCURRENT,
};
const REFUSALS = ['401', '403', 'clock', 'stalled 401'] as const;
const ANSWERS = [
  ...REFUSALS,
  'ok',
  'bad body',
  '404',
  '500',
  'reset',
  'hang',
  '429',
  '429 in 3',
  '429 in 30',
] as const;
type AnswerName = (typeof ANSWERS)[number];

type Step =
  | { readonly ask: number; readonly answers: readonly AnswerName[]; readonly slowMs: number }
  | { readonly waitMs: number }
  | { readonly key: string };

const STEP: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      ask: fc.integer({ min: 1, max: 9 }),
      answers: fc.array(fc.constantFrom(...ANSWERS), { minLength: 1, maxLength: 3 }),
      slowMs: fc.constantFrom(0, 0, 0, 30),
    }),
  },
  { weight: 3, arbitrary: fc.record({ waitMs: fc.constantFrom(1, 900, 6000, 61_000, 301_000) }) },
  { weight: 1, arbitrary: fc.record({ key: fc.constantFrom('AK1', 'AK2') }) },
);

interface SentCall {
  readonly key: string;
  readonly atMs: number;
  readonly state: BreakerState;
  readonly underWay: number;
}

/** Runs the steps and checks at each call, as it is sent, that the guards had to let it out. */
async function run(steps: readonly Step[]): Promise<void> {
  const clock = createFakeClock();
  const sent: SentCall[] = [];
  // Collected and not thrown: the client would take what fetch throws for a lost connection.
  const violations: string[] = [];
  const demand = (holds: boolean, what: string) => {
    if (!holds) violations.push(`${what}, call ${sent.length}`);
  };
  const keys = new Map<
    string,
    {
      isAccepted: boolean;
      wasClockCorrected: boolean;
      refusals: number[];
      clockRefusedAtMs: number;
      underWay: Set<{ atMs: number }>;
    }
  >();
  const keyOf = (id: string) => {
    const known = keys.get(id) ?? {
      isAccepted: false,
      wasClockCorrected: false,
      refusals: [],
      clockRefusedAtMs: Number.NEGATIVE_INFINITY,
      underWay: new Set(),
    };
    keys.set(id, known);
    return known;
  };
  let state: BreakerState = 'closed';
  let heldUntilMs = 0;
  let underWay = 0;
  let inFlight = 0;
  let retries = 0;
  let asked = 0;
  let current: Credential = { accessKeyId: 'AK1', secretAccessKey: 'secret' };
  let next: { answers: readonly AnswerName[]; slowMs: number } = { answers: ['ok'], slowMs: 0 };

  async function answer(name: AnswerName, signal: AbortSignal): Promise<Response> {
    if (next.slowMs > 0) {
      await new Promise<void>((resolve, reject) => {
        const cancel = clock.schedule(resolve, next.slowMs);
        signal.addEventListener('abort', () => {
          cancel();
          reject(new TypeError('aborted'));
        });
      });
    }
    const seconds = /in (\d+)/.exec(name)?.[1];
    switch (name) {
      case 'ok':
        return new Response('{}');
      case 'bad body':
        return new Response('bad');
      case 'clock':
        return Response.json(
          { error_code: 'APIGW.0301', error_msg: 'signature expired, server time:20260102T050000Z' },
          { status: 401 },
        );
      case 'stalled 401':
        return new Response(new ReadableStream({ pull: () => new Promise(() => {}) }), { status: 401 });
      case 'reset':
        throw new TypeError('fetch failed');
      case 'hang':
        return new Promise(() => {});
      default:
        if (seconds !== undefined) heldUntilMs = Math.max(heldUntilMs, clock.now() + Number(seconds) * 1000);
        return new Response('', {
          status: Number(name.slice(0, 3)),
          headers: seconds === undefined ? {} : { 'retry-after': seconds },
        });
    }
  }

  const client = createUpstreamClient(CONFIG, {
    fetch: async (_url, init) => {
      const id = /Access=([^,]+)/.exec(new Headers(init.headers).get('authorization') ?? '')?.[1] as string;
      const key = keyOf(id);
      const nowMs = clock.now();
      demand(nowMs >= heldUntilMs, 'before Retry-After was over');
      demand(state !== 'open', 'while the breaker was open');
      // Those that were given up are only read on.
      const waitedFor = [...keys.values()].flatMap((each) =>
        [...each.underWay].filter(({ atMs }) => nowMs - atMs < CONFIG.attemptTimeoutMs),
      );
      demand(waitedFor.length < (state === 'half_open' ? 1 : MAX_CONCURRENT), 'too many at once');
      // A key that was never accepted has one call, and after 5 minutes another.
      if (!key.isAccepted && nowMs - (key.refusals.at(-1) ?? nowMs) >= LOCK_OUT_MS) key.refusals.length = 0;
      const [last, lastButOne] = [...key.refusals].reverse();
      demand(
        key.isAccepted || last === undefined || key.wasClockCorrected,
        'a second call with a key that was never accepted',
      );
      demand(lastButOne === undefined || nowMs - (last as number) >= LOCK_OUT_MS, 'with a locked key');
      demand(
        last === undefined || lastButOne !== undefined || key.underWay.size === 0,
        'with a refused key that another call was trying',
      );
      if (lastButOne !== undefined) key.refusals.length = 0;
      const call = { atMs: nowMs };
      key.underWay.add(call);
      underWay += 1;
      const name = next.answers[sent.length % next.answers.length] as AnswerName;
      sent.push({ key: id, atMs: nowMs, state, underWay });
      const refusalsBefore = key.refusals.length;
      const signal = init.signal as AbortSignal;
      const finish = () => {
        if (key.underWay.delete(call)) underWay -= 1;
      };
      signal.addEventListener('abort', finish);
      try {
        const response = await answer(name, signal);
        if ((REFUSALS as readonly string[]).includes(name)) {
          // One correction of the clock answers all calls that were sent before it: together they count once.
          if (name === 'clock') key.wasClockCorrected = true;
          const isSame = name === 'clock' && nowMs <= key.clockRefusedAtMs;
          key.clockRefusedAtMs = name === 'clock' ? clock.now() : Number.NEGATIVE_INFINITY;
          // A body that stalls keeps the call under way until it is given up.
          if (name === 'stalled 401') signal.addEventListener('abort', () => key.refusals.push(clock.now()));
          else if (!isSame) key.refusals.push(clock.now());
        } else if (response.status === 200) {
          key.isAccepted = true;
          if (key.refusals.length === refusalsBefore) key.refusals.length = 0;
        }
        if (name !== 'stalled 401') queueMicrotask(finish);
        return response;
      } catch (error) {
        finish();
        throw error;
      }
    },
    now: clock.now,
    elapsed: clock.elapsed,
    schedule: clock.schedule,
    waitUntil: () => undefined,
    random: () => 0.5,
    credentials: {
      get: () => current,
      reload: async () => false,
      usable: () => true,
      warm: async () => undefined,
    },
    logger: createRecordingLogger(),
    metrics: {
      ...NO_METRICS,
      breakerChanged: (changed) => {
        state = changed;
      },
      upstreamRetried: () => {
        retries += 1;
      },
      upstreamInFlight: (change) => {
        inFlight += change;
        demand(inFlight <= MAX_CONCURRENT, 'too many counted as in flight');
      },
    },
  });
  const decode = (body: Uint8Array) => {
    if (body.length !== 2) throw new UpstreamError('upstream_failed', { reason: 'invalid_json' });
    return 'value';
  };

  let corrections = 0;
  for (const step of steps) {
    if ('waitMs' in step) await clock.advance(step.waitMs);
    else if ('key' in step) current = { accessKeyId: step.key, secretAccessKey: 'secret' };
    else {
      next = step;
      if (step.answers.includes('clock')) corrections = 1;
      let settled = 0;
      for (let call = 0; call < step.ask; call += 1) {
        asked += 1;
        client
          .get('/v5/imagecaches', [], decode)
          .catch((error: unknown) => expect(error).toBeInstanceOf(UpstreamError))
          .finally(() => {
            settled += 1;
          });
      }
      for (let tick = 0; tick < DEADLINE_MS / 500 && settled < step.ask; tick += 1) await clock.advance(500);
      expect(violations).toEqual([]);
      expect(settled).toBe(step.ask);
      expect(inFlight).toBe(0);
      // Who waited in vain for a turn looks once more.
      await clock.advance(60);
      // Calls that were given up are read for 30 seconds more.
      expect(clock.pending).toBeLessThanOrEqual(underWay);
    }
  }
  await clock.advance(40_000);
  expect([clock.pending, underWay]).toEqual([0, 0]);
  // A corrected clock earns one try that is no repetition for each call that was refused with the old one.
  const allowance = corrections === 0 ? 0 : MAX_REFUSALS * steps.length;
  expect(retries).toBeLessThanOrEqual(asked / CALLS_PER_RETRY + RETRY_RESERVE + allowance);
}

it('whatever upstream answers, for any caller: no guard is passed that should have held', async () => {
  await fc.assert(fc.asyncProperty(fc.array(STEP, { maxLength: 10 }), run), {
    numRuns: 40,
  });
}, 120_000);
