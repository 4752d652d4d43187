import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { hasRedisServer, type RedisServer } from './redis-server.ts';
import {
  always,
  closeAll,
  closing,
  entry,
  NAMESPACE,
  never,
  openClient,
  openStore,
  startServer,
  type TestStore,
  takeTurn,
  textOf,
} from './test-store.ts';

/** The store is tried again after 1 second at first. */
const PAUSE_MS = 1000;
/** And no later than after 10 seconds. */
const LONGEST_PAUSE_MS = 10_000;
/** A store that is only read from is tried at this interval. */
const PROOF_MS = 5000;
/** What is forbidden is tried again at this interval. */
const LACKS_MS = 30_000;
/** Interval of looking again, where there are messages and where there are none. */
const LOOK_AGAIN_MS = 500;
const POLL_MS = 100;
const RENEW_MS = 700;
const PASSWORD = 'PlantedRedisPassword0003';

const NOT_WORKING = 'the shared store does not work; going on without it';
const NOT_ANSWERING = 'the shared store does not answer; going on without it';
const LACKING = 'the shared store answers, and forbids something that is done without';

type Client = Awaited<ReturnType<typeof openClient>>;

afterEach(closeAll);

/** Uses all that the service uses. */
async function useAll(store: TestStore): Promise<void> {
  const found = await store.entries.lookUp('web', never);
  if (found.state === 'ours') await found.settle(entry('a list'));
  await store.use.add([{ key: 'a', addedMs: 10 }], 60_000);
}

/** One line for each change, and what it says. */
function linesOf(store: TestStore) {
  return store.logger.lines.map(({ message, fields }) => ({ message, ...fields }));
}

