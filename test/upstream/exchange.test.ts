import { describe, expect, it } from 'vitest';
import type { Fetch, FetchInit } from '../../src/platform/fetch.ts';
import { exchange, failureByStatus, type WireRecord } from '../../src/upstream/exchange.ts';
import { UpstreamError } from '../../src/vendor/upstream-error.ts';

const NOW_MS = Date.UTC(2026, 0, 2);
const MIB = 1024 * 1024;
const REQUEST = { url: 'https://cce.example.test/v5/imagecaches', headers: { accept: 'application/json' } };

/** One exchange; the outcome in words, or the length of the body. */
async function run(fetch: Fetch, signal: AbortSignal = new AbortController().signal) {
  const wire: WireRecord = {};
  const outcome = await exchange(REQUEST, wire, signal, { fetch, now: () => NOW_MS }).then(
    (body) => body.byteLength,
    (error: unknown) => {
      if (!(error instanceof UpstreamError)) throw error;
      return `${error.kind} ${error.reason}`;
    },
  );
  return { outcome, wire };
}

/** A body in chunks; what is left of it when the reader stops is never made. */
function chunked(status: number, chunkBytes: number, chunks: number, last: () => Promise<never> | undefined) {
  const counts = { read: 0, cancelled: 0 };
  const cancel = async () => {
    counts.cancelled += 1;
  };
  const read = async () => {
    if (counts.read === chunks) return (await last()) ?? { done: true };
    counts.read += 1;
    return { value: new Uint8Array(chunkBytes) };
  };
  const body = { getReader: () => ({ read, cancel }), cancel };
  const fetch: Fetch = async () => ({ status, headers: new Headers(), body });
  return { counts, fetch };
}

const end = () => undefined;
const cut = () => Promise.reject(new TypeError('terminated'));

describe('an exchange', () => {
  it('sends a GET with the headers that it was given, follows no redirect, and hears the signal', async () => {
    const sent: [string, FetchInit][] = [];
    const { signal } = new AbortController();
    const fetch: Fetch = async (url, init) => {
      sent.push([url, init]);
      return new Response('{}');
    };
    expect((await run(fetch, signal)).outcome).toBe(2);
    expect(sent).toEqual([
      [REQUEST.url, { method: 'GET', headers: REQUEST.headers, redirect: 'manual', signal }],
    ]);
    expect(sent[0]?.[1].signal).toBe(signal);
  });

  it('has called fetch when it returns', async () => {
    let isCalled = false;
    const pending = run(async () => {
      isCalled = true;
      return new Response('{}');
    });
    expect(isCalled).toBe(true);
    await pending;
  });

  it.each([
    ['3a1b-Z', '3a1b-Z'],
    ['a'.repeat(128), 'a'.repeat(128)],
    ['a'.repeat(129), undefined],
    ['a b', undefined],
    ['', undefined],
  ])('keeps the request id %j as %j', async (value, kept) => {
    const { wire } = await run(async () => new Response('{}', { headers: { 'x-request-id': value } }));
    expect(wire).toMatchObject({ status: 200 });
    expect(wire.vendorRequestId).toBe(kept);
  });
});

describe('a good answer', () => {
  it('may have 8 MiB', async () => {
    const { fetch } = chunked(200, MIB, 8, end);
    expect((await run(fetch)).outcome).toBe(8 * MIB);
  });

  it('is left as soon as it is longer', async () => {
    const { counts, fetch } = chunked(200, MIB, 100, end);
    expect((await run(fetch)).outcome).toBe('upstream_failed body_too_large');
    expect(counts).toEqual({ read: 9, cancelled: 1 });
  });

  it('that is cut is truncated, and only the class of the error is kept', async () => {
    const { fetch } = chunked(200, 10, 3, cut);
    const { outcome, wire } = await run(fetch);
    expect(outcome).toBe('upstream_failed truncated');
    expect(wire.status).toBe(200);
    expect(wire.error).toMatchObject({ name: 'TypeError' });
    expect(JSON.stringify(wire.error)).not.toContain('terminated');
  });
});

describe('an error', () => {
  it('is read up to 64 KiB, and its status decides', async () => {
    const { counts, fetch } = chunked(401, 16_384, 100, end);
    expect((await run(fetch)).outcome).toBe('upstream_rejected refused');
    expect(counts).toEqual({ read: 5, cancelled: 1 });
  });

  it('that is cut is what its status says', async () => {
    const { fetch } = chunked(429, 10, 1, cut);
    const { outcome, wire } = await run(fetch);
    expect(outcome).toBe('upstream_throttled throttled');
    expect(wire.error).toBeUndefined();
  });

  it.each([
    [401, 'timeout', 'upstream_rejected refused'],
    [429, 'timeout', 'upstream_throttled throttled'],
    [500, 'timeout', 'upstream_failed status'],
    [200, 'timeout', 'upstream_timeout timeout'],
    [undefined, 'timeout', 'upstream_timeout timeout'],
    [401, 'connection', 'upstream_timeout connection'],
  ] as const)('of status %s whose body stalls until the %s: %s', (status, reason, expected) => {
    const wire: WireRecord = status === undefined ? {} : { status, headers: new Headers() };
    const failure = failureByStatus(new UpstreamError('upstream_timeout', { reason }), wire, NOW_MS);
    expect(`${failure.kind} ${failure.reason}`).toBe(expected);
  });

  it('whose body stalls keeps the Retry-After of its headers', () => {
    const wire: WireRecord = { status: 429, headers: new Headers({ 'retry-after': '7' }) };
    const failure = failureByStatus(
      new UpstreamError('upstream_timeout', { reason: 'timeout' }),
      wire,
      NOW_MS,
    );
    expect(failure.retryAfterSeconds).toBe(7);
  });
});

describe('no answer', () => {
  it.each([
    [undefined, 'upstream_failed connection'],
    ['reused_connection', 'upstream_failed connection'],
    ['connect_timeout', 'upstream_timeout connection'],
  ])('because of %s: %s', async (noAnswer, expected) => {
    const error = Object.assign(new TypeError('fetch failed', { cause: new Error('secret') }), { noAnswer });
    const { outcome, wire } = await run(() => Promise.reject(error));
    expect(wire.isReusedConnection).toBe(noAnswer === 'reused_connection');
    expect(outcome).toBe(expected);
    expect(wire.status).toBeUndefined();
    expect(JSON.stringify(wire.error)).not.toContain('secret');
  });

  it('because the attempt was given up is a timeout, and leaves nothing to log', async () => {
    const controller = new AbortController();
    const pending = run(
      (_url, { signal }) =>
        new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
      controller.signal,
    );
    controller.abort();
    const { outcome, wire } = await pending;
    expect(outcome).toBe('upstream_timeout timeout');
    expect(wire).toEqual({});
  });
});
