import { describe, expect, it } from 'vitest';
import type { Fleet } from '../../src/fleet/fleet.ts';
import { createFakeClock } from '../support/fake-clock.ts';
import { createMemorySharedStore } from '../support/memory-shared-store.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

const SECOND = 1000;
const HOUR = 3_600_000;
const FORCE = { 'cache-control': 'no-cache' };
const REFRESH_SCOPE = 'imagecaches:read imagecaches:refresh';

/** A caller of a service without a limit of requests, who may force refreshes. */
async function setUp(environment: Record<string, string> = {}, fleet?: Fleet) {
  const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0', ...environment }, fleet && { fleet });
  const read = async (path = '/imagecaches', more: Record<string, string> = {}) => {
    const authorization = `Bearer ${await service.token({ scope: REFRESH_SCOPE })}`;
    const response = await service.get(path, { headers: { authorization, ...more } });
    const names = response.ok
      ? ((await response.json()) as { image_caches: { name: string }[] }).image_caches.map(({ name }) => name)
      : [];
    return {
      status: response.status,
      names,
      cacheStatus: response.headers.get('cache-status') ?? '',
      response,
    };
  };
  return { service, read, settled: () => Promise.allSettled(service.background) };
}

/** Answers as upstream does, from these names. */
function serve(service: TestService, names: () => readonly string[]): void {
  service.upstream = ({ url }) => {
    const wanted = url.searchParams.get('name');
    return vendorList(
      ...names()
        .filter((name) => wanted === null || name === wanted)
        .map((name) => vendorEntry(name)),
    );
  };
}

const fail = () => new Response('', { status: 500 });
const hang = () => new Promise<Response>(() => undefined);

describe('forced refreshes', () => {
  it.each([
    ['one made-up name', () => 'one-and-the-same'],
    ['names made up in turn', (index: number) => `made-up-${index}`],
    ['two names in turn', (index: number) => `made-up-${index % 2}`],
  ])('of %s, after 16 others, load the list once a second', async (_what, nameOf) => {
    const clock = createFakeClock();
    const store = createMemorySharedStore(clock);
    for (const fleet of [undefined, { openEntries: () => store.connect() }]) {
      const { service, read } = await setUp({}, fleet);
      serve(service, () => ['cache-3']);
      for (let index = 0; index < 16; index += 1) await read(`/imagecaches?name=first-${index}`);
      const before = service.calls.length;
      for (let index = 0; index < 50; index += 1) {
        await read(`/imagecaches?name=${nameOf(index)}`, FORCE);
        await service.clock.advance(40);
      }
      expect(service.calls.length - before).toBeLessThanOrEqual(3);
    }
  });

  it('of one name that does not exist load it once a second', async () => {
    const { service, read } = await setUp();
    serve(service, () => []);
    for (let index = 0; index < 40; index += 1) {
      await read('/imagecaches?name=none', FORCE);
      await service.clock.advance(50);
    }
    expect(service.calls).toHaveLength(2);
  });
});

describe('a stale list', () => {
  it.each([
    ['which has it', 'cache-3', ['cache-3']],
    ['which does not have it', 'made-up', []],
  ])(
    'answers a name, %s, at once while upstream hangs, and calls follow its pause',
    async (_what, name, names) => {
      const { service, read } = await setUp();
      serve(service, () => ['cache-3']);
      await read();
      await service.clock.advance(31 * SECOND);
      service.upstream = hang;
      for (let index = 0; index < 20; index += 1) {
        const answer = await read(`/imagecaches?name=${name}`);
        expect(answer).toMatchObject({ status: 200, names });
        expect(answer.cacheStatus).toMatch(/; detail=stale-while-revalidate$/);
      }
      await service.arrived(2);
      expect(service.calls).toHaveLength(1 + 1);
      expect(service.calls[1]?.url.search).toBe('');
    },
  );

  it('past its time at once is loaded itself for a name, and pauses for all names when that fails', async () => {
    const { service, read } = await setUp();
    serve(service, () => ['cache-3']);
    await read();
    await service.clock.advance(400 * SECOND);
    service.upstream = () => new Response('', { status: 404 });
    for (const name of ['cache-3', 'a', 'b', 'c'])
      expect((await read(`/imagecaches?name=${name}`)).status).toBe(200);
    expect(service.calls.slice(1).map(({ url }) => url.search)).toEqual(['']);
  });
});

