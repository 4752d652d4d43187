import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseHttpDate, parseRetryAfter } from '../../src/time/http-date.ts';
import { parseUpstreamFailure } from '../../src/vendor/read-failure.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';

const NOW_MS = Date.UTC(2026, 0, 2, 3, 4, 5);
const NOW_HTTP = 'Fri, 02 Jan 2026 03:04:05 GMT';
/** Texts with a space, which no code and no id may have. */
const SECRET = 'ak HPUA0PLANTED sk 0PLANTED';
const EXPIRED =
  'Incorrect IAM authentication information: calc aksk signature fail:' +
  'signature expired, signature time:20260102T022405Z,server time:20260102T030405Z';

function fail(
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
  nowMs = NOW_MS,
): UpstreamError {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return parseUpstreamFailure(status, new Headers(headers), text, nowMs);
}

/** All that a log, a debugger or a careless `console.log` could show of an error. */
function everythingIn(error: Error): string {
  return [
    String(error),
    error.message,
    error.stack,
    JSON.stringify(error),
    JSON.stringify(Object.getOwnPropertyDescriptors(error)),
    inspect(error, { depth: 10, showHidden: true, getters: true }),
  ].join('\n');
}

describe('UpstreamError', () => {
  it('says what is known and safe', () => {
    const error = new UpstreamError('upstream_rejected', {
      reason: 'refused',
      status: 401,
      vendorCode: 'APIGW.0301',
      vendorRequestId: '2db4dab3ea3849bcb47b6478738635bd',
    });
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe('UpstreamError');
    expect(error.message).toBe(
      'upstream_rejected: refused, status 401, code APIGW.0301, request id 2db4dab3ea3849bcb47b6478738635bd',
    );
  });

  it('needs nothing but a reason', () => {
    const error = new UpstreamError('upstream_timeout', { reason: 'timeout' });
    expect(error.message).toBe('upstream_timeout: timeout');
    expect(error).toMatchObject({
      kind: 'upstream_timeout',
      reason: 'timeout',
      status: undefined,
      vendorCode: undefined,
      vendorRequestId: undefined,
      retryAfterSeconds: undefined,
      serverDateMs: undefined,
    });
    expect(error).not.toHaveProperty('cause');
  });

  it.each([
    ['APIGW.0301', 'APIGW.0301'],
    ['CCE_CM.0003', 'CCE_CM.0003'],
    [400, '400'],
    [-1.5, undefined],
    ['x'.repeat(32), 'x'.repeat(32)],
    ['x'.repeat(33), undefined],
    [`${'x'.repeat(16)}.${'1'.repeat(12)}`, `${'x'.repeat(16)}.${'1'.repeat(12)}`],
    [`${'x'.repeat(17)}.1`, undefined],
    [`x.${'1'.repeat(13)}`, undefined],
    ['1'.repeat(12), '1'.repeat(12)],
    ['1'.repeat(13), undefined],
    ['SKsecret0+/like=this', undefined],
    ['AKEXAMPLE0000000001', undefined],
    ['', undefined],
    ['a b', undefined],
    ['a\n', undefined],
    ['\na', undefined],
    ['é', undefined],
    [1e300, undefined],
  ])('keeps or drops the code %j', (vendorCode, expected) => {
    expect(new UpstreamError('upstream_failed', { reason: 'status', vendorCode }).vendorCode).toBe(expected);
  });

  it.each([
    ['a-B-9', 'a-B-9'],
    ['x'.repeat(128), 'x'.repeat(128)],
    ['x'.repeat(129), undefined],
    ['', undefined],
    ['a_b', undefined],
    ['a b', undefined],
    ['a\n', undefined],
  ])('keeps or drops the request id %j', (vendorRequestId, expected) => {
    const error = new UpstreamError('upstream_failed', { reason: 'status', vendorRequestId });
    expect(error.vendorRequestId).toBe(expected);
  });

  it.each([99, 600, 200.5, -1, 0, Number.NaN, Number.POSITIVE_INFINITY])('drops the status %d', (status) => {
    expect(new UpstreamError('upstream_failed', { reason: 'status', status }).status).toBeUndefined();
  });
});