describe.skipIf(!hasRedisServer())('a store that answers, and does not work', () => {
  const cases: readonly {
    readonly what: string;
    readonly fault: string;
    readonly args?: readonly string[];
    readonly break: readonly (readonly string[])[];
    readonly restore: readonly (readonly string[])[];
    /** Where the first command says something else than the trial at the start. */
    readonly commands: readonly string[];
  }[] = [
    {
      what: 'is full',
      fault: 'OOM',
      break: [['CONFIG', 'SET', 'maxmemory', '1']],
      restore: [['CONFIG', 'SET', 'maxmemory', '0']],
      commands: ['HSET', 'SET'],
    },
    {
      what: 'is a replica',
      fault: 'READONLY',
      break: [['REPLICAOF', '127.0.0.1', '1']],
      restore: [['REPLICAOF', 'NO', 'ONE']],
      commands: ['HSET', 'PEXPIRE', 'HDEL', 'SET', 'DEL'],
    },
    {
      what: 'is a replica whose primary is gone',
      fault: 'MASTERDOWN',
      args: ['--replica-serve-stale-data', 'no'],
      break: [['REPLICAOF', '127.0.0.1', '1']],
      restore: [['REPLICAOF', 'NO', 'ONE']],
      commands: ['HGET', 'HGETALL', 'GET', 'EVAL'],
    },
    {
      what: 'does not let the user set a key',
      fault: 'NOPERM',
      break: [['ACL', 'SETUSER', 'default', '-set']],
      restore: [['ACL', 'SETUSER', 'default', '+set']],
      commands: ['SET'],
    },
    {
      what: 'does not let the user near the keys',
      fault: 'NOPERM',
      break: [['ACL', 'SETUSER', 'default', 'resetkeys', '~others:*']],
      restore: [['ACL', 'SETUSER', 'default', 'allkeys']],
      commands: ['HSET', 'PEXPIRE', 'HGET', 'HGETALL', 'HDEL', 'SET', 'GET', 'DEL'],
    },
    {
      what: 'has too few replicas',
      fault: 'NOREPLICAS',
      break: [['CONFIG', 'SET', 'min-replicas-to-write', '1']],
      restore: [['CONFIG', 'SET', 'min-replicas-to-write', '0']],
      commands: ['HSET', 'PEXPIRE', 'HDEL', 'SET', 'DEL'],
    },
    {
      what: 'is a cluster with slots of nobody',
      fault: 'CLUSTERDOWN',
      args: ['--cluster-enabled', 'yes'],
      break: [['CLUSTER', 'FLUSHSLOTS']],
      restore: [['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']],
      commands: [],
    },
  ];

  async function waitForCluster(client: Client, args: readonly string[] = []): Promise<void> {
    if (!args.includes('--cluster-enabled')) return;
    while (!String(await client.sendCommand(['CLUSTER', 'INFO'])).includes('cluster_state:ok'));
  }

  it.each(cases)(
    '$what: log and metrics say $fault, it is left alone, and used again when it works',
    async ({ fault, args, break: breaking, restore }) => {
      const server = await startServer(args);
      const client = await openClient(server.url);
      if (fault === 'CLUSTERDOWN') await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
      await waitForCluster(client, args);
      const store = openStore(server.url);
      await store.changed(true);
      for (const command of breaking) await client.sendCommand(command);
      while (store.states.length === 1) await useAll(store);
      expect(store.states).toEqual(['up', `down ${fault}`]);
      const before = store.used.length;
      await useAll(store);
      expect(new Set(store.used.slice(before))).toEqual(
        new Set(['look_up:skipped', 'share:skipped', 'limits:skipped']),
      );

      for (const command of restore) await client.sendCommand(command);
      await waitForCluster(client, args);
      // One trial may have begun before.
      await expect
        .poll(() => {
          store.endPause();
          return store.states;
        })
        .toEqual(['up', `down ${fault}`, 'up']);
      await takeTurn(store, 'api');
      expect(store.used.at(-1)).toBe('look_up:ok');
      expect(linesOf(store)).toEqual([
        { message: 'the shared store answers' },
        { message: NOT_WORKING, fault },
        { message: 'the shared store answers' },
      ]);
    },
  );

  it.each(cases.filter(({ commands }) => commands.length > 0))(
    '$what from the beginning: the line names the commands that fail',
    async ({ fault, args, break: breaking, commands }) => {
      const server = await startServer(args);
      const client = await openClient(server.url);
      for (const command of breaking) await client.sendCommand(command);
      const store = openStore(server.url);
      await store.changed(false);
      expect(linesOf(store)).toEqual([{ message: NOT_WORKING, fault, commands }]);
      await useAll(store);
      expect(store.used.every((use) => use.endsWith(':skipped'))).toBe(true);
    },
  );

  it('is loading: LOADING, until it has loaded', async () => {
    const server = await startServer([
      '--enable-debug-command',
      'yes',
      '--loading-process-events-interval-bytes',
      '1024',
    ]);
    const client = await openClient(server.url);
    await client.sendCommand(['DEBUG', 'POPULATE', '100000']);
    await client.sendCommand(['SAVE']);
    // Each key takes a millisecond; the server answers after each kilobyte.
    await server.restart(['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024']);
    const store = openStore(server.url);
    await store.changed(false);
    const other = await openClient(server.url);
    await other.sendCommand(['CONFIG', 'SET', 'key-load-delay', '0']);
    await expect
      .poll(() => {
        store.endPause();
        return store.states;
      })
      .toEqual(['down LOADING', 'up']);
  });

  it('belongs to a cluster, and is named as one server: MOVED', async () => {
    const [without, whole] = [
      await startServer(['--cluster-enabled', 'yes']),
      await startServer(['--cluster-enabled', 'yes']),
    ];
    const client = await openClient(whole.url);
    await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    await client.sendCommand(['CLUSTER', 'MEET', '127.0.0.1', String(without.port)]);
    const other = await openClient(without.url);
    while (!String(await other.sendCommand(['CLUSTER', 'INFO'])).includes('cluster_slots_ok:16384'));
    while (!String(await other.sendCommand(['CLUSTER', 'INFO'])).includes('cluster_state:ok'));
    const store = openStore(without.url);
    await store.changed(false);
    expect(store.states).toEqual(['down MOVED']);
    expect(JSON.stringify(store.logger.lines)).not.toContain(String(whole.port));
  });

  it.each([
    ['a wrong password', 'WRONGPASS', `//:${PASSWORD}x@`],
    ['no password', 'NOAUTH', '//'],
  ])('is asked with %s: %s', async (_what, fault, credentials) => {
    const server = await startServer(['--requirepass', PASSWORD]);
    const store = openStore(server.url.replace('//', credentials));
    await store.changed(false);
    expect(linesOf(store)).toEqual([{ message: NOT_WORKING, fault }]);
    expect(JSON.stringify(store.logger.lines)).not.toContain(PASSWORD);
  });

  it('has a command under another name: ERR, and which command', async () => {
    const server = await startServer(['--rename-command', 'HGETALL', 'Planted0004']);
    const store = openStore(server.url);
    await store.changed(false);
    expect(linesOf(store)).toEqual([{ message: NOT_WORKING, fault: 'ERR', commands: ['HGETALL'] }]);
  });

  it('has no valid URL any more: location, without the URL', async () => {
    const server = await startServer();
    const store = openStore(server.url, {
      file: 'url',
      readTextFile: async () => `redis://:${PASSWORD}%@host`,
    });
    await store.changed(false);
    expect(store.states).toEqual(['down location']);
    expect(linesOf(store)[0]?.message).toBe(NOT_ANSWERING);
    expect(JSON.stringify(store.logger.lines)).not.toContain(PASSWORD);
  });

  it('changes from one fault to the next: one line for each', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    const store = openStore(server.url);
    await store.changed(true);
    await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '1']);
    while (store.states.length === 1) await useAll(store);
    await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '0']);
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-hset']);
    store.fire(PAUSE_MS);
    await store.changed(false, 2);
    store.fire(2 * PAUSE_MS);
    await server.kill();
    await store.changed(false, 3);
    expect(store.states).toEqual(['up', 'down OOM', 'down NOPERM', 'down unreachable']);
    expect(linesOf(store).slice(1)).toMatchObject([
      { message: NOT_WORKING, fault: 'OOM' },
      { message: NOT_WORKING, fault: 'NOPERM', commands: ['HSET'] },
      { message: NOT_ANSWERING, fault: 'unreachable' },
    ]);
  });

  it('is full when a list is shared: the turn is given up all the same', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    const store = openStore(server.url);
    await store.changed(true);
    const turn = await takeTurn(store, 'web');
    await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '1']);
    await turn.settle(entry('a list'));
    expect(store.used.at(-1)).toBe('share:error');
    expect(await client.exists(`${NAMESPACE}:turn:{web}`)).toBe(0);
  });

  it('is only read from: that it is full is noticed after 5 seconds', async () => {
    let nowMs = Date.now();
    const server = await startServer();
    const client = await openClient(server.url);
    const store = openStore(server.url, { now: () => nowMs });
    await store.changed(true);
    await client.sendCommand(['CONFIG', 'SET', 'maxmemory', '1']);
    nowMs += PROOF_MS - 1;
    await store.entries.get('web');
    expect(store.timers()).toBe(0);
    nowMs += 1;
    await store.entries.get('web');
    await store.changed(false);
    expect(store.states).toEqual(['up', 'down OOM']);
  });
});

