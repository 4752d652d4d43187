import { describe, expect, it } from 'vitest';
import type { RuleInput } from '../simulator/simulator.ts';
import { type FaultService, LONG_TIMEOUTS, SHORT_TIMEOUTS, startFaultService } from './fault-harness.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const PLANTED = 'PLANTED-upstream-text';

/** What a fault does to a call that cannot fall back on anything. */
interface Expected {
  readonly status: 200 | 502 | 503 | 504;
  readonly code?: string;
  /** Calls that arrive upstream while the fault lasts. */
  readonly calls: number;
  /** The same where a connection was kept from the call before. */
  readonly callsWhenKept?: number;
  readonly retryAfter?: string;
}

const GOOD: Expected = { status: 200, calls: 1 };
/** A fault that may pass: tried twice. */
const FAILED_TWICE: Expected = { status: 502, code: 'upstream_failed', calls: 2 };
/** The same, and once more where a connection was kept: its end says nothing of upstream. */
const NO_ANSWER: Expected = { ...FAILED_TWICE, callsWhenKept: 3 };
const FAILED_ONCE: Expected = { status: 502, code: 'upstream_failed', calls: 1 };
const REFUSED: Expected = { status: 502, code: 'upstream_rejected', calls: 1 };
const TIMED_OUT: Expected = { status: 504, code: 'upstream_timeout', calls: 2 };
const throttled = (retryAfter: string): Expected => ({
  status: 503,
  code: 'upstream_throttled',
  calls: 1,
  retryAfter,
});

type Answer = NonNullable<RuleInput['answer']>;
const refuse = (error: Extract<Answer, { kind: 'refuse' }>['error'], more: object = {}): RuleInput => ({
  answer: { kind: 'refuse', error, ...more },
});
const respond = (answer: Omit<Extract<Answer, { kind: 'respond' }>, 'kind'>): RuleInput => ({
  answer: { kind: 'respond', ...answer },
});

const FAULTS: readonly (readonly [string, RuleInput, Expected])[] = [
  ['no connection', { answer: { kind: 'close' } }, NO_ANSWER],
  ['reset before headers', { answer: { kind: 'reset' } }, NO_ANSWER],
  ['reset after headers', { answer: { kind: 'reset', when: 'after-headers' } }, FAILED_TWICE],
  ['reset in the body', { answer: { kind: 'reset', when: 'mid-body' } }, FAILED_TWICE],
  ['no answer at all', { answer: { kind: 'hang' } }, TIMED_OUT],
  ['slow headers', { slowHeaders: { intervalMs: 100 } }, TIMED_OUT],
  ['slow body', { slowBody: { intervalMs: 100 } }, TIMED_OUT],
  ['a late answer', { delayBeforeHeadersMs: 10_000 }, TIMED_OUT],
  ['content-length too long', { answer: { kind: 'wrong-content-length', differenceBytes: 100 } }, TIMED_OUT],
  ['body cut', { answer: { kind: 'truncate' } }, FAILED_TWICE],
  ['chunked body cut', { answer: { kind: 'truncate', framing: 'chunked' } }, FAILED_TWICE],
  ['invalid JSON', { answer: { kind: 'corrupt', damage: 'invalid-json' } }, FAILED_TWICE],
  ['invalid UTF-8', { answer: { kind: 'corrupt', damage: 'invalid-utf8' } }, FAILED_TWICE],
  ['gzip', { answer: { kind: 'encode', encoding: 'gzip' } }, GOOD],
  ['brotli', { answer: { kind: 'encode', encoding: 'br' } }, GOOD],
  ['deflate', { answer: { kind: 'encode', encoding: 'deflate' } }, GOOD],
  ['gzip cut', { answer: { kind: 'encode', encoding: 'gzip', cut: true } }, FAILED_TWICE],
  ['gzip without a label', { answer: { kind: 'encode', encoding: 'gzip', label: null } }, FAILED_TWICE],
  [
    'gzip labelled identity',
    { answer: { kind: 'encode', encoding: 'gzip', label: 'identity' } },
    FAILED_TWICE,
  ],
  ['plain labelled gzip', { answer: { kind: 'encode', encoding: 'identity', label: 'gzip' } }, FAILED_TWICE],
  ['HTML', { answer: { kind: 'unexpected-body', body: 'html' } }, FAILED_TWICE],
  ['an empty body', { answer: { kind: 'unexpected-body', body: 'empty' } }, FAILED_TWICE],
  ['an empty object', { answer: { kind: 'unexpected-body', body: 'empty-object' } }, GOOD],
  ['null', { answer: { kind: 'unexpected-body', body: 'null' } }, FAILED_TWICE],
  ['an array', { answer: { kind: 'unexpected-body', body: 'array' } }, FAILED_TWICE],
  // A list of one entry, which is none: all of its entries break the model.
  ['deep nesting', { answer: { kind: 'deep', levels: 100_000 } }, FAILED_TWICE],
  ['100 MB', { answer: { kind: 'huge', bodyBytes: 100_000_000 } }, FAILED_ONCE],
  ['a gzip bomb', { answer: { kind: 'gzip-bomb', unpackedBytes: 100_000_000 } }, FAILED_ONCE],
  ['401, unknown key', refuse('unknown-key'), REFUSED],
  ['401, bad signature', refuse('bad-signature'), REFUSED],
  ['401, IAM shape', refuse('iam-unauthorized'), REFUSED],
  ['401, nothing in it', refuse('empty', { status: 401 }), REFUSED],
  ['403', refuse('cce-forbidden'), REFUSED],
  ['404', refuse('not-found'), FAILED_ONCE],
  ['429', refuse('throttled'), throttled('1')],
  ['429 with seconds', refuse('throttled', { retryAfterSeconds: 40 }), throttled('40')],
  ['500', refuse('internal'), FAILED_TWICE],
  ['502 with HTML', refuse('bad-gateway-html'), FAILED_TWICE],
  ['503', refuse('unavailable'), FAILED_TWICE],
  ['504', refuse('gateway-timeout'), FAILED_TWICE],
  ['302 elsewhere', { answer: { kind: 'redirect', location: `http://127.0.0.1:1/${PLANTED}` } }, FAILED_ONCE],
  ['302 to the same', { answer: { kind: 'redirect' } }, FAILED_ONCE],
  ['an error as 200', respond({ json: { error_code: 'APIGW.0301', error_msg: PLANTED } }), FAILED_TWICE],
  ['early hints', { earlyHints: true }, GOOD],
  [
    'hostile headers',
    respond({
      json: { image_caches: [], [PLANTED]: PLANTED },
      headers: [
        ['Date', 'Fri, 31 Dec 9999 23:59:59 GMT'],
        ['X-Request-Id', PLANTED],
        ['X-Request-Id', `${PLANTED}\t`],
        ['Set-Cookie', PLANTED],
        ['Cache-Control', 'public, max-age=31536000'],
      ],
    }),
    GOOD,
  ],
];

