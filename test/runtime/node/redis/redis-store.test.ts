import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@redis/client';
import { afterEach, describe, expect, it } from 'vitest';
import type { LookUp, SharedEntries, SharedEntry } from '../../../../src/fleet/entries.ts';
import type { SharedUse } from '../../../../src/fleet/use.ts';
import { NO_METRICS } from '../../../../src/observability/metrics.ts';
import { createRedisStore } from '../../../../src/runtime/node/redis/create-redis-store.ts';
import { createRecordingLogger, type RecordingLogger } from '../../../support/recording-logger.ts';
import { hasRedisServer, type RedisServer, startRedisServer } from './redis-server.ts';

/** No command is waited for longer than 50 ms (docs/replicas.md). */
const REDIS_TIMEOUT_MS = 50;
/** The location is read again when a connection has given nothing for 10 seconds (docs/replicas.md). */
const STUCK_MS = 10_000;

const NAMESPACE = 'imagecaches-bff:1:test';
const PASSWORD = 'PlantedRedisPassword0001';

interface TestStore {
  /** Entries that could not be read. */
  readonly invalid: () => number;
  readonly stop: () => void;
  readonly entries: SharedEntries;
  readonly use: SharedUse;
  readonly logger: RecordingLogger;
  /** operation:result, in order. */
  readonly used: string[];
  /** The times that were asked for of timers: milliseconds. */
  readonly delays: ReadonlySet<number>;
  /** Resolves when the store has come up, or gone down, so many times in all. */
  readonly changed: (isUp: boolean, times?: number) => Promise<void>;
  readonly shared: string[];
  readonly sharedOnce: () => Promise<string>;
  /** Lets the timers of this delay go off. */
  readonly fire: (delayMs: number) => void;
  /** Timers that wait. */
  readonly timers: () => number;
  /** From now on Redis is given no time to answer, or all that it takes. */
  readonly loseAnswers: (areLost: boolean) => void;
}

/** No request waits longer for Redis. */
const ANSWER_MS = 50;
/** Nobody waits longer for the first connection. */
const REACHED_TIMEOUT_MS = 2000;
/** Who waits for the load of another looks again after this time. */
const LOOK_AGAIN_MS = 500;
/** Who loads says so anew after this time. */
const RENEW_MS = 700;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function startServer(...args: Parameters<typeof startRedisServer>): Promise<RedisServer> {
  const server = await startRedisServer(...args);
  closing.push(server.stop);
  return server;
}

interface OpenOptions {
  readonly file?: string;
  readonly now?: () => number;
  readonly readTextFile?: (path: string) => Promise<string>;
}

/**
 * A store whose timers go off when the test says so: how long this machine takes to answer for Redis is no matter then.
 */
