import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { readBody } from '../../../../src/outbound/read-body.ts';
import { createNodeFetch } from '../../../../src/runtime/node/platform/fetch.ts';
import { createConnector } from '../../../../src/runtime/node/platform/outbound/connector.ts';
import { NODE_NETWORK } from '../../../../src/runtime/node/platform/outbound/network.ts';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  vi.useRealTimers();
  for (const close of closing.splice(0).reverse()) await close();
});

type Answer = (response: ServerResponse) => void;

/** A server at an address of loopback, whose answers begin with its address. */
async function startAt(address: string, port: number) {
  const at = {
    address,
    answer: ((response) => response.end(address)) as Answer,
    sockets: new Set<Socket>(),
    port: 0,
  };
  const server = http.createServer((_request, response) => at.answer(response));
  server.keepAliveTimeout = 0;
  server.on('connection', (socket) => {
    at.sockets.add(socket);
    socket.on('close', () => at.sockets.delete(socket));
  });
  server.listen(port, address);
  await once(server, 'listening');
  at.port = (server.address() as AddressInfo).port;
  closing.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  return at;
}

/** A name that leads to one address at first, and may be moved to another. */
async function startService() {
  const first = await startAt('127.0.0.1', 0);
  const second = await startAt('127.0.0.2', first.port);
  let address = first.address;
  const { fetch, close } = createNodeFetch(
    createConnector({ timeoutMs: 5000 }, { ...NODE_NETWORK, lookup: async () => [address] }),
  );
  closing.push(close);
  const url = `http://cce.example.test:${first.port}/`;
  async function get(signal?: AbortSignal): Promise<string> {
    const response = await fetch(url, { redirect: 'manual', ...(signal && { signal }) });
    const text = new TextDecoder().decode(await readBody(response, 1000));
    // The connection is free a moment after the answer has been read.
    await new Promise((resolve) => setImmediate(resolve));
    return text;
  }
  return { first, second, get, move: () => (address = second.address) };
}

/** Calls at once, each over a connection of its own. */
async function openConnections(
  { first, get }: Awaited<ReturnType<typeof startService>>,
  count: number,
): Promise<void> {
  const held: ServerResponse[] = [];
  const { answer } = first;
  first.answer = (response) => {
    held.push(response);
    if (held.length === count) for (const other of held) answer(other);
  };
  await Promise.all(Array.from({ length: count }, () => get()));
  first.answer = answer;
  expect(first.sockets.size).toBe(count);
}

describe('a name that moves', () => {
  it('is not asked about while its connection is kept and well', async () => {
    const { get, move } = await startService();
    expect(await get()).toBe('127.0.0.1');
    move();
    expect(await get()).toBe('127.0.0.1');
  });

  it.each<[string, Answer]>([
    ['a 500', (response) => response.writeHead(500).end('failed')],
    ['a 503', (response) => response.writeHead(503).end('failed')],
    ['a connection that is closed', (response) => response.socket?.destroy()],
    [
      'a body that is cut',
      (response) => response.writeHead(200, { 'content-length': 100 }).write('x', () => response.destroy()),
    ],
  ])('is resolved again after %s, and no kept connection leads to its old address', async (_what, answer) => {
    const service = await startService();
    const { first, get, move } = service;
    await openConnections(service, 3);
    move();
    first.answer = answer;
    await get().catch(() => undefined);
    first.answer = (response) => response.end('old');
    expect(await Promise.all([get(), get(), get()])).toEqual(Array(3).fill('127.0.0.2'));
    // What was idle is closed.
    while (first.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('is resolved again after a call that was given up', async () => {
    const service = await startService();
    const { first, get, move } = service;
    await openConnections(service, 2);
    move();
    const asked = Promise.withResolvers<void>();
    first.answer = () => asked.resolve();
    const abort = new AbortController();
    const failure = expect(get(abort.signal)).rejects.toMatchObject({ name: 'AbortError' });
    await asked.promise;
    abort.abort();
    await failure;
    expect(await get()).toBe('127.0.0.2');
  });

  it.each([404, 429])('is not resolved again after a %d', async (status) => {
    const { first, get, move } = await startService();
    first.answer = (response) => response.writeHead(status).end('first');
    await get();
    move();
    expect(await get()).toBe('first');
  });

  it('does not cut off what is under way when another call fails', async () => {
    const { first, get, move } = await startService();
    const held: ServerResponse[] = [];
    first.answer = (response) => held.push(response);
    const slow = get();
    while (held.length < 1) await new Promise((resolve) => setImmediate(resolve));
    move();
    first.answer = (response) => response.writeHead(500).end();
    await get();
    await get();
    held[0]?.end('slow');
    expect(await slow).toBe('slow');
  });

  it('is resolved again when its connection has lived for 5 minutes', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const { get, move } = await startService();
    expect(await get()).toBe('127.0.0.1');
    move();
    for (let minute = 0; minute < 4; minute += 1) {
      vi.setSystemTime(Date.now() + 60_000);
      expect(await get()).toBe('127.0.0.1');
    }
    vi.setSystemTime(Date.now() + 60_001);
    expect(await get()).toBe('127.0.0.2');
  });
});