describe('an entry that a newer load has shown to be gone', () => {
  it.each([
    ['held', {}],
    ['evicted', { CACHE_MAX_ENTRIES: '2' }],
  ])('does not come back from an older list, its own answer %s', async (_what, environment) => {
    const { service, read, settled } = await setUp(environment);
    const names = ['cache-3', 'other', 'third'];
    serve(service, () => names);
    await read();
    await service.clock.advance(3 * SECOND);
    names.shift();
    expect(await read('/imagecaches?name=cache-3', FORCE)).toMatchObject({ names: [] });
    if ('CACHE_MAX_ENTRIES' in environment) {
      await read('/imagecaches?name=third', FORCE);
      await read();
    }
    service.upstream = fail;
    for (const seconds of [6, 10, 60, 600]) {
      await service.clock.advance(seconds * SECOND);
      expect(await read('/imagecaches?name=cache-3')).toMatchObject({ status: 200, names: [] });
    }
    await settled();
    service.upstream = () => vendorList(vendorEntry('cache-3'));
    await service.clock.advance(61 * SECOND);
    expect(await read('/imagecaches', FORCE)).toMatchObject({ names: ['cache-3'] });
    expect(await read('/imagecaches?name=cache-3')).toMatchObject({ names: ['cache-3'] });
  });
});

describe('the wall clock', () => {
  it.each([-8 * HOUR, -600 * SECOND, -3 * SECOND])(
    'set back by %d ms changes no life of a list',
    async (byMs) => {
      const { service, read, settled } = await setUp({ CACHE_TTL_SECONDS: '1' });
      await read();
      service.clock.set(byMs);
      const hit = await read();
      expect(hit.cacheStatus).toBe('imagecaches; hit; ttl=1');
      expect(hit.response.headers.get('age')).toBe('0');
      expect(hit.response.headers.get('cache-control')).toBe('private, max-age=1');
      await service.clock.advance(1001);
      expect((await read()).cacheStatus).toBe('imagecaches; hit; ttl=-1; detail=stale-while-revalidate');
      await settled();
      expect(service.calls).toHaveLength(2);
      expect((await read()).cacheStatus).toBe('imagecaches; hit; ttl=1');
    },
  );

  it.each([8 * HOUR, 600 * SECOND, 5001])('set forward by %d ms costs one load', async (byMs) => {
    const { service, read } = await setUp();
    serve(service, () => ['a']);
    await read();
    service.clock.set(byMs);
    expect((await read()).cacheStatus).toBe('imagecaches; fwd=stale; stored');
    expect((await read('/imagecaches?name=a')).cacheStatus).toMatch(/detail=derived$/);
    expect((await read()).cacheStatus).toMatch(/^imagecaches; hit; ttl=\d+$/);
    expect(service.calls).toHaveLength(2);
  });

  it('set forward by 5 s costs nothing', async () => {
    const { service, read } = await setUp();
    await read();
    service.clock.set(5000);
    expect((await read()).cacheStatus).toBe('imagecaches; hit; ttl=30');
  });

  it('set forward: old data is served only when the load fails, and pauses are not shortened', async () => {
    const { service, read } = await setUp();
    serve(service, () => ['a']);
    await read();
    service.clock.set(8 * HOUR);
    service.upstream = () => new Response('', { status: 404 });
    for (const path of ['/imagecaches', '/imagecaches?name=a', '/imagecaches?name=a']) {
      expect(await read(path)).toMatchObject({ status: 200, names: ['a'] });
      service.clock.set(8 * HOUR);
    }
    expect(service.calls).toHaveLength(2);
  });

  it('set back by 8 h ends the time of stale data after a rejection when 60 seconds have gone by', async () => {
    const { service, read, settled } = await setUp({ CACHE_TTL_SECONDS: '1' });
    await read();
    await service.clock.advance(2 * SECOND);
    service.upstream = () => Response.json({ error_code: 'APIGW.0301' }, { status: 401 });
    await read();
    await settled();
    service.clock.set(-8 * HOUR);
    await service.clock.advance(59 * SECOND);
    expect((await read()).status).toBe(200);
    await service.clock.advance(2 * SECOND);
    expect((await read()).status).toBe(502);
  });
});