describe('parseUpstreamFailure', () => {
  it.each([
    [300, 'upstream_failed', 'redirect'],
    [301, 'upstream_failed', 'redirect'],
    [302, 'upstream_failed', 'redirect'],
    [304, 'upstream_failed', 'redirect'],
    [399, 'upstream_failed', 'redirect'],
    [400, 'upstream_failed', 'status'],
    [401, 'upstream_rejected', 'refused'],
    [403, 'upstream_rejected', 'refused'],
    [404, 'upstream_failed', 'status'],
    [408, 'upstream_failed', 'status'],
    [429, 'upstream_throttled', 'throttled'],
    [500, 'upstream_failed', 'status'],
    [502, 'upstream_failed', 'status'],
    [503, 'upstream_failed', 'status'],
    [504, 'upstream_failed', 'status'],
    [204, 'upstream_failed', 'status'],
  ])('status %i alone is %s, %s', (status, kind, reason) => {
    expect(fail(status, '')).toMatchObject({ kind, reason, status, vendorCode: undefined });
    // Whatever the code says: one code has several meanings.
    expect(fail(status, { error_code: 'APIGW.0308' })).toMatchObject({ kind, reason });
    expect(fail(status, { error_code: 'APIGW.0301', error_msg: 'x' })).toMatchObject({ kind, reason });
  });

  it.each([
    [
      'the gateway',
      { error_code: 'APIGW.0301', error_msg: SECRET, request_id: 'from-body' },
      'APIGW.0301',
      'from-body',
    ],
    ['CCE', { errorCode: 'CCE.01400001', errorMessage: SECRET }, 'CCE.01400001', undefined],
    ['CCE with message', { errorCode: 'CCE.01403001', message: SECRET }, 'CCE.01403001', undefined],
    ['IAM', { error: { code: 'IAM.0011', message: SECRET, title: SECRET } }, 'IAM.0011', undefined],
    ['IAM with a number', { error: { code: 401, message: SECRET } }, '401', undefined],
    [
      'Kubernetes',
      { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: SECRET, reason: SECRET, code: 403 },
      '403',
      undefined,
    ],
    ['a numeric errorCode', { kind: 'Status', errorCode: 400, code: 999, message: SECRET }, '400', undefined],
    [
      'a denial',
      { error_code: 'PAP5.0010', error_msg: SECRET, encoded_authorization_message: SECRET },
      'PAP5.0010',
      undefined,
    ],
    [
      'details',
      { code: 'C.0001', message: SECRET, details: [{ error_code: 'X.1', error_msg: SECRET }] },
      'C.0001',
      undefined,
    ],
    [
      'details alone',
      { message: SECRET, details: [{ error_code: 'X.1', error_msg: SECRET }] },
      'X.1',
      undefined,
    ],
    ['details as an object', { details: { errorCode: 'X.2', message: SECRET } }, 'X.2', undefined],
    ['details with code', { details: [{ code: 'X.3' }] }, 'X.3', undefined],
    ['a code that is none, and another', { error_code: SECRET, errorCode: 'CCE.1' }, 'CCE.1', undefined],
    [
      'a code of a wrong type',
      { error_code: { toString: SECRET }, errorCode: [SECRET] },
      undefined,
      undefined,
    ],
    ['a null code', { error_code: null, error: null, details: null }, undefined, undefined],
    ['an id that is none', { error_code: 'X.4', request_id: SECRET }, 'X.4', undefined],
    ['an id that is a number', { request_id: 7 }, undefined, undefined],
    ['unknown members', { [SECRET]: SECRET }, undefined, undefined],
    ['an array', [SECRET], undefined, undefined],
    ['an array in error', { error: [SECRET], details: [[SECRET]] }, undefined, undefined],
    ['null', null, undefined, undefined],
    ['a string', JSON.stringify(SECRET), undefined, undefined],
    ['a number', '7', undefined, undefined],
    ['HTML', `<html><title>${SECRET}</title></html>`, undefined, undefined],
    ['nothing', '', undefined, undefined],
    ['cut JSON', `{"error_code":"APIGW.0301","error_msg":"${SECRET}`, undefined, undefined],
    ['deep nesting', `${'['.repeat(100_000)}`, undefined, undefined],
    [
      'a huge body',
      JSON.stringify({ error_code: 'APIGW.0301', error_msg: SECRET.repeat(20_000) }),
      undefined,
      undefined,
    ],
  ])('reads the code and the id of %s, and keeps none of its text', (_label, body, code, id) => {
    for (const status of [302, 400, 401, 429, 500]) {
      const error = fail(status, body, {
        location: `https://example.com/?${SECRET}`,
        'www-authenticate': SECRET,
      });
      expect(error.vendorCode).toBe(code);
      expect(error.vendorRequestId).toBe(id);
      expect(everythingIn(error)).not.toContain('PLANTED');
    }
  });

  it('looks into a body of 262,144 characters, and into none that is longer', () => {
    const body = JSON.stringify({ error_code: 'APIGW.0301' });
    expect(fail(500, body.padEnd(262_144)).vendorCode).toBe('APIGW.0301');
    expect(fail(500, body.padEnd(262_145)).vendorCode).toBeUndefined();
  });

  it('keeps nothing of the canonical request that a refusal echoes', () => {
    const error = fail(401, {
      error_code: 'APIGW.0301',
      error_msg: `Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:GET|/v5/imagecaches/|name=PLANTED|host:x|x-security-token:PLANTED||host|e3b0`,
      request_id: 'r-1',
    });
    expect(error).toMatchObject({ kind: 'upstream_rejected', reason: 'refused', vendorRequestId: 'r-1' });
    expect(everythingIn(error)).not.toContain('PLANTED');
    expect(everythingIn(error)).not.toContain('imagecaches/');
  });

  it.each([
    [{ 'X-Request-Id': 'h-1', 'X-IAM-Trace-Id': 't-1' }, { request_id: 'b-1' }, 'h-1'],
    [{ 'X-IAM-Trace-Id': 't-1' }, { request_id: 'b-1' }, 'b-1'],
    [{ 'X-IAM-Trace-Id': 't-1' }, {}, 't-1'],
    [{ 'X-Request-Id': 'bad id', 'X-IAM-Trace-Id': 't-1' }, { request_id: 'b-1' }, 'b-1'],
    [{ 'X-Request-Id': 'bad id', 'X-IAM-Trace-Id': 't-1' }, { request_id: 'bad id' }, 't-1'],
    [{ 'X-Request-Id': 'bad id', 'X-IAM-Trace-Id': 'bad id' }, {}, undefined],
    [{}, {}, undefined],
  ])('takes the request id from the best place: %j %j', (headers, body, expected) => {
    expect(fail(500, body, headers as Record<string, string>).vendorRequestId).toBe(expected);
  });

  it('says how long to wait, whatever the status', () => {
    expect(fail(429, '', { 'retry-after': '7' }).retryAfterSeconds).toBe(7);
    expect(fail(503, '', { 'retry-after': 'Fri, 02 Jan 2026 03:05:05 GMT' }).retryAfterSeconds).toBe(60);
    expect(fail(429, '').retryAfterSeconds).toBeUndefined();
    expect(fail(429, '', { 'retry-after': SECRET }).retryAfterSeconds).toBeUndefined();
  });
});