function openStore(
  url: string,
  { file, now = Date.now, readTextFile = () => Promise.reject(new Error('no files')) }: OpenOptions = {},
): TestStore {
  const logger = createRecordingLogger();
  const used: string[] = [];
  const delays = new Set<number>();
  const changes = { true: 0, false: 0 };
  const listeners = new Set<() => void>();
  const timers = new Set<{ readonly delayMs: number; readonly callback: () => void }>();
  let areAnswersLost = false;
  const fire = (delayMs: number) => {
    for (const timer of [...timers]) if (timer.delayMs === delayMs && timers.delete(timer)) timer.callback();
  };
  const store = createRedisStore(
    { url, file },
    {
      now,
      elapsed: now,
      schedule: (callback, delayMs) => {
        delays.add(delayMs);
        const timer = { delayMs, callback };
        timers.add(timer);
        if (areAnswersLost && delayMs === ANSWER_MS) setImmediate(fire, ANSWER_MS);
        return () => void timers.delete(timer);
      },
      random: () => 0,
      logger,
      readTextFile,
      metrics: {
        ...NO_METRICS,
        sharedStoreUsed: (operation, result) => used.push(`${operation}:${result}`),
        sharedStoreChanged: (isUp) => {
          changes[`${isUp}`] += 1;
          for (const listener of [...listeners]) listener();
        },
      },
    },
  );
  let invalid = 0;
  const entries = store.openEntries({
    namespace: async () => NAMESPACE,
    keepStaleMs: 60_000,
    reportInvalid: () => {
      invalid += 1;
    },
  });
  const use = store.openUse(async () => NAMESPACE);
  const shared: string[] = [];
  let sharedNext = Promise.withResolvers<string>();
  entries.onShared?.((key) => {
    shared.push(key);
    sharedNext.resolve(key);
    sharedNext = Promise.withResolvers<string>();
  });
  closing.push(store.stop);
  return {
    stop: store.stop,
    entries,
    use,
    logger,
    used,
    delays,
    invalid: () => invalid,
    shared,
    sharedOnce: () => sharedNext.promise,
    fire,
    timers: () => timers.size,
    loseAnswers: (areLost) => {
      areAnswersLost = areLost;
    },
    changed: (isUp, times = 1) =>
      new Promise((resolve) => {
        const look = () => {
          if (changes[`${isUp}`] < times) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
      }),
  };
}

/** A client of the test's own, which can write anything. */
async function openClient(url: string) {
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  closing.push(() => client.destroy());
  return client;
}

function entry(text: string, begunAtMs = Date.now() - 5): SharedEntry {
  const body = new TextEncoder().encode(text);
  return { body, begunAtMs, storedAtMs: begunAtMs + 3, freshUntilMs: begunAtMs + 30_000 };
}

const textOf = (found: SharedEntry | undefined) => found && new TextDecoder().decode(found.body);
const never = () => false;
const always = () => true;

async function takeTurn(store: TestStore, key: string): Promise<Extract<LookUp, { state: 'ours' }>> {
  const found = await store.entries.lookUp(key, never);
  if (found.state !== 'ours') throw new Error(`the turn is ${found.state}`);
  return found;
}

describe.skipIf(!hasRedisServer())('entries in Redis', () => {
  it('are what another instance has put, byte for byte and with its times', async () => {
    const server = await startServer();
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    const put = entry('{"image_caches":[{"name":"größe"}]}');
    const told = two.sharedOnce();
    await (await takeTurn(one, 'web')).settle(put);

    expect(await told).toBe('web');
    expect(await two.entries.get('web')).toEqual(put);
    const seen: SharedEntry[] = [];
    expect(await two.entries.lookUp('web', (found) => seen.push(found) > 0)).toEqual({ state: 'served' });
    expect(seen).toEqual([put]);
    expect(one.shared).toEqual([]);
    expect(await two.entries.get('api')).toBeUndefined();
  });

  it('go when they could serve nobody any more', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    await (await takeTurn(store, 'web')).settle(entry('a'));
    const client = await openClient(server.url);
    const leftMs = await client.pTTL(`${NAMESPACE}:entry:{web}`);
    // Fresh for 30 s, and the 60 s of the options.
    expect(leftMs).toBeGreaterThan(61_000);
    expect(leftMs).toBeLessThanOrEqual(90_000);
    expect(await client.exists(`${NAMESPACE}:turn:{web}`)).toBe(0);
  });

  it('are loaded by one instance; the others are told when they can look again', async () => {
    const server = await startServer();
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    const turn = await takeTurn(one, 'web');
    const waiting = await two.entries.lookUp('web', always);
    if (waiting.state !== 'taken') throw new Error(`the turn is ${waiting.state}`);
    // Another key is another matter.
    await (await takeTurn(two, 'api')).settle();

    await turn.settle(entry('new'));
    await waiting.changed;
    expect(await two.entries.lookUp('web', always)).toEqual({ state: 'served' });
  });

  it('are loaded by the next one when the first gives up', async () => {
    const server = await startServer();
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    const turn = await takeTurn(one, 'web');
    const waiting = await two.entries.lookUp('web', always);
    if (waiting.state !== 'taken') throw new Error(`the turn is ${waiting.state}`);
    await turn.settle();
    await waiting.changed;
    expect((await two.entries.lookUp('web', always)).state).toBe('ours');
    expect(two.shared).toEqual([]);
  });

  it('are loaded by the next one when the first is no more', async () => {
    const server = await startServer();
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    await takeTurn(one, 'web');
    one.stop();
    let state = 'taken';
    while (state === 'taken') {
      const found = await two.entries.lookUp('web', always);
      ({ state } = found);
      two.fire(LOOK_AGAIN_MS);
      if (found.state === 'taken') await found.changed;
    }
    expect(state).toBe('ours');
  });

  it('keep the turn of who is still loading, and nobody ends the turn of another', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    const client = await openClient(server.url);
    const turn = await takeTurn(store, 'web');
    const turnKey = `${NAMESPACE}:turn:{web}`;
    const token = await client.get(turnKey);
    // More is left than it is ever given, until it is renewed, again and again.
    for (let time = 0; time < 3; time += 1) {
      await client.pExpire(turnKey, 60_000);
      store.fire(RENEW_MS);
      while ((await client.pTTL(turnKey)) > 2000);
      await client.pExpire(turnKey, 60_000);
      expect(await client.get(turnKey)).toBe(token);
    }

    await client.set(turnKey, 'somebody else');
    await turn.settle(entry('late'));
    expect(await client.get(turnKey)).toBe('somebody else');
  });

  it('are not kept for ever by who loads for ever', async () => {
    let nowMs = Date.now();
    const server = await startServer();
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    await takeTurn(store, 'web');
    nowMs += 329_999;
    store.fire(RENEW_MS);
    // The answer of Redis, and the next time.
    expect(store.timers()).toBe(2);
    nowMs += 1;
    store.fire(RENEW_MS);
    await expect.poll(() => store.timers()).toBe(0);
  });

  it.each([
    ['is shared', entry('a')],
    ['failed', undefined],
  ])('leave no timer behind when their load %s, nor when they are served', async (_what, loaded) => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    const turn = await takeTurn(store, 'web');
    expect(store.timers()).toBe(1);
    await turn.settle(loaded);
    expect(store.timers()).toBe(0);
    const client = await openClient(server.url);
    expect(await client.exists(`${NAMESPACE}:turn:{web}`)).toBe(0);
    await (await takeTurn(store, 'web')).settle(entry('b'));
    expect(await store.entries.lookUp('web', always)).toEqual({ state: 'served' });
    expect(store.timers()).toBe(0);
  });

  it('are not replaced by a load that began earlier', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    const slow = await takeTurn(store, 'web');
    const client = await openClient(server.url);
    await client.del(`${NAMESPACE}:turn:{web}`);
    const quick = await takeTurn(store, 'web');
    const nowMs = Date.now();
    await quick.settle(entry('new', nowMs));
    await slow.settle(entry('old', nowMs - 1000));
    expect(textOf(await store.entries.get('web'))).toBe('new');
  });

  it.each([
    ['a text', (key: string) => ['SET', key, 'x']],
    ['a list', (key: string) => ['RPUSH', key, 'format', '1']],
    ['no fields of ours', (key: string) => ['HSET', key, 'a', 'b']],
    ['another format', (key: string) => hset(key, { format: '2' })],
    ['no body', (key: string) => ['HSET', key, 'format', '1', 'begun', '1', 'stored', '2', 'fresh', '3']],
    ['a time that is none', (key: string) => hset(key, { stored: '1e3' })],
    ['a negative time', (key: string) => hset(key, { begun: '-1' })],
    ['a time past all dates', (key: string) => hset(key, { fresh: '9999999999999999' })],
    ['no number', (key: string) => hset(key, { begun: 'nan' })],
    ['no number in capitals', (key: string) => hset(key, { begun: 'NaN' })],
    ['a negative one that is none', (key: string) => hset(key, { begun: '-nan' })],
    ['an infinite time', (key: string) => hset(key, { begun: 'inf' })],
    ['a negative infinite time', (key: string) => hset(key, { begun: '-inf' })],
    ['the year 9999', (key: string) => hset(key, { begun: '253402300799000', stored: '253402300799000' })],
    ['a hexadecimal time', (key: string) => hset(key, { begun: '0x7fffffffffff' })],
    ['times in the wrong order', (key: string) => hset(key, { begun: '3000' })],
    ['a time to come', (key: string) => hset(key, { stored: String(Date.now() + 120_000) })],
    [
      'a load to come',
      (key: string) => {
        const laterMs = String(Date.now() + 86_400_000);
        return hset(key, { begun: laterMs, stored: laterMs });
      },
    ],
  ])('are not believed when they are %s, and make room', async (_what, command) => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    const client = await openClient(server.url);
    const key = `${NAMESPACE}:entry:{web}`;
    await client.sendCommand(command(key));

    expect(await store.entries.get('web')).toBeUndefined();
    expect(await client.exists(key)).toBe(0);
    expect(store.invalid()).toBe(1);
    const turn = await takeTurn(store, 'web');
    // It is there again when the load ends: what is no entry is replaced all the same.
    await client.sendCommand(command(key));
    const put = entry('good');
    await turn.settle(put);
    expect(await store.entries.get('web')).toEqual(put);
    expect(store.invalid()).toBe(1);
  });

  it('are removed when the service says so', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    await (await takeTurn(store, 'web')).settle(entry('a'));
    store.entries.discard('web');
    expect(await store.entries.get('web')).toBeUndefined();
  });

  it('are told to each listener, since resources share one store', async () => {
    const server = await startServer();
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    const told: string[] = [];
    two.entries.onShared?.((key) => told.push(key));
    const toldFirst = two.sharedOnce();
    await (await takeTurn(one, 'others/*')).settle(entry('a'));
    expect(await toldFirst).toBe('others/*');
    expect(told).toEqual(['others/*']);
  });

  it('messages that are none of ours change nothing', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    const client = await openClient(server.url);
    const told = store.sharedOnce();
    for (const message of [
      '',
      'x',
      `0123456789abcdef + ${'a'.repeat(200)}`,
      '0123456789abcdef * web',
      '0123456789abcdef + a b',
    ])
      await client.publish(NAMESPACE, message);
    await client.publish(NAMESPACE, '0123456789abcdef + last');
    await told;
    expect(store.shared).toEqual(['last']);
  });
});