describe('a cold cache', () => {
  it('answers 16 callers of 16 names with two calls', async () => {
    const { service, read } = await setUp();
    const names = Array.from({ length: 16 }, (_, index) => `cache-${index}`);
    service.upstream = ({ url }) =>
      new Promise((resolve) => {
        const wanted = url.searchParams.get('name');
        const entries = names
          .filter((name) => wanted === null || name === wanted)
          .map((name) => vendorEntry(name));
        service.clock.schedule(() => resolve(vendorList(...entries)), 1500);
      });
    const asked = names.map((name) => read(`/imagecaches?name=${name}`));
    await service.clock.advance(3100);
    const answers = await Promise.all(asked);
    expect(answers.map(({ status }) => status)).toEqual(names.map(() => 200));
    expect(answers.map((answer) => answer.names)).toEqual(names.map((name) => [name]));
    expect(service.calls).toHaveLength(2);
  });
});

describe('an outage', () => {
  it('is over within a step of its pause, though refreshes were asked for that never went out', async () => {
    const { service, read, settled } = await setUp({ CACHE_TTL_SECONDS: '1' });
    serve(service, () => ['a']);
    await read();
    await service.clock.advance(1001);
    service.upstream = fail;
    const failedLoads = new Set<number>();
    for (let index = 0; index < 80; index += 1) {
      const before = service.calls.length;
      await read(`/imagecaches?name=made-up-${index}`, FORCE);
      await settled();
      if (service.calls.length > before) failedLoads.add(index);
      await service.clock.advance(100);
    }
    serve(service, () => ['a', 'b']);
    const steps = 1000 * 2 ** (failedLoads.size - 1);
    const recoveredMs = await (async () => {
      for (let ms = 0; ms < 60_000; ms += 500) {
        const { names } = await read();
        if (names.length === 2) return ms;
        await service.clock.advance(500);
      }
      return Number.POSITIVE_INFINITY;
    })();
    expect(recoveredMs).toBeLessThanOrEqual(Math.max(5000, steps) + 1100);
  });

  it('is not said to be forwarded where nothing was', async () => {
    const { service, read } = await setUp();
    await read();
    await service.clock.advance(400 * SECOND);
    service.upstream = () => new Response('', { status: 429, headers: { 'retry-after': '60' } });
    expect((await read()).cacheStatus).toBe('imagecaches; fwd=stale; ttl=-370; detail=stale-if-error');
    await service.clock.advance(2 * SECOND);
    // Upstream is left alone, and the list is not paused for that long.
    expect((await read()).cacheStatus).toBe('imagecaches; hit; ttl=-372; detail=stale-if-error');
    expect(service.calls).toHaveLength(2);
  });
});

describe('a list that comes after its load was given up', () => {
  it('is stored, unless a load that began later has given another', async () => {
    const { service, read } = await setUp();
    // A key that was never accepted would have one call at a time.
    await read('/imagecaches?name=another');
    const calls: ((response: Response) => void)[] = [];
    const wait = () => new Promise<Response>((resolve) => calls.push(resolve));
    service.upstream = wait;
    const first = read();
    await service.clock.advance(8 * SECOND);
    expect((await first).status).toBe(504);
    // A load makes two calls.
    expect(calls).toHaveLength(2);
    calls[0]?.(vendorList(vendorEntry('late')));
    calls[1]?.(new Response('', { status: 404 }));
    await service.clock.advance(0);
    expect(await read()).toMatchObject({ names: ['late'], cacheStatus: 'imagecaches; hit; ttl=30' });

    await service.clock.advance(40 * SECOND);
    await read();
    await service.clock.advance(10 * SECOND);
    calls[3]?.(new Response('', { status: 404 }));
    // Its place with the key is free again.
    await service.clock.advance(0);
    serve(service, () => ['new']);
    expect((await read('/imagecaches', FORCE)).names).toEqual(['new']);
    calls[2]?.(vendorList(vendorEntry('old')));
    await service.clock.advance(0);
    expect((await read()).names).toEqual(['new']);
  });
});
