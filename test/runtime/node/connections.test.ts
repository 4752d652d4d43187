import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import {
  connectionKey,
  readUnacknowledgedBytes,
} from '../../../src/runtime/node/server/unacknowledged-bytes.ts';
import { connectRaw } from '../../support/raw-connection.ts';
import { cleanups, GET, isFull, scripted, start } from './connections-harness.ts';

const SECOND = 1000;

describe('a client that takes nothing of its answer', () => {
  it.each([
    ['one large answer', GET('/large')],
    ['many, pipelined', GET('/large').repeat(200)],
  ])('is disconnected after 30 seconds: %s', async (_what, requests) => {
    const { script, watch, readUnacknowledged } = scripted();
    const { open, checkAt, lines } = await start({ readUnacknowledged });
    const { client, server } = await open();
    watch(server);
    script.bytes = 3_000_000;
    client.write(requests);
    await isFull(server);
    await checkAt(0);
    for (const second of [2, 9.9, 10, 20, 29.9]) await checkAt(second * SECOND);
    expect(server.destroyed).toBe(false);
    await checkAt(30 * SECOND);
    expect(server.destroyed).toBe(true);
    expect(lines).toEqual([
      { level: 'info', fields: { connections: 1 }, message: 'clients that take no answer were cut off' },
    ]);
    // A reset, which the client meets however much it has not read.
    client.write('x');
    const [error] = (await once(client.resume(), 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^(?:ECONNRESET|EPIPE)$/);
  });

  it('is disconnected where the system says nothing', async () => {
    const { open, checkAt } = await start({ readUnacknowledged: async () => undefined });
    const { client, server } = await open();
    client.write(GET('/large'));
    await isFull(server);
    await checkAt(0);
    await checkAt(29.9 * SECOND);
    expect(server.destroyed).toBe(false);
    await checkAt(30 * SECOND);
    expect(server.destroyed).toBe(true);
  });

  it('is disconnected also when the system has all of it', async () => {
    const { script, watch, readUnacknowledged } = scripted();
    const { open, checkAt } = await start({ readUnacknowledged });
    const { client, server } = await open();
    watch(server);
    client.write(GET('/small'));
    await once(client, 'readable');
    await checkAt(0);
    script.bytes = 100;
    for (const second of [10, 29.9]) await checkAt(second * SECOND);
    expect(server.destroyed).toBe(false);
    await checkAt(30 * SECOND);
    expect(server.destroyed).toBe(true);
  });

  it('holds one answer, however many requests it has sent', async () => {
    const { open, held, connections } = await start();
    const { client, server } = await open();
    client.write(GET('/held').repeat(50));
    const answers = await held(1);
    client.write(GET('/held').repeat(50));
    expect(answers).toHaveLength(1);
    expect(server.isPaused()).toBe(true);
    answers[0]?.end('first');
    expect(await held(2)).toHaveLength(2);
    expect(connections.of(server).turns.waiting).toBeLessThanOrEqual(98);
  });

  it('is cut off when 20,000 requests wait on all connections, and it has sent most of them', async () => {
    const { open, held, connections } = await start();
    const modest = await open();
    modest.client.write(GET('/held').repeat(10));
    await held(1);
    const greedy: Awaited<ReturnType<typeof open>>[] = [];
    // A read of 64 KiB brings some 1,700 of these.
    for (let count = 0; count < 20; count += 1) greedy.push(await open());
    for (const { client } of greedy) client.write(GET('/held').repeat(5000));
    await Promise.race(
      greedy.map(({ server }) => new Promise<void>((resolve) => server.on('close', () => resolve()))),
    );
    expect(modest.server.destroyed).toBe(false);
    const waiting = [modest, ...greedy].filter(({ server }) => !server.destroyed);
    const count = waiting.reduce((sum, { server }) => sum + connections.of(server).turns.waiting, 0);
    expect(count).toBeLessThanOrEqual(20_000);
    expect(count).toBeGreaterThan(15_000);
  });

  it('is read again when it has taken its answers', async () => {
    const { open, held } = await start();
    const { client, server } = await open();
    client.write(GET('/held').repeat(2));
    const answers = await held(1);
    answers[0]?.end('1');
    await held(2);
    client.write(GET('/held'));
    answers[1]?.end('2');
    await held(3);
    expect(server.destroyed).toBe(false);
  });
});

describe('a slow client', () => {
  it('stays while the system sees it take something, and is disconnected 30 seconds after it stops', async () => {
    const { script, watch, readUnacknowledged } = scripted();
    const { open, checkAt } = await start({ readUnacknowledged });
    const { client, server } = await open();
    watch(server);
    client.write(GET('/large'));
    await isFull(server);
    script.bytes = 3_000_000;
    await checkAt(0);
    // 1,024 bytes every 20 seconds; the last ones at 400 seconds.
    for (let second = 2; second <= 400; second += 2) {
      if (second % 20 === 0) script.bytes -= 1024;
      await checkAt(second * SECOND);
      expect(server.destroyed).toBe(false);
    }
    await checkAt(429.9 * SECOND);
    expect(server.destroyed).toBe(false);
    await checkAt(430 * SECOND);
    expect(server.destroyed).toBe(true);
  });

  it('stays while it waits for an answer that is not there yet', async () => {
    const { open, checkAt, held } = await start();
    const { client, server } = await open();
    client.write(GET('/held'));
    await held(1);
    for (const second of [0, 10, 20, 30, 60, 300]) await checkAt(second * SECOND);
    expect(server.destroyed).toBe(false);
  });

  it('is not taken for one when it idles between requests, and the system is asked once', async () => {
    const { script, watch, readUnacknowledged } = scripted();
    const { open, checkAt } = await start({ readUnacknowledged });
    const { client, server } = await open();
    watch(server);
    client.write(GET('/small'));
    await once(client, 'readable');
    for (let second = 0; second <= 60; second += 2) await checkAt(second * SECOND);
    expect(server.destroyed).toBe(false);
    expect(script.reads).toBe(1);
  });
});

describe.skipIf(process.platform !== 'linux')('the system', () => {
  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '::1'],
    ['::', '127.0.0.1'],
  ])('tells what a client has not taken, listening on %s, to %s', async (host, address) => {
    const { open, port } = await start({}, host);
    const { client, server } = await open(address);
    expect((await readUnacknowledgedBytes(port))?.has(connectionKey(server))).toBe(false);
    client.write(GET('/large'));
    await isFull(server);
    const owed = async () => (await readUnacknowledgedBytes(port))?.get(connectionKey(server)) ?? 0;
    const before = await owed();
    expect(before).toBeGreaterThan(0);
    // It takes some of it, far less than makes room for more.
    let taken = 0;
    client.on('data', (chunk) => {
      taken += chunk.length;
      if (taken >= 262_144) client.pause();
    });
    client.resume();
    while ((await owed()) === before);
    const closed = new Promise((resolve) => server.on('close', resolve));
    client.destroy();
    await closed;
    expect((await readUnacknowledgedBytes(port))?.has(connectionKey(server))).toBe(false);
  });
});