function hset(key: string, more: Record<string, string>): string[] {
  const fields = { format: '1', begun: '1000', stored: '2000', fresh: '3000', body: '{}', ...more };
  return ['HSET', key, ...Object.entries(fields).flat()];
}

describe.skipIf(!hasRedisServer())('Redis in trouble', () => {
  it('gone: nothing waits, one line is logged, and again when it is back', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    await server.kill();
    await store.changed(false);
    for (let count = 0; count < 50; count += 1) {
      expect((await store.entries.lookUp('web', always)).state).toBe('ours');
      expect(await store.entries.get('web')).toBeUndefined();
    }
    expect(new Set(store.used)).toEqual(new Set(['look_up:skipped', 'get:skipped']));
    await server.restart();
    await store.changed(true, 2);
    expect(store.logger.lines.map(({ level, message }) => `${level} ${message}`)).toEqual([
      'info the shared store answers',
      'warn the shared store does not answer; going on without it',
      'info the shared store answers',
    ]);
    const told = store.sharedOnce();
    const other = openStore(server.url);
    await other.changed(true);
    await (await takeTurn(other, 'web')).settle(entry('after'));
    expect(await told).toBe('web');
    expect(textOf(await store.entries.get('web'))).toBe('after');
  });

  it('absent from the beginning: found when it comes', async () => {
    const server = await startServer();
    await server.kill();
    const store = openStore(server.url);
    await store.changed(false);
    expect((await store.entries.lookUp('web', always)).state).toBe('ours');
    await server.restart();
    await store.changed(true);
    expect(store.logger.lines).toHaveLength(2);
  });

  it('frozen: three wait 50 ms, then nobody does, and it is used again when it thaws', async () => {
    let nowMs = Date.now();
    const server = await startServer();
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    server.freeze();
    closing.push(server.thaw);
    store.loseAnswers(true);
    for (let count = 0; count < 20; count += 1)
      expect((await store.entries.lookUp('web', always)).state).toBe('ours');
    expect(store.delays).toEqual(new Set([REACHED_TIMEOUT_MS, REDIS_TIMEOUT_MS, LOOK_AGAIN_MS]));
    expect(store.used.filter((use) => use === 'look_up:timeout')).toHaveLength(3);
    expect(store.used.filter((use) => use === 'look_up:skipped')).toHaveLength(17);
    await store.changed(false);
    server.thaw();
    store.loseAnswers(false);
    nowMs += 1001;
    await takeTurn(store, 'api');
    await store.changed(true, 2);
    expect(store.logger.lines).toHaveLength(3);
  });

  it('slow now and then: an answer in between, and three have to be late anew', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    closing.push(server.thaw);
    for (let time = 0; time < 3; time += 1) {
      server.freeze();
      store.loseAnswers(true);
      for (let count = 0; count < 2; count += 1) await store.entries.get('web');
      server.thaw();
      store.loseAnswers(false);
      await store.entries.get('web');
    }
    expect(store.used).toEqual(Array(3).fill(['get:timeout', 'get:timeout', 'get:ok']).flat());
    expect(store.logger.lines).toHaveLength(1);
  });

  it('frozen again: the pauses double from 1 second, and begin with 1 second after an answer', async () => {
    let nowMs = Date.now();
    const server = await startServer();
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    closing.push(server.thaw);
    const freeze = async () => {
      server.freeze();
      store.loseAnswers(true);
      for (let count = 0; count < 3; count += 1) await store.entries.get('web');
    };
    /** How the store is used just before the pause is over, and when it is. */
    const usedAround = async (pauseMs: number) => {
      const before = store.used.length;
      nowMs += pauseMs - 1;
      await store.entries.get('web');
      nowMs += 1;
      await store.entries.get('web');
      return store.used.slice(before);
    };
    await freeze();
    for (const pauseMs of [1000, 2000])
      expect([pauseMs, await usedAround(pauseMs)]).toEqual([pauseMs, ['get:skipped', 'get:timeout']]);
    // Before 10 seconds are over, after which the connection is replaced.
    server.thaw();
    store.loseAnswers(false);
    expect(await usedAround(4000)).toEqual(['get:skipped', 'get:ok']);
    await freeze();
    expect(await usedAround(1000)).toEqual(['get:skipped', 'get:timeout']);
  });

  it('back on a new connection: no pause of the old one is waited for', async () => {
    const nowMs = Date.now();
    const server = await startServer();
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    server.freeze();
    store.loseAnswers(true);
    for (let count = 0; count < 4; count += 1) await store.entries.get('web');
    expect(store.used.at(-1)).toBe('get:skipped');
    await server.restart();
    await store.changed(true, 2);
    store.loseAnswers(false);
    await store.entries.get('web');
    expect(store.used.at(-1)).toBe('get:ok');
  });

  it('slow once, and once more long after: the connection is kept', async () => {
    let nowMs = Date.now();
    const server = await startServer();
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    closing.push(server.thaw);
    const client = await openClient(server.url);
    const connections = async () =>
      ((await client.sendCommand(['CLIENT', 'LIST'])) as unknown as string).trim();
    const idsOf = (text: string) => Array.from(text.matchAll(/^id=(\d+)/gm), ([, id]) => id);
    const before = idsOf(await connections());
    for (const quietMs of [3_600_000, 11_000, 3_600_000]) {
      nowMs += quietMs;
      server.freeze();
      store.loseAnswers(true);
      await store.entries.get('web');
      server.thaw();
      store.loseAnswers(false);
      await store.entries.get('web');
    }
    expect(store.used).toEqual(Array(3).fill(['get:timeout', 'get:ok']).flat());
    expect(idsOf(await connections())).toEqual(before);
    expect(store.logger.lines).toHaveLength(1);
  });

  it('frozen for good: the connection is replaced', async () => {
    let nowMs = Date.now();
    const [frozen, other] = [await startServer(), await startServer()];
    closing.push(frozen.thaw);
    let url = frozen.url;
    let readings = 0;
    const readTextFile = async () => {
      readings += 1;
      return `${url}\n`;
    };
    const store = openStore(url, { now: () => nowMs, file: '/a/file', readTextFile });
    await store.changed(true);
    frozen.freeze();
    store.loseAnswers(true);
    for (let count = 0; count < 3; count += 1) await store.entries.get('web');
    await store.changed(false);
    url = other.url;
    nowMs += STUCK_MS - 1;
    await store.entries.get('web');
    expect(readings).toBe(1);
    nowMs += 1;
    await store.entries.get('web');
    expect(readings).toBe(2);
    await store.changed(true, 2);
    store.loseAnswers(false);
    await takeTurn(store, 'web');
    expect(store.used.at(-1)).toBe('look_up:ok');
  });

  it('full: what cannot be put is served all the same, and no line is logged for each', async () => {
    const server = await startServer(['--maxmemory', '1', '--maxmemory-policy', 'noeviction']);
    const store = openStore(server.url);
    await store.changed(true);
    for (let count = 0; count < 10; count += 1) {
      const found = await store.entries.lookUp('web', always);
      expect(found.state).toBe('ours');
      if (found.state === 'ours') await found.settle(entry('x'));
    }
    expect(new Set(store.used)).toEqual(new Set(['look_up:error', 'share:error']));
    expect(store.logger.lines).toHaveLength(1);
  });

  it('with a password that changes: the file is read again', async () => {
    let nowMs = Date.now();
    const server = await startServer(['--requirepass', PASSWORD]);
    const folder = await mkdtemp(join(tmpdir(), 'redis-url-'));
    closing.push(() => rm(folder, { recursive: true }));
    const files = new Map([['url', server.url.replace('//', '//:wrong@')]]);
    const store = openStore('redis://127.0.0.1:1', {
      now: () => nowMs,
      file: 'url',
      readTextFile: async (path) => files.get(path) ?? '',
    });
    await store.changed(false);
    expect(await store.entries.get('web')).toBeUndefined();
    files.set('url', server.url.replace('//', `//:${PASSWORD}@`));
    nowMs += 10_001;
    await store.entries.get('web');
    await store.changed(true);
    await (await takeTurn(store, 'web')).settle(entry('a'));
    await server.kill();
    await store.changed(false, 2);
    expect(JSON.stringify(store.logger.lines)).not.toContain(PASSWORD);
    expect(JSON.stringify(store.logger.lines)).not.toContain('wrong');
  });
});