interface State {
  /** How old the list is when the fault begins; undefined: none is held. */
  readonly ageMs: number | undefined;
  readonly outcome: 'fault' | 'hit' | 'stale' | 'stale_error';
}

/** Fresh for 30 seconds, then 5 minutes, then an hour: the ends are added up. */
const STATES: Readonly<Record<string, State>> = {
  cold: { ageMs: undefined, outcome: 'fault' },
  fresh: { ageMs: 20 * SECOND, outcome: 'hit' },
  'stale while revalidate': { ageMs: 2 * MINUTE, outcome: 'stale' },
  'stale if error': { ageMs: 30 * MINUTE, outcome: 'stale_error' },
  past: { ageMs: 2 * HOUR, outcome: 'fault' },
};

async function meetFault(service: FaultService, rule: RuleInput, { ageMs }: State): Promise<Response> {
  const { simulator } = service;
  if (ageMs !== undefined) {
    expect((await service.get()).status).toBe(200);
    service.advance(ageMs);
    simulator.forgetRequests();
  }
  simulator.script({ ...rule, times: 'always' });
  const response = await service.get();
  await service.settled();
  return response;
}

describe.each(FAULTS)('%s', (_name, rule, expected) => {
  it.each(Object.entries(STATES))('%s', async (_state, state) => {
    const timeouts = expected === TIMED_OUT ? SHORT_TIMEOUTS : LONG_TIMEOUTS;
    const service = await startFaultService(timeouts);
    try {
      const response = await meetFault(service, rule, state);
      const text = await response.text();
      const { outcome } = state;
      const isGood = outcome !== 'fault' || expected.status === 200;
      expect(response.status).toBe(isGood ? 200 : expected.status);
      const { calls, callsWhenKept = calls } = expected;
      const callsOfMiss = state.ageMs === undefined ? calls : callsWhenKept;
      expect(service.simulator.count('/v5/imagecaches')).toBe(outcome === 'hit' ? 0 : callsOfMiss);

      const cacheStatus = response.headers.get('cache-status');
      if (!isGood) {
        expect(JSON.parse(text)).toMatchObject({ code: expected.code, status: expected.status });
        expect(response.headers.get('content-type')).toBe('application/problem+json');
        expect(response.headers.get('cache-control')).toBe('no-store');
        expect(response.headers.get('retry-after')).toBe(expected.retryAfter ?? null);
        expect(cacheStatus).toBeNull();
      } else if (outcome === 'hit') {
        expect(cacheStatus).toMatch(/^imagecaches; hit; ttl=\d+$/);
      } else if (outcome === 'stale') {
        expect(cacheStatus).toMatch(/^imagecaches; hit; ttl=-\d+; detail=stale-while-revalidate$/);
        expect(response.headers.get('cache-control')).toBe('private, max-age=0');
      } else if (expected.status !== 200) {
        expect(cacheStatus).toMatch(/^imagecaches; fwd=stale; ttl=-\d+; detail=stale-if-error$/);
        expect(Number(response.headers.get('age'))).toBeGreaterThanOrEqual(1800);
      } else {
        expect(cacheStatus).toMatch(/^imagecaches; fwd=(?:miss|stale); stored$/);
      }

      // Nothing that came of a fault is kept: what is held now is what was held before.
      service.simulator.clearScript();
      service.simulator.forgetRequests();
      const before = isGood && outcome !== 'hit' && expected.status === 200;
      const after = await service.get();
      if (before) expect(after.headers.get('cache-status')).toMatch(/; hit; ttl=\d+$/);
      else if (outcome === 'fault' && expected.retryAfter === '40') expect(after.status).toBe(503);
      // A key that was never accepted has one call.
      else if (state === STATES.cold && expected === REFUSED) expect(after.status).toBe(502);
      else expect(after.status).toBe(200);

      expect(
        text + JSON.stringify([...response.headers]) + JSON.stringify(service.logger.lines),
      ).not.toContain(PLANTED);
      expect(
        service.logger.lines.filter(
          ({ level, message }) => level === 'error' && message === 'internal error',
        ),
      ).toEqual([]);
    } finally {
      await service.stop();
    }
  });
});