describe('past the bound of connections', () => {
  const isOpen = (sockets: readonly { server: Socket }[]) => sockets.map(({ server }) => !server.destroyed);

  it('one without a request makes room, the oldest first, and one line says so', async () => {
    const { open, checkAt, lines } = await start({ max: 3 });
    const sockets = [await open(), await open(), await open()];
    sockets.push(await open(), await open());
    expect(isOpen(sockets)).toEqual([false, false, true, true, true]);
    await checkAt(0);
    await checkAt(2000);
    expect(lines).toEqual([
      {
        level: 'warn',
        fields: { max: 3, ended: 2, refused: 0 },
        message: 'too many connections: idle ones were ended',
      },
    ]);
  });

  it('one that idles makes room before one that is answered, the least lately used first', async () => {
    const { open, held } = await start({ max: 3 });
    const [working, idle, used] = [await open(), await open(), await open()];
    for (const { client } of [used, idle, used]) {
      client.write(GET('/small'));
      await once(client, 'readable');
      client.read();
    }
    working.client.write(GET('/held'));
    await held(1);
    const late = await open();
    expect(isOpen([working, idle, used, late])).toEqual([true, false, true, true]);
    const later = await open();
    expect(isOpen([working, used, late, later])).toEqual([true, true, false, true]);
  });

  it('one that does not take its answer makes room after 5 seconds', async () => {
    const { open, checkAt, held } = await start({ max: 2, readUnacknowledged: async () => undefined });
    const [stalled, working] = [await open(), await open()];
    working.client.write(GET('/held'));
    await held(1);
    stalled.client.write(GET('/large'));
    await isFull(stalled.server);
    await checkAt(0);
    await checkAt(4.9 * SECOND);
    const early = await open();
    expect(isOpen([stalled, working, early])).toEqual([true, true, false]);
    await checkAt(5 * SECOND);
    const late = await open();
    expect(isOpen([stalled, working, late])).toEqual([false, true, true]);
  });

  it('a new one is refused where all are being answered', async () => {
    const { open, held, checkAt, lines } = await start({ max: 2 });
    const busy = [await open(), await open()];
    for (const { client } of busy) client.write(GET('/held'));
    await held(2);
    const refused = await open();
    expect(isOpen([...busy, refused])).toEqual([true, true, false]);
    await checkAt(0);
    expect(lines.map(({ fields }) => fields)).toEqual([{ max: 2, ended: 0, refused: 1 }]);
  });

  it('the network that has most makes room', async () => {
    const { open } = await start({ max: 4 }, '::');
    const other = await open('::1');
    const crowd = [await open('127.0.0.1'), await open('127.0.0.1'), await open('127.0.0.1')];
    const fresh = await open('::1');
    expect(isOpen([other, ...crowd, fresh])).toEqual([true, false, true, true, true]);
  });

  it('1,000 connections leave room for a caller', async () => {
    const { open, port, connections } = await start({ max: 50 });
    const caller = connectRaw(port);
    cleanups.push(() => void caller.socket.destroy());
    caller.send(GET('/small'));
    await caller.until(/small/);
    // In steps, since this process holds both ends.
    for (let step = 0; step < 10; step += 1)
      await Promise.all(
        Array.from({ length: 100 }, async () => {
          const client = net.connect({ port, host: '127.0.0.1' });
          client.on('error', () => undefined);
          await once(client, 'connect');
          client.unref();
          if (step % 2 === 1) client.destroy();
          cleanups.push(() => void client.destroy());
        }),
      );
    caller.send(GET('/small'));
    await caller.until(/small(?:.|\s)*small/);
    const { server } = await open();
    expect(connections.of(server).socket).toBe(server);
  });
});