describe.skipIf(!hasRedisServer())('kinds of Redis', () => {
  it('TLS with a private authority', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'redis-tls-'));
    closing.push(() => rm(folder, { recursive: true }));
    execFileSync(
      'openssl',
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1'.split(
        ' ',
      ),
      { cwd: folder, stdio: 'ignore' },
    );
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name)) as [string, string];
    const server = await startServer([
      '--tls-port',
      '--tls-cert-file',
      cert,
      '--tls-key-file',
      key,
      '--tls-ca-cert-file',
      cert,
      '--tls-auth-clients',
      'no',
    ]);
    // Node trusts what NODE_EXTRA_CA_CERTS names, which is read when it starts: so in a process of its own.
    const script = join(folder, 'try.mjs');
    const source = new URL('../../../../src/runtime/node/redis/open-redis.ts', import.meta.url).href;
    await writeFile(
      script,
      `import { openRedis } from ${JSON.stringify(source)};
const redis = openRedis({ kind: 'single', url: process.argv[2] });
redis.on('error', (error) => { console.log(error.code); process.exit(1); });
await redis.connect();
console.log(await redis.eval("return 'spoken'", { keys: [], arguments: [] }));
redis.destroy();
`,
    );
    const url = server.url.replace('redis:', 'rediss:');
    const run = (environment: Record<string, string>) => {
      try {
        return execFileSync(process.execPath, [script, url], {
          env: { PATH: process.env.PATH ?? '', ...environment },
          encoding: 'utf8',
        });
      } catch (error) {
        return (error as { stdout: string }).stdout;
      }
    };
    expect(run({ NODE_EXTRA_CA_CERTS: cert })).toBe('spoken\n');
    expect(run({})).toMatch(/SELF_SIGNED/);
  });

  it('a cluster', async () => {
    const server = await startServer(['--cluster-enabled', 'yes', '--requirepass', PASSWORD]);
    const client = await openClient(server.url.replace('//', `//:${PASSWORD}@`));
    await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    while (!(await client.sendCommand(['CLUSTER', 'INFO']))?.toString().includes('cluster_state:ok'));
    const url = server.url.replace('//', `//:${PASSWORD}@`);
    const [one, two] = [openStore(`${url},${url}`), openStore(`${url},${url}`)];
    await Promise.all([one.changed(true), two.changed(true)]);
    const told = two.sharedOnce();
    const put = entry('clustered');
    await (await takeTurn(one, 'web')).settle(put);
    expect(await told).toBe('web');
    expect(await two.entries.get('web')).toEqual(put);
    expect(await two.use.add([{ key: 'a', addedMs: 100 }], 60_000)).toEqual([100]);
  });

  it('sentinels', async () => {
    const server = await startServer(['--requirepass', PASSWORD]);
    const folder = await mkdtemp(join(tmpdir(), 'sentinel-'));
    closing.push(() => rm(folder, { recursive: true }));
    const file = join(folder, 'sentinel.conf');
    await writeFile(
      file,
      `sentinel monitor main 127.0.0.1 ${server.port} 1\nsentinel auth-pass main ${PASSWORD}\n`,
    );
    const sentinel = await startServer(['--sentinel'], { first: [file] });
    const store = openStore(`redis+sentinel://:${PASSWORD}@127.0.0.1:${sentinel.port}/main`);
    await store.changed(true);
    const put = entry('watched');
    await (await takeTurn(store, 'web')).settle(put);
    expect(await store.entries.get('web')).toEqual(put);
  });
});

