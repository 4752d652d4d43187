import type { RuleInput } from '../simulator/simulator.ts';

/** Text of upstream that must not come out again. */
export const PLANTED = 'PLANTED-upstream-text';

/** What a fault does to a call that cannot fall back on anything. */
export interface Expected {
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
export const REFUSED: Expected = { status: 502, code: 'upstream_rejected', calls: 1 };
export const TIMED_OUT: Expected = { status: 504, code: 'upstream_timeout', calls: 2 };
const throttled = (retryAfter: string): Expected => ({
  status: 503,
  code: 'upstream_throttled',
  calls: 1,
  retryAfter,
});

type Answer = NonNullable<RuleInput['answer']>;
export const refuse = (
  error: Extract<Answer, { kind: 'refuse' }>['error'],
  more: object = {},
): RuleInput => ({
  answer: { kind: 'refuse', error, ...more },
});
const respond = (answer: Omit<Extract<Answer, { kind: 'respond' }>, 'kind'>): RuleInput => ({
  answer: { kind: 'respond', ...answer },
});

/** What upstream does, and what callers get of it while no list is held. */
export const FAULTS: readonly (readonly [string, RuleInput, Expected])[] = [
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