describe('a connection that ends', () => {
  it('is closed 5 seconds later when its client does not', async () => {
    const { open, checkAt, connections } = await start();
    const { client, server } = await open();
    client.on('end', () => undefined);
    await checkAt(0);
    connections.endInTurn(server, () => server.end('bye'));
    await checkAt(4.9 * SECOND);
    expect(server.destroyed).toBe(false);
    await checkAt(5 * SECOND);
    expect(server.destroyed).toBe(true);
  });
});

describe('a request that was late while answers were due', () => {
  it('has 15 seconds more from then on', async () => {
    const late: Socket[] = [];
    const { open, checkAt, held, connections } = await start({ refuseLate: (socket) => late.push(socket) });
    const { client, server } = await open();
    client.write(GET('/held'));
    const [answer] = await held(1);
    connections.of(server).late = { requests: 1, sinceMs: undefined };
    await checkAt(100 * SECOND);
    answer?.end('done');
    await once(client, 'readable');
    await checkAt(101 * SECOND);
    await checkAt(115.9 * SECOND);
    expect(late).toEqual([]);
    await checkAt(116 * SECOND);
    expect(late).toEqual([server]);
  });

  it('is forgotten when it arrives', async () => {
    const late: Socket[] = [];
    const { open, checkAt, held, connections } = await start({ refuseLate: (socket) => late.push(socket) });
    const { client, server } = await open();
    client.write(GET('/held'));
    const answers = await held(1);
    connections.of(server).late = { requests: 1, sinceMs: undefined };
    answers[0]?.end('done');
    client.write(GET('/held'));
    (await held(2))[1]?.end('done');
    for (const second of [1, 20, 40]) await checkAt(second * SECOND);
    expect(late).toEqual([]);
  });
});