describe.skipIf(!hasRedisServer())('limits in Redis', () => {
  it('are added up for all instances, and come back with time', async () => {
    const server = await startServer();
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    const use = (addedMs: number) => [{ key: 'principal https://a user', addedMs }];
    expect(await one.use.add(use(30_000), 60_000)).toEqual([30_000]);
    const [aheadMs] = await two.use.add(use(29_000), 60_000);
    expect(aheadMs).toBeGreaterThan(30_000);
    expect(aheadMs).toBeLessThanOrEqual(59_000);
    // No further ahead than the limit.
    expect(await two.use.add(use(600_000), 60_000)).toEqual([60_000]);
    const client = await openClient(server.url);
    const [key = ''] = await client.keys('*');
    expect(key).toMatch(/^imagecaches-bff:1:test:use:\{[\w-]{22}\}$/);
    expect(await client.pTTL(key)).toBeLessThanOrEqual(60_000);
  });

  it('are not known without it, or when it says what cannot be', async () => {
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    const client = await openClient(server.url);
    const poisons = ['x', '-5', '1e300', 'nan', String(Date.now() + 1e9)];
    const uses = poisons.map((poison) => ({ key: poison, addedMs: 10 }));
    await store.use.add(uses, 60_000);
    // Which is whose does not matter. They may come late: nobody waits for Redis longer than 50 ms.
    let keys: string[] = [];
    while (keys.length < poisons.length) keys = await client.keys('*');
    for (const [index, poison] of poisons.entries()) await client.set(keys[index] as string, poison);
    for (const aheadMs of await store.use.add(uses, 60_000)) expect(aheadMs ?? 0).toBeLessThanOrEqual(10);
    for (const key of keys) {
      await client.del(key);
      await client.rPush(key, 'x');
    }
    expect(await store.use.add(uses, 60_000)).toEqual(poisons.map(() => undefined));
    await server.kill();
    await store.changed(false);
    expect(await store.use.add([{ key: 'a', addedMs: 10 }], 60_000)).toEqual([undefined]);
  });
});