describe('a refusal for our clock', () => {
  const body = { error_code: 'APIGW.0301', error_msg: EXPIRED };

  it('takes the time from Date', () => {
    expect(fail(401, body, { date: 'Fri, 02 Jan 2026 03:04:07 GMT' })).toMatchObject({
      kind: 'upstream_rejected',
      reason: 'clock',
      serverDateMs: NOW_MS + 2000,
    });
  });

  it.each([
    ['no Date', {}],
    ['garbage', { date: SECRET }],
    ['a Date of another form', { date: '2026-01-02T03:04:09Z' }],
    ['a Date too early', { date: 'Fri, 31 Dec 1999 23:59:59 GMT' }],
    ['a Date too late', { date: 'Sat, 01 Jan 2101 00:00:00 GMT' }],
    ['a Date on the wrong weekday', { date: 'Mon, 02 Jan 2026 03:04:09 GMT' }],
  ])('takes it from the text with %s', (_label, headers) => {
    const error = fail(401, body, headers as Record<string, string>);
    expect(error).toMatchObject({ reason: 'clock', serverDateMs: NOW_MS });
    expect(everythingIn(error)).not.toContain('20260102T');
  });

  it.each([
    ['none', 'signature expired'],
    ['a date that does not exist', EXPIRED.replace('server time:20260102', 'server time:20260230')],
    ['hour 25', EXPIRED.replace('server time:20260102T03', 'server time:20260102T25')],
    ['a year too early', EXPIRED.replace('server time:2026', 'server time:1999')],
    ['a year too late', EXPIRED.replace('server time:2026', 'server time:9999')],
    ['another form', EXPIRED.replace(/server time:.*/, 'server time:2026-01-02 03:04:05')],
  ])('tells no time when the text has %s', (_label, error_msg) => {
    expect(fail(401, { ...body, error_msg })).toMatchObject({ reason: 'clock', serverDateMs: undefined });
  });

  it.each([
    ['Fri, 31 Dec 1999 23:59:59 GMT', undefined],
    ['Sat, 01 Jan 2000 00:00:00 GMT', Date.UTC(2000, 0)],
    ['Fri, 31 Dec 2100 23:59:59 GMT', Date.UTC(2101, 0) - 1000],
    ['Sat, 01 Jan 2101 00:00:00 GMT', undefined],
  ])('believes dates of 2000 to 2100: %s', (date, expected) => {
    expect(fail(401, { ...body, error_msg: 'signature expired' }, { date }).serverDateMs).toBe(expected);
  });

  it.each([
    ['another code', 401, { error_code: 'APIGW.0302', error_msg: EXPIRED }],
    ['no code', 401, { error_msg: EXPIRED }],
    ['another text', 401, { error_code: 'APIGW.0301', error_msg: 'server time:20260102T030405Z' }],
    ['text in a member of no meaning', 401, { error_code: 'APIGW.0301', note: EXPIRED }],
    ['another status', 500, body],
    ['a throttle', 429, body],
  ])('is not seen in %s', (_label, status, other) => {
    const error = fail(status, other, { date: NOW_HTTP });
    expect(error.reason).not.toBe('clock');
    expect(error.serverDateMs).toBeUndefined();
  });

  it('is seen in the other shapes too', () => {
    for (const shape of [
      { errorCode: 'APIGW.0301', errorMessage: EXPIRED },
      { errorCode: 'APIGW.0301', message: EXPIRED },
      { error: { code: 'APIGW.0301', message: EXPIRED } },
    ]) {
      expect(fail(403, shape)).toMatchObject({ reason: 'clock', serverDateMs: NOW_MS });
    }
  });
});

