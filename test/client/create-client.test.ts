import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, expectTypeOf, it, vi } from 'vitest';
import {
  createClient,
  ImageCachesProblem,
  type ProblemCode,
  UnexpectedAnswerError,
} from '../../src/client/index.ts';
import type { PROBLEM_KINDS } from '../../src/http/problem.ts';
import { createTestService, vendorEntry, vendorList } from '../support/test-service.ts';

const BASE = 'https://lists.example.test';
const TOKEN = 'planted-token-0001';
const ENTRY = {
  id: 'a',
  name: 'web',
  status: 'Available',
  images: ['x'],
  image_cache_size: 20,
  retention_days: 0,
  created_at: '2024-11-25T06:32:34.923248Z',
  expires_at: null,
};

interface Sent {
  readonly url: string;
  readonly headers: Headers;
  readonly signal: AbortSignal;
}

function list(entries: readonly object[] = [ENTRY], headers: Record<string, string> = {}): Response {
  return Response.json({ image_caches: entries }, { headers: { etag: '"1"', age: '3', ...headers } });
}

function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  const body = JSON.stringify({ type: 'urn:x', title: 'T', status, detail: 'd', instance: 'i', code });
  return new Response(body, { status, headers: { 'content-type': 'application/problem+json', ...headers } });
}

/** A client whose requests are answered by the script, one after the other; the last answer goes on. */
function setUp(
  script: readonly (Response | Error | ((sent: Sent) => Promise<Response>))[],
  options: Partial<Parameters<typeof createClient>[0]> = {},
) {
  const sent: Sent[] = [];
  const client = createClient({
    baseUrl: BASE,
    token: TOKEN,
    fetch: async (url, init) => {
      const request = {
        url: String(url),
        headers: new Headers(init?.headers),
        signal: init?.signal as AbortSignal,
      };
      sent.push(request);
      const answer = script[Math.min(sent.length, script.length) - 1] as (typeof script)[number];
      if (answer instanceof Error) throw answer;
      return typeof answer === 'function' ? answer(request) : answer.clone();
    },
    ...options,
  });
  return { client, sent };
}

const hang = () => new Promise<Response>(() => undefined);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'] });
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

describe('a list', () => {
  it('comes with how fresh it is', async () => {
    const { client, sent } = setUp([
      list([ENTRY], { 'cache-control': 'private, max-age=27', 'cache-status': 'imagecaches; hit; ttl=27' }),
    ]);
    expect(await client.list()).toEqual({
      imageCaches: [ENTRY],
      ageSeconds: 3,
      freshForSeconds: 27,
      etag: '"1"',
      cacheStatus: 'imagecaches; hit; ttl=27',
    });
    expect(sent[0]?.url).toBe(`${BASE}/imagecaches`);
    expect(sent[0]?.headers.get('authorization')).toBe(`Bearer ${TOKEN}`);
  });

  it('of a name is asked for by it, under any base', async () => {
    const { client, sent } = setUp([list()], { baseUrl: 'https://a.example.test/inner/' });
    expect(await client.get('web base&x')).toEqual(ENTRY);
    expect(sent[0]?.url).toBe('https://a.example.test/inner/imagecaches?name=web%20base%26x');
    const { client: empty } = setUp([list([])]);
    expect(await empty.get('none')).toBeUndefined();
  });

  it('that has not changed is the kept one, with its new age', async () => {
    const unchanged = new Response(null, { status: 304, headers: { etag: '"1"', age: '9' } });
    const { client, sent } = setUp([list(), unchanged]);
    const first = await client.list();
    const second = await client.list();
    expect(sent[1]?.headers.get('if-none-match')).toBe('"1"');
    expect(second.imageCaches).toBe(first.imageCaches);
    expect(second.ageSeconds).toBe(9);
  });

  it('is kept for so many queries, the least recently used goes first', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 40 }), async (names) => {
        const { client, sent } = setUp([list()], { maxKeptLists: 2 });
        let recent: string[] = [];
        for (const name of names) {
          await client.get(name);
          expect(sent.at(-1)?.headers.has('if-none-match')).toBe(recent.includes(name));
          recent = [name, ...recent.filter((other) => other !== name)].slice(0, 2);
        }
      }),
    );
  });

  it('is kept for 100 queries where the options do not say', async () => {
    const { client, sent } = setUp([list()]);
    const isKept = async (name: string) => {
      await client.get(name);
      return sent.at(-1)?.headers.has('if-none-match');
    };
    for (let index = 0; index < 101; index += 1) expect(await isKept(`name-${index}`)).toBe(false);
    expect(await isKept('name-1')).toBe(true);
    expect(await isKept('name-0')).toBe(false);
  });

  it('is not kept at all where none may be', async () => {
    const { client, sent } = setUp([list()], { maxKeptLists: 0 });
    await client.list();
    await client.list();
    expect(sent[1]?.headers.has('if-none-match')).toBe(false);
  });

  it('is refreshed when it is asked for', async () => {
    const { client, sent } = setUp([list()]);
    await client.list({ refresh: true });
    expect(sent[0]?.headers.get('cache-control')).toBe('no-cache');
  });

  it.each([
    ['another document', () => Response.json({ items: [] })],
    ['a page', () => new Response('<html>')],
    ['nothing', () => new Response('')],
    ['an entry without a name', () => list([{ ...ENTRY, name: undefined }])],
    ['an entry with a number for images', () => list([{ ...ENTRY, images: [1] }])],
    ['a null', () => list([null as unknown as object])],
    ['a 304 that nobody asked for', () => new Response(null, { status: 304 })],
    ['an error of something in between', () => new Response('bad gateway', { status: 502 })],
  ])('is not made of %s', async (_what, answer) => {
    const { client } = setUp([answer()]);
    await expect(client.list()).rejects.toThrow(UnexpectedAnswerError);
  });

  it('lets members pass that a later service adds', async () => {
    const { client } = setUp([list([{ ...ENTRY, added: 1 }])]);
    expect((await client.list()).imageCaches).toHaveLength(1);
  });
});