describe('a refused credential', () => {
  it('ends stale data after 60 seconds', async () => {
    const service = await startFaultService(LONG_TIMEOUTS);
    try {
      await service.get();
      service.advance(2 * MINUTE);
      service.simulator.script({ ...refuse('unknown-key'), times: 'always' });
      expect((await service.get()).status).toBe(200);
      await service.settled();
      service.advance(59 * SECOND);
      expect((await service.get()).status).toBe(200);
      await service.settled();
      service.advance(SECOND);
      const response = await service.get();
      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({ code: 'upstream_rejected' });
      // The two refusals, and nothing after them.
      expect(service.simulator.count('/v5/imagecaches')).toBe(1 + 2);
    } finally {
      await service.stop();
    }
  });
});

describe('a clock that is off', () => {
  it('is corrected by what the gateway says, and the caller does not notice', async () => {
    const service = await startFaultService(LONG_TIMEOUTS);
    try {
      service.simulator.setClockSkewMs(2 * HOUR);
      expect((await service.get()).status).toBe(200);
      expect(service.simulator.requests.map(({ authentication }) => authentication)).toHaveLength(2);
      expect(service.simulator.requests.at(-1)?.authentication).toBe('accepted');
    } finally {
      await service.stop();
    }
  });
});

describe('a connection that the gateway has just closed', () => {
  it('costs the caller nothing', async () => {
    const service = await startFaultService(LONG_TIMEOUTS);
    try {
      expect((await service.get()).status).toBe(200);
      service.advance(2 * HOUR);
      service.simulator.script({ match: { reusedSocket: true }, answer: { kind: 'reset' } });
      expect((await service.get()).status).toBe(200);
      expect(service.simulator.count('/v5/imagecaches')).toBe(3);
    } finally {
      await service.stop();
    }
  });
});

describe('a name that does not resolve', () => {
  it('is a failure like any other', async () => {
    const cause = Object.assign(new Error(PLANTED), { code: 'ENOTFOUND' });
    const service = await startFaultService(LONG_TIMEOUTS, {
      fetch: () => Promise.reject(new TypeError('fetch failed', { cause })),
    });
    try {
      const response = await service.get();
      expect(response.status).toBe(502);
      expect(JSON.stringify(service.logger.lines)).toContain('ENOTFOUND');
      expect((await response.text()) + JSON.stringify(service.logger.lines)).not.toContain(PLANTED);
    } finally {
      await service.stop();
    }
  });
});