describe('parseHttpDate', () => {
  it.each([
    ['Sun, 06 Nov 1994 08:49:37 GMT', Date.UTC(1994, 10, 6, 8, 49, 37)],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Thu, 29 Feb 2024 23:59:59 GMT', Date.UTC(2024, 1, 29, 23, 59, 59)],
    ['Fri, 31 Dec 9999 23:59:59 GMT', Date.UTC(9999, 11, 31, 23, 59, 59)],
    ['Mon, 01 Jan 0001 00:00:00 GMT', Date.parse('0001-01-01T00:00:00Z')],
  ])('reads %s', (text, expected) => {
    expect(parseHttpDate(text)).toBe(expected);
  });

  it.each([
    ['the form of RFC 850', 'Sunday, 06-Nov-94 08:49:37 GMT'],
    ['the form of asctime', 'Sun Nov  6 08:49:37 1994'],
    ['the wrong weekday', 'Mon, 06 Nov 1994 08:49:37 GMT'],
    ['no weekday', '06 Nov 1994 08:49:37 GMT'],
    ['an unknown month', 'Sun, 06 Foo 1994 08:49:37 GMT'],
    ['an unknown weekday', 'Foo, 06 Nov 1994 08:49:37 GMT'],
    ['lower case', 'sun, 06 nov 1994 08:49:37 gmt'],
    ['one digit for the day', 'Sun, 6 Nov 1994 08:49:37 GMT'],
    ['day 0', 'Mon, 00 Nov 1994 08:49:37 GMT'],
    ['29 February of a common year', 'Wed, 29 Feb 2023 00:00:00 GMT'],
    ['hour 24', 'Sun, 06 Nov 1994 24:00:00 GMT'],
    ['second 60', 'Sun, 06 Nov 1994 08:49:60 GMT'],
    ['another zone', 'Sun, 06 Nov 1994 08:49:37 UTC'],
    ['an offset', 'Sun, 06 Nov 1994 08:49:37 +0000'],
    ['something before', 'x Sun, 06 Nov 1994 08:49:37 GMT'],
    ['something after', 'Sun, 06 Nov 1994 08:49:37 GMTx'],
    ['a line end after', 'Sun, 06 Nov 1994 08:49:37 GMT\n'],
    ['nothing', ''],
  ])('refuses %s', (_label, text) => {
    expect(parseHttpDate(text)).toBeUndefined();
  });

  it('reads every second back that the platform prints', () => {
    fc.assert(
      fc.property(fc.integer({ min: -62_135_596_800, max: 253_402_300_799 }), (seconds) => {
        expect(parseHttpDate(new Date(seconds * 1000).toUTCString())).toBe(seconds * 1000);
      }),
    );
  });

  it('never throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ maxLength: 100 }), fc.string({ unit: 'binary', maxLength: 100 })),
        (text) => {
          expect(parseHttpDate(text)).toBeUndefined();
        },
      ),
    );
  });
});