describe('a problem', () => {
  it('has what the service says, and nothing of the token', async () => {
    const { client } = setUp([problem(403, 'forbidden')]);
    const error = (await client.list().catch((thrown: unknown) => thrown)) as ImageCachesProblem;
    expect(error).toBeInstanceOf(ImageCachesProblem);
    expect(error).toMatchObject({
      code: 'forbidden',
      status: 403,
      detail: 'd',
      instance: 'i',
      retryAfterMs: undefined,
    });
    expect(`${error.message} ${error.stack} ${JSON.stringify(error)}`).not.toContain(TOKEN);
  });

  it('knows every code of this version, and no other', () => {
    expectTypeOf<ProblemCode>().toEqualTypeOf<keyof typeof PROBLEM_KINDS>();
  });
});

describe('a retry', () => {
  it.each([
    [429, 'rate_limited'],
    [503, 'overloaded'],
  ])('comes after the time that a %i says', async (status, code) => {
    const { client, sent } = setUp([problem(status, code, { 'retry-after': '2' }), list()]);
    const answer = client.list();
    await vi.advanceTimersByTimeAsync(1999);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect((await answer).imageCaches).toHaveLength(1);
  });

  it('comes at a date too', async () => {
    vi.setSystemTime(Date.UTC(2026, 0, 1));
    const { client, sent } = setUp([
      problem(503, 'overloaded', { 'retry-after': new Date(Date.UTC(2026, 0, 1, 0, 0, 3)).toUTCString() }),
      list(),
    ]);
    const answer = client.list();
    await vi.advanceTimersByTimeAsync(2999);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    await answer;
  });

  it('does not come past the limits: 10 seconds, twice', async () => {
    const inTime = setUp([problem(503, 'overloaded', { 'retry-after': '10' }), list()]);
    const waited = inTime.client.list();
    await vi.advanceTimersByTimeAsync(10_000);
    await waited;
    expect(inTime.sent).toHaveLength(2);
    const late = setUp([problem(503, 'overloaded', { 'retry-after': '11' })]);
    await expect(late.client.list()).rejects.toMatchObject({ retryAfterMs: 11_000 });
    expect(late.sent).toHaveLength(1);
    const often = setUp([problem(503, 'overloaded', { 'retry-after': '1' })]);
    const answer = expect(often.client.list()).rejects.toMatchObject({ code: 'overloaded' });
    await vi.advanceTimersByTimeAsync(2000);
    await answer;
    expect(often.sent).toHaveLength(3);
  });

  it.each([
    [500, 'internal'],
    [502, 'upstream_failed'],
    [504, 'upstream_timeout'],
    [503, 'without a time'],
    [400, 'invalid_query'],
  ])('does not come after %i %s', async (status, code) => {
    const { client, sent } = setUp([problem(status, code)]);
    await expect(client.list()).rejects.toThrow(ImageCachesProblem);
    expect(sent).toHaveLength(1);
  });

  it('comes once after a failure of the network', async () => {
    const { client, sent } = setUp([new TypeError('fetch failed'), list()]);
    const answer = client.list();
    await vi.advanceTimersByTimeAsync(199);
    expect(sent).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    expect((await answer).imageCaches).toHaveLength(1);
    const down = setUp([new TypeError('fetch failed')]);
    const failure = expect(down.client.list()).rejects.toThrow('fetch failed');
    await vi.advanceTimersByTimeAsync(1000);
    await failure;
    expect(down.sent).toHaveLength(2);
    expect(sent).toHaveLength(2);
  });

  it('comes once with a new token after 401, where there is one', async () => {
    let tokens = 0;
    const token = async () => {
      tokens += 1;
      return `token-${tokens}`;
    };
    const { client, sent } = setUp([problem(401, 'unauthenticated'), list()], { token });
    await client.list();
    expect(sent.map(({ headers }) => headers.get('authorization'))).toEqual([
      'Bearer token-1',
      'Bearer token-2',
    ]);
    const refused = setUp([problem(401, 'unauthenticated')], { token });
    await expect(refused.client.list()).rejects.toMatchObject({ status: 401 });
    expect(refused.sent).toHaveLength(2);
    const fixed = setUp([problem(401, 'unauthenticated')]);
    await expect(fixed.client.list()).rejects.toMatchObject({ status: 401 });
    expect(fixed.sent).toHaveLength(1);
  });
});

