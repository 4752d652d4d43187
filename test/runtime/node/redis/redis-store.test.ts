import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { SharedEntry } from '../../../../src/fleet/entries.ts';
import { hasRedisServer } from './redis-server.ts';
import {
  always,
  closeAll,
  closing,
  entry,
  NAMESPACE,
  openClient,
  openStore,
  startServer,
  takeTurn,
  textOf,
} from './test-store.ts';

/** No command is waited for longer than 50 ms (docs/replicas.md). */
const REDIS_TIMEOUT_MS = 50;
/** The location is read again when a connection has given nothing for 10 seconds (docs/replicas.md). */
const STUCK_MS = 10_000;
/** It is tried again after 1 second at first. */
const PAUSE_MS = 1000;
/** A trial of all commands, for which nobody waits, takes 2 seconds at most. */
const TRIAL_MS = 2000;

const PASSWORD = 'PlantedRedisPassword0001';
/** Who waits for the load of another looks again after this time. */
const LOOK_AGAIN_MS = 500;
/** The holder of a turn renews it after this time. */
const RENEW_MS = 700;

afterEach(closeAll);

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
    const server = await startServer();
    const store = openStore(server.url);
    await store.changed(true);
    server.freeze();
    closing.push(server.thaw);
    store.loseAnswers(true);
    for (let count = 0; count < 20; count += 1)
      expect((await store.entries.lookUp('web', always)).state).toBe('ours');
    // Apart from the trials, for which nobody waits.
    for (const delayMs of [TRIAL_MS, PAUSE_MS]) expect(store.delays.delete(delayMs)).toBe(true);
    expect(store.delays).toEqual(new Set([REDIS_TIMEOUT_MS, LOOK_AGAIN_MS]));
    expect(store.used.filter((use) => use === 'look_up:timeout')).toHaveLength(3);
    expect(store.used.filter((use) => use === 'look_up:skipped')).toHaveLength(17);
    await store.changed(false);
    server.thaw();
    store.loseAnswers(false);
    store.fire(PAUSE_MS);
    await store.changed(true, 2);
    await takeTurn(store, 'api');
    expect(store.used.at(-1)).toBe('look_up:ok');
    expect(store.logger.lines).toHaveLength(3);
  });

  it('slow now and then: an answer in between, and three have to be late again', async () => {
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

  it('frozen again: the pauses double from 1 to 10 seconds, and begin with 1 second after 10 good ones', async () => {
    let nowMs = Date.now();
    const server = await startServer();
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    closing.push(server.thaw);
    const freeze = async () => {
      store.delays.clear();
      server.freeze();
      store.loseAnswers(true);
      for (let count = 0; count < 3; count += 1) await store.entries.get('web');
      store.delays.delete(REDIS_TIMEOUT_MS);
    };
    const thaw = async (pauseMs: number, times: number) => {
      server.thaw();
      store.loseAnswers(false);
      store.fire(pauseMs);
      await store.changed(true, times);
    };
    await freeze();
    for (const pauseMs of [1000, 2000, 4000, 8000]) {
      expect([pauseMs, ...store.delays]).toEqual([pauseMs, pauseMs]);
      store.delays.clear();
      store.fire(pauseMs);
      // The trial came to its end, and the next pause has begun.
      await expect.poll(() => [store.delays.has(REDIS_TIMEOUT_MS), store.timers()]).toEqual([true, 1]);
      store.delays.delete(REDIS_TIMEOUT_MS);
    }
    await thaw(10_000, 2);
    // Well for less than 10 seconds: as before.
    nowMs += 9999;
    await freeze();
    expect([...store.delays]).toEqual([10_000]);
    await thaw(10_000, 3);
    nowMs += 10_000;
    await freeze();
    expect([...store.delays]).toEqual([1000]);
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
    store.fire(PAUSE_MS);
    expect(readings).toBe(1);
    nowMs += 1;
    store.fire(2 * PAUSE_MS);
    expect(readings).toBe(2);
    await store.changed(true, 2);
    store.loseAnswers(false);
    await takeTurn(store, 'web');
    expect(store.used.at(-1)).toBe('look_up:ok');
  });

  it('with a password that changes: the file is read again', async () => {
    const server = await startServer(['--requirepass', PASSWORD]);
    const files = new Map([['url', server.url.replace('//', '//:wrong@')]]);
    const store = openStore('redis://127.0.0.1:1', {
      file: 'url',
      readTextFile: async (path) => files.get(path) ?? '',
    });
    await store.changed(false);
    expect(await store.entries.get('web')).toBeUndefined();
    files.set('url', server.url.replace('//', `//:${PASSWORD}@`));
    store.fire(PAUSE_MS);
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

  describe('sentinels', () => {
    const OF_SENTINEL = 'Planted%/#OfTheSentinel';

    async function startSentinel(more = '') {
      const server = await startServer(['--requirepass', PASSWORD]);
      const folder = await mkdtemp(join(tmpdir(), 'sentinel-'));
      closing.push(() => rm(folder, { recursive: true }));
      const file = join(folder, 'sentinel.conf');
      await writeFile(
        file,
        `sentinel monitor main 127.0.0.1 ${server.port} 1\nsentinel auth-pass main ${PASSWORD}\n${more}`,
      );
      const sentinel = await startServer(['--sentinel'], { first: [file] });
      return `redis+sentinel://:${PASSWORD}@127.0.0.1:${sentinel.port}/main`;
    }

    async function share(url: string): Promise<void> {
      const store = openStore(url);
      await store.changed(true);
      const put = entry('watched');
      await (await takeTurn(store, 'web')).settle(put);
      expect(await store.entries.get('web')).toEqual(put);
    }

    it('that ask for nothing themselves', async () => {
      await share(await startSentinel());
    });

    it('with a password of their own', async () => {
      const url = await startSentinel(`requirepass "${OF_SENTINEL}"\n`);
      await share(`${url}?sentinel_password=${encodeURIComponent(OF_SENTINEL)}`);
      for (const [credentials, fault] of [
        ['', 'NOAUTH'],
        ['?sentinel_password=wrong', 'WRONGPASS'],
      ]) {
        const store = openStore(`${url}${credentials}`);
        await store.changed(false);
        expect(store.states).toEqual([`down ${fault}`]);
      }
    });

    it('with a user of its own, who may do no more than is needed', async () => {
      const rules = 'allchannels -@all +sentinel|sentinels +sentinel|master +sentinel|replicas +psubscribe';
      const url = await startSentinel(`user watcher on >${OF_SENTINEL} ${rules}\n`);
      await share(`${url}?sentinel_username=watcher&sentinel_password=${encodeURIComponent(OF_SENTINEL)}`);
    });

    it('whose primary asks for another password than is given', async () => {
      const store = openStore((await startSentinel()).replace(PASSWORD, 'wrong'));
      await store.changed(false);
      expect(store.states).toEqual(['down WRONGPASS']);
    });
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
    // A use is kept until its time has come: longer than what follows takes.
    const uses = poisons.map((poison) => ({ key: poison, addedMs: 30_000 }));
    await store.use.add(uses, 60_000);
    // Which is whose does not matter. They may come late: nobody waits for Redis longer than 50 ms.
    let keys: string[] = [];
    while (keys.length < poisons.length) keys = await client.keys('*');
    for (const [index, poison] of poisons.entries()) await client.set(keys[index] as string, poison);
    for (const aheadMs of await store.use.add(uses, 60_000)) expect(aheadMs).toBe(30_000);
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