describe('parseRetryAfter', () => {
  it.each([
    [null, undefined],
    ['0', 0],
    ['1', 1],
    ['0060', 60],
    ['3600', 3600],
    ['3601', 3600],
    ['9'.repeat(400), 3600],
    ['', undefined],
    ['-1', undefined],
    ['+1', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['0x10', undefined],
    ['60, 60', undefined],
    ['60s', undefined],
    ['soon', undefined],
    ['NaN', undefined],
    ['Infinity', undefined],
    [NOW_HTTP, 0],
    ['Fri, 02 Jan 2026 03:04:06 GMT', 1],
    ['Fri, 02 Jan 2026 03:04:04 GMT', 0],
    ['Thu, 01 Jan 1970 00:00:00 GMT', 0],
    ['Fri, 31 Dec 9999 23:59:59 GMT', 3600],
    ['Fri Jan  2 03:04:06 2026', undefined],
    ['2026-01-02T03:04:06Z', undefined],
  ])('%j is %j', (value, expected) => {
    expect(parseRetryAfter(value, NOW_MS)).toBe(expected);
  });

  it('rounds up, so that nobody comes too early', () => {
    expect(parseRetryAfter('Fri, 02 Jan 2026 03:04:06 GMT', NOW_MS + 1)).toBe(1);
    expect(parseRetryAfter('Fri, 02 Jan 2026 03:04:07 GMT', NOW_MS + 1)).toBe(2);
  });

  it('gives no date without a clock', () => {
    expect(parseRetryAfter(NOW_HTTP, Number.NaN)).toBeUndefined();
  });
});

describe('properties', () => {
  const headerValue = fc.oneof(
    fc.constantFrom(NOW_HTTP, '-5', '60', '1e9', 'PLANTED text', 'APIGW.0301'),
    fc.stringMatching(/^[\x20-\x7e]{0,40}$/),
  );
  const headers = fc.dictionary(
    fc.constantFrom('x-request-id', 'x-iam-trace-id', 'retry-after', 'date', 'location', 'server'),
    headerValue,
  );
  const text = fc.oneof(fc.string({ maxLength: 200 }), fc.constant(EXPIRED), fc.constant('PLANTED text'));
  const value = fc.oneof(
    text,
    fc.double(),
    fc.constantFrom('APIGW.0301', 'APIGW.0308', null, true),
    fc.jsonValue(),
  );
  const members = fc.dictionary(
    fc.constantFrom(
      'error_code',
      'errorCode',
      'error_msg',
      'errorMessage',
      'message',
      'code',
      'request_id',
      'kind',
    ),
    value,
  );
  const body = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.json(),
    members.map((object) => JSON.stringify(object)),
    fc
      .record({ error: fc.oneof(members, value), details: fc.oneof(fc.array(members), members, value) })
      .map((object) => JSON.stringify(object)),
  );
  const status = fc.oneof(
    fc.integer({ min: 100, max: 599 }),
    fc.constantFrom(401, 403, 429),
    fc.integer(),
    fc.double(),
  );

  it('never throws, and stays within its vocabulary and limits', () => {
    fc.assert(
      fc.property(
        status,
        headers,
        body,
        fc.oneof(fc.constant(NOW_MS), fc.double()),
        (code, names, raw, nowMs) => {
          const error = parseUpstreamFailure(code, new Headers(names), raw, nowMs);
          expect(error).toBeInstanceOf(UpstreamError);
          expect(['upstream_rejected', 'upstream_throttled', 'upstream_failed']).toContain(error.kind);
          expect(['refused', 'clock', 'throttled', 'redirect', 'status']).toContain(error.reason);
          expect(error.message).toMatch(
            /^[a-z_]+: [a-z]+(, status \d{3})?(, code [\w.-]{1,64})?(, request id [A-Za-z0-9-]{1,128})?$/,
          );
          expect(error.message).not.toContain('PLANTED text');
          expect(error).not.toHaveProperty('cause');
          if (error.retryAfterSeconds !== undefined) {
            expect(Number.isInteger(error.retryAfterSeconds)).toBe(true);
            expect(error.retryAfterSeconds).toBeGreaterThanOrEqual(0);
            expect(error.retryAfterSeconds).toBeLessThanOrEqual(3600);
          }
          if (error.serverDateMs !== undefined) {
            expect(error.reason).toBe('clock');
            expect(error.serverDateMs).toBeGreaterThanOrEqual(Date.UTC(2000, 0));
            expect(error.serverDateMs).toBeLessThan(Date.UTC(2101, 0));
          }
          expect(everythingIn(error)).not.toContain('PLANTED text');
        },
      ),
      { numRuns: 2000 },
    );
  });
});