describe('an abort', () => {
  /** A signal that tells how many listen to it. */
  function watchedSignal() {
    const controller = new AbortController();
    const { signal } = controller;
    let listeners = 0;
    const [add, remove] = [signal.addEventListener.bind(signal), signal.removeEventListener.bind(signal)];
    signal.addEventListener = ((...args: Parameters<typeof add>) => {
      listeners += 1;
      add(...args);
    }) as typeof add;
    signal.removeEventListener = ((...args: Parameters<typeof remove>) => {
      listeners -= 1;
      remove(...args);
    }) as typeof remove;
    return { controller, signal, listeners: () => listeners };
  }
  const REASON = new Error('no longer wanted');

  it.each([
    ['while the token is got', [list()], { token: hang as unknown as () => Promise<string> }],
    ['while the answer is awaited', [hang], {}],
    ['while the body is awaited', [async () => new Response(new ReadableStream())], {}],
    ['while a retry is awaited', [problem(503, 'overloaded', { 'retry-after': '5' })], {}],
  ] as const)('%s ends it, and leaves nothing behind', async (_when, script, options) => {
    const { controller, signal, listeners } = watchedSignal();
    const { client } = setUp(script, options);
    const answer = expect(client.list({ signal })).rejects.toBe(REASON);
    await vi.advanceTimersByTimeAsync(10);
    controller.abort(REASON);
    await answer;
    expect(listeners()).toBeLessThanOrEqual(0);
  });

  it('before it began sends nothing', async () => {
    const { client, sent } = setUp([list()]);
    await expect(client.list({ signal: AbortSignal.abort(REASON) })).rejects.toBe(REASON);
    expect(sent).toHaveLength(0);
  });

  it('leaves no listener after an answer either', async () => {
    const { signal, listeners } = watchedSignal();
    await setUp([list()]).client.list({ signal });
    expect(listeners()).toBeLessThanOrEqual(0);
  });

  it.each([
    ['10 seconds', {}, 10_000],
    ['what the options say', { timeoutMs: 3000 }, 3000],
  ])('comes by itself when an attempt takes longer than %s', async (_time, options, timeoutMs) => {
    const { client, sent } = setUp([hang], options);
    const answer = expect(client.list()).rejects.toMatchObject({ name: 'TimeoutError' });
    await vi.advanceTimersByTimeAsync(timeoutMs - 1);
    expect(sent[0]?.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await answer;
    expect(sent[0]?.signal.aborted).toBe(true);
  });
});

describe('against the service itself', () => {
  it('lists, reuses, and reads its problems', async () => {
    vi.useRealTimers();
    const service = await createTestService();
    service.upstream = () => vendorList(vendorEntry('web-base'), vendorEntry('api'));
    const statuses: number[] = [];
    const client = createClient({
      baseUrl: BASE,
      token: () => service.token(),
      fetch: async (url, init) => {
        const response = await service.app.fetch(
          new Request(url, { ...init, redirect: 'manual' } as RequestInit),
        );
        statuses.push(response.status);
        return response;
      },
    });
    expect((await client.list()).imageCaches.map(({ name }) => name)).toEqual(['web-base', 'api']);
    expect(await client.list()).toMatchObject({ cacheStatus: expect.stringContaining('hit') });
    expect((await client.get('api'))?.name).toBe('api');
    await expect(client.get('Not A Name')).rejects.toMatchObject({ code: 'invalid_query', status: 400 });
    expect(statuses).toEqual([200, 304, 200, 400]);
    vi.useFakeTimers();
  });
});