/** A name behind which one server stands, and later another. */
async function startName(first: RedisServer) {
  let port = first.port;
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    const behind = connect(port, '127.0.0.1');
    for (const end of [socket, behind]) {
      open.add(end);
      end.on('error', () => undefined);
    }
    socket.pipe(behind).pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closing.push(() => {
    server.close();
    for (const end of open) end.destroy();
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as { port: number }).port}`,
    /** All that were ever made. */
    connections: () => connections,
    moveTo: (next: RedisServer) => {
      port = next.port;
    },
  };
}

describe.skipIf(!hasRedisServer())('a failover behind one name', () => {
  async function startPair() {
    const [primary, replica] = [await startServer(), await startServer()];
    const [first, second] = [await openClient(primary.url), await openClient(replica.url)];
    const name = await startName(primary);
    const store = openStore(name.url);
    await store.changed(true);
    const failOver = async () => {
      await second.sendCommand(['REPLICAOF', 'NO', 'ONE']);
      await first.sendCommand(['REPLICAOF', '127.0.0.1', String(replica.port)]);
    };
    return { name, store, replica, first, failOver };
  }
  const connections = async (client: Client) =>
    String(await client.sendCommand(['CLIENT', 'LIST', 'TYPE', 'NORMAL'])).split('\n').length;

  it('the connection to the demoted primary is replaced at once', async () => {
    const { name, store, replica, first, failOver } = await startPair();
    const before = await connections(first);
    name.moveTo(replica);
    await failOver();
    while (store.states.length === 1) await useAll(store);
    await store.changed(true, 2);
    expect(store.states).toEqual(['up', 'down READONLY', 'up']);
    await (await takeTurn(store, 'api')).settle(entry('new'));
    expect(textOf(await store.entries.get('api'))).toBe('new');
    // A connection to the old one would have been subscribed, which is another type: none of ours is left.
    await expect.poll(() => connections(first)).toBeLessThanOrEqual(before);
  });

  it('while the name still leads to it: tried again, after 10 seconds at most', async () => {
    const { name, store, replica, failOver } = await startPair();
    await failOver();
    while (store.states.length === 1) await useAll(store);
    let replaced = 0;
    for (const pauseMs of [1000, 2000, 4000, 8000, 10_000]) {
      // Each pause ends with a connection of its own; the first came at once.
      replaced += 1;
      const seen = () => [name.connections(), store.delays.has(pauseMs), store.timers()];
      // No trial is under way, which has 2 seconds too.
      await expect.poll(seen).toEqual([1 + replaced, true, 1]);
      if (pauseMs === LONGEST_PAUSE_MS) name.moveTo(replica);
      store.fire(pauseMs);
    }
    await store.changed(true, 2);
    expect(store.states).toEqual(['up', 'down READONLY', 'up']);
    expect(Math.max(...store.delays)).toBe(LONGEST_PAUSE_MS);
  });
});

describe.skipIf(!hasRedisServer())('a cluster that has moved', () => {
  async function startCluster() {
    const server = await startServer(['--cluster-enabled', 'yes']);
    const client = await openClient(server.url);
    await client.sendCommand(['CLUSTER', 'ADDSLOTSRANGE', '0', '16383']);
    while (!String(await client.sendCommand(['CLUSTER', 'INFO'])).includes('cluster_state:ok'));
    return server;
  }

  it('is found where the file says that it is', async () => {
    let nowMs = Date.now();
    const [old, next] = [await startCluster(), await startCluster()];
    let server = old;
    const store = openStore('redis://127.0.0.1:1', {
      now: () => nowMs,
      file: 'url',
      readTextFile: async () => `${server.url},${server.url}`,
    });
    await store.changed(true);
    server = next;
    await old.kill();
    while (store.states.length === 1) await useAll(store);
    expect(store.states).toEqual(['up', 'down unreachable']);
    nowMs += LONGEST_PAUSE_MS;
    store.fire(PAUSE_MS);
    await store.changed(true, 2);
    await takeTurn(store, 'web');
    expect(store.used.at(-1)).toBe('look_up:ok');
  });
});

describe.skipIf(!hasRedisServer())('a store without scripting', () => {
  const ways: readonly (readonly [string, readonly string[], readonly (readonly string[])[]])[] = [
    ['by permission', [], [['ACL', 'SETUSER', 'default', '-@scripting']]],
    ['by name', ['--rename-command', 'EVAL', ''], []],
  ];

  it.each(ways)('forbidden %s: all is done in single commands', async (_how, args, commands) => {
    const server = await startServer(args);
    const client = await openClient(server.url);
    for (const command of commands) await client.sendCommand(command);
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    expect(one.states).toEqual(['up scripting']);
    expect(linesOf(one)).toEqual([{ message: LACKING, lacks: ['scripting'], commands: ['EVAL'] }]);
    const told = two.sharedOnce();

    const turnKey = `${NAMESPACE}:turn:{web}`;
    const turn = await takeTurn(one, 'web');
    const waiting = await two.entries.lookUp('web', always);
    if (waiting.state !== 'taken') throw new Error(waiting.state);
    await client.pExpire(turnKey, 60_000);
    one.fire(RENEW_MS);
    while ((await client.pTTL(turnKey)) > 2000);
    const put = entry('{"image_caches":[{"name":"größe"}]}');
    await turn.settle(put);
    expect(await told).toBe('web');
    await waiting.changed;
    expect(await two.entries.get('web')).toEqual(put);
    expect(await client.exists(turnKey)).toBe(0);
    const leftMs = await client.pTTL(`${NAMESPACE}:entry:{web}`);
    expect(leftMs).toBeGreaterThan(61_000);
    expect(leftMs).toBeLessThanOrEqual(90_000);

    // Older than what is there; somebody else's turn stays.
    const late = await takeTurn(one, 'web');
    await client.set(turnKey, 'somebody else');
    await late.settle(entry('older', put.begunAtMs - 1));
    expect(await two.entries.get('web')).toEqual(put);
    expect(await client.get(turnKey)).toBe('somebody else');
    await client.del(turnKey);
    await (await takeTurn(one, 'web')).settle();
    expect(await client.exists(turnKey)).toBe(0);

    expect(await one.use.add([{ key: 'a', addedMs: 30_000 }], 60_000)).toEqual([30_000]);
    const [aheadMs] = await two.use.add([{ key: 'a', addedMs: 29_000 }], 60_000);
    expect(aheadMs).toBeGreaterThan(30_000);
    expect(aheadMs).toBeLessThanOrEqual(59_000);
    expect(await two.use.add([{ key: 'a', addedMs: 600_000 }], 60_000)).toEqual([60_000]);
    for (const { used, logger } of [one, two]) {
      expect(used.every((use) => use.endsWith(':ok'))).toBe(true);
      expect(logger.lines).toHaveLength(1);
    }
  });

  it('a value of another kind makes room, and what is no number is not believed', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-eval']);
    const store = openStore(server.url);
    await store.changed(true);
    for (const command of [
      ['SET', `${NAMESPACE}:entry:{web}`, 'x'],
      ['HSET', `${NAMESPACE}:entry:{web}`, 'begun', 'nan'],
      ['HSET', `${NAMESPACE}:entry:{web}`, 'begun', '253402300799000'],
    ]) {
      const turn = await takeTurn(store, 'web');
      await client.sendCommand(command);
      const put = entry('good');
      await turn.settle(put);
      expect(await store.entries.get('web')).toEqual(put);
      await client.del(`${NAMESPACE}:entry:{web}`);
    }
    // A use is kept until its time has come.
    await store.use.add([{ key: 'a', addedMs: 30_000 }], 60_000);
    const [key = ''] = await client.keys('*:use:*');
    await client.set(key, 'nan');
    expect(await store.use.add([{ key: 'a', addedMs: 30_000 }], 60_000)).toEqual([30_000]);
  });

  it('forbidden while it runs: the command under way is done in steps, and the store stays in use', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    const store = openStore(server.url);
    await store.changed(true);
    const turn = await takeTurn(store, 'web');
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-eval']);
    await turn.settle(entry('a list'));
    expect(await client.exists(`${NAMESPACE}:turn:{web}`)).toBe(0);
    expect(textOf(await store.entries.get('web'))).toBe('a list');
    expect(store.states).toEqual(['up', 'up scripting']);

    await client.sendCommand(['ACL', 'SETUSER', 'default', '+eval']);
    store.fire(LACKS_MS);
    await store.changed(true, 3);
    expect(store.states).toEqual(['up', 'up scripting', 'up']);
    expect(store.logger.lines).toHaveLength(3);
  });

  it('six replicas that miss at once: one loads, and nobody waits for the end of a turn', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-@scripting']);
    const stores = Array.from({ length: 6 }, () => openStore(server.url));
    await Promise.all(stores.map((store) => store.changed(true)));
    let loads = 0;
    // No timer goes off in here: who waits is told.
    await Promise.all(
      stores.map(async (store) => {
        for (;;) {
          const found = await store.entries.lookUp('web', always);
          if (found.state === 'served') return;
          if (found.state === 'taken') await found.changed;
          else {
            loads += 1;
            await found.settle(entry('a list'));
            return;
          }
        }
      }),
    );
    expect(loads).toBe(1);
  });
});

describe.skipIf(!hasRedisServer())('a store without channels', () => {
  it.each([
    ['none at all', ['resetchannels'], ['PUBLISH', 'SUBSCRIBE']],
    ['no messages out', ['-publish'], ['PUBLISH']],
    ['no messages in', ['-subscribe'], ['SUBSCRIBE']],
  ])('%s: who waits looks again every 100 ms', async (_what, rules, commands) => {
    const server = await startServer();
    const client = await openClient(server.url);
    await client.sendCommand(['ACL', 'SETUSER', 'default', ...rules]);
    const [one, two] = [openStore(server.url), openStore(server.url)];
    await Promise.all([one.changed(true), two.changed(true)]);
    expect(one.states).toEqual(['up channels']);
    expect(linesOf(one)).toEqual([{ message: LACKING, lacks: ['channels'], commands }]);
    const turn = await takeTurn(one, 'web');
    const waiting = await two.entries.lookUp('web', always);
    if (waiting.state !== 'taken') throw new Error(waiting.state);
    expect(two.delays.has(LOOK_AGAIN_MS)).toBe(false);
    await turn.settle(entry('a list'));
    two.fire(POLL_MS);
    await waiting.changed;
    expect(await two.entries.lookUp('web', always)).toEqual({ state: 'served' });
    await (await takeTurn(one, 'web')).settle();
    expect(await client.exists(`${NAMESPACE}:turn:{web}`)).toBe(0);
    expect(one.used.every((use) => use.endsWith(':ok'))).toBe(true);

    await client.sendCommand(['ACL', 'SETUSER', 'default', 'allchannels', '+publish', '+subscribe']);
    for (const store of [one, two]) {
      store.fire(LACKS_MS);
      await store.changed(true, 2);
      expect(store.states).toEqual(['up channels', 'up']);
    }
    const told = two.sharedOnce();
    await (await takeTurn(one, 'web')).settle(entry('told again'));
    expect(await told).toBe('web');
  });

  it('forbidden while it runs: what is under way is done, and the store stays in use', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    const store = openStore(server.url);
    await store.changed(true);
    const turn = await takeTurn(store, 'web');
    await client.sendCommand(['ACL', 'SETUSER', 'default', '-publish']);
    await turn.settle(entry('a list'));
    expect(textOf(await store.entries.get('web'))).toBe('a list');
    expect(store.states).toEqual(['up', 'up channels']);
  });

  it('and without scripting', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    await client.sendCommand(['ACL', 'SETUSER', 'default', 'resetchannels', '-eval']);
    const store = openStore(server.url);
    await store.changed(true);
    expect(store.states).toEqual(['up channels scripting']);
    await useAll(store);
    expect(textOf(await store.entries.get('web'))).toBe('a list');
    expect(store.used.every((use) => use.endsWith(':ok'))).toBe(true);
  });

  it('taken from a connection that is subscribed: it is replaced by one that is not', async () => {
    const server = await startServer();
    const client = await openClient(server.url);
    const store = openStore(server.url);
    await store.changed(true);
    // The server ends it, and the library would subscribe first when it is back.
    await client.sendCommand(['ACL', 'SETUSER', 'default', 'resetchannels']);
    await expect.poll(() => store.states.at(-1)).toBe('down NOPERM');
    store.fire(PAUSE_MS);
    await store.changed(true, 2);
    expect(store.states.at(-1)).toBe('up channels');
  });
});
