import { once } from 'node:events';
import net, { type AddressInfo, Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { createConnector } from '../../../../src/runtime/node/platform/outbound/connector.ts';
import { NODE_NETWORK } from '../../../../src/runtime/node/platform/outbound/network.ts';
import { interleave, openTcp } from '../../../../src/runtime/node/platform/outbound/open-tcp.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';

/** What an address does with a connection: takes it after so many milliseconds, never, or refuses it. */
type Reaction = number | 'silent' | { readonly code: string; readonly afterMs: number };

interface Begun {
  readonly address: string;
  readonly atMs: number;
  readonly socket: Socket;
}

/** A network of addresses, in the order of the resolver. */
function createNetwork(reactions: Readonly<Record<string, Reaction>>) {
  const clock = createFakeClock();
  const startMs = clock.elapsed();
  const begun: Begun[] = [];
  const network = {
    schedule: clock.schedule,
    lookup: async () => Object.keys(reactions),
    connect: (address: string) => {
      const socket = new Socket();
      begun.push({ address, atMs: clock.elapsed() - startMs, socket });
      const reaction = reactions[address] ?? 'silent';
      if (typeof reaction === 'number') clock.schedule(() => socket.emit('connect'), reaction);
      else if (reaction !== 'silent')
        clock.schedule(
          () => socket.destroy(Object.assign(new Error('no'), { code: reaction.code })),
          reaction.afterMs,
        );
      return socket;
    },
  };
  /** What came of a connection within 2 seconds, and when. */
  async function outcome() {
    const connecting = createConnector(
      { timeoutMs: 2000 },
      network,
    )({
      isTls: false,
      hostname: 'cce.example.test',
      port: 443,
    });
    let result: { readonly atMs: number; readonly address?: string; readonly code?: string } | undefined;
    connecting.then(
      (socket) => {
        const address = begun.find((attempt) => attempt.socket === socket)?.address ?? 'none';
        result = { atMs: clock.elapsed() - startMs, address };
      },
      (error) => {
        result = { atMs: clock.elapsed() - startMs, code: String((error as { code?: unknown }).code) };
      },
    );
    for (let ms = 0; ms < 2500 && result === undefined; ms += 10) await clock.advance(10);
    return result;
  }
  const times = () => begun.map(({ address, atMs }) => [address, atMs]);
  return { clock, network, begun, outcome, times };
}

const refused = (afterMs: number) => ({ code: 'ECONNREFUSED', afterMs });

describe('attempts to connect', () => {
  it('to three dead addresses before a live one come to it within 1 second', async () => {
    const { outcome, times, begun } = createNetwork({
      '10.0.0.1': 'silent',
      '10.0.0.2': 'silent',
      '10.0.0.3': 'silent',
      '10.0.0.4': 20,
    });
    expect(await outcome()).toEqual({ atMs: 770, address: '10.0.0.4' });
    expect(times()).toEqual([
      ['10.0.0.1', 0],
      ['10.0.0.2', 250],
      ['10.0.0.3', 500],
      ['10.0.0.4', 750],
    ]);
    expect(begun.map(({ socket }) => socket.destroyed)).toEqual([true, true, true, false]);
  });

  it.each<[Record<string, Reaction>, number]>([
    [{ '10.0.0.1': 290, 'fd00::1': 'silent' }, 290],
    [{ 'fd00::1': 'silent', '10.0.0.1': 290 }, 540],
    [{ '10.0.0.1': 1500, 'fd00::1': 1700 }, 1500],
  ])('at %j are not given up for later ones', async (reactions, atMs) => {
    const { outcome, begun } = createNetwork(reactions);
    expect(await outcome()).toEqual({ atMs, address: '10.0.0.1' });
    expect(begun).toHaveLength(2);
  });

  it('that fail are followed by the next at once', async () => {
    const { outcome, times } = createNetwork({
      'fd00::1': { code: 'ENETUNREACH', afterMs: 0 },
      '10.0.0.1': refused(30),
      'fd00::2': 'silent',
      '10.0.0.2': 20,
    });
    expect(await outcome()).toEqual({ atMs: 300, address: '10.0.0.2' });
    expect(times()).toEqual([
      ['fd00::1', 0],
      ['10.0.0.1', 0],
      ['fd00::2', 30],
      ['10.0.0.2', 280],
    ]);
  });

  it('all end with the connect timeout, whose time the look-up takes too', async () => {
    const { outcome, begun } = createNetwork({ '10.0.0.1': 'silent', 'fd00::1': 2100, '10.0.0.2': 'silent' });
    expect(await outcome()).toEqual({ atMs: 2000, code: 'UND_ERR_CONNECT_TIMEOUT' });
    expect(begun.map(({ socket }) => socket.destroyed)).toEqual([true, true, true]);
    const slow = createNetwork({});
    slow.network.lookup = () => new Promise(() => undefined);
    expect(await slow.outcome()).toEqual({ atMs: 2000, code: 'UND_ERR_CONNECT_TIMEOUT' });
  });

  it('that have all failed fail with the error that says most', async () => {
    const { outcome, clock } = createNetwork({
      'fd00::1': { code: 'ENETUNREACH', afterMs: 0 },
      '10.0.0.1': refused(20),
    });
    expect(await outcome()).toEqual({ atMs: 20, code: 'ECONNREFUSED' });
    // Nothing is left to run.
    expect(clock.pending).toBe(0);
    const none = createNetwork({ 'fd00::1': { code: 'ENETUNREACH', afterMs: 0 } });
    expect(await none.outcome()).toEqual({ atMs: 0, code: 'ENETUNREACH' });
  });

  it('to a name without an address fail', async () => {
    expect(await createNetwork({}).outcome()).toMatchObject({ code: 'ENOTFOUND' });
  });

  it('to an address need no look-up', async () => {
    const { network, begun, clock } = createNetwork({ 'fd00::1': 10 });
    network.lookup = () => Promise.reject(new Error('asked'));
    const opened = openTcp('fd00::1', 443, new AbortController().signal, network);
    await clock.advance(10);
    expect(await opened).toBe(begun[0]?.socket);
  });

  it('go over real sockets', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    // Nobody listens at these.
    const lookup = async () => ['127.0.0.2', '::1', '127.0.0.3', '127.0.0.1'];
    const socket = await createConnector(
      { timeoutMs: 5000 },
      { ...NODE_NETWORK, lookup },
    )({
      isTls: false,
      hostname: 'cce.example.test',
      port,
    });
    expect([socket.remoteAddress, socket.remotePort]).toEqual(['127.0.0.1', port]);
    socket.destroy();
    server.close();
  });
});

describe('addresses', () => {
  it.each([
    [[], []],
    [['1.1.1.1'], ['1.1.1.1']],
    [
      ['fd00::1', 'fd00::2', 'fd00::3', '1.1.1.1', '2.2.2.2'],
      ['fd00::1', '1.1.1.1', 'fd00::2', '2.2.2.2', 'fd00::3'],
    ],
    [
      ['1.1.1.1', 'fd00::1', 'fd00::2', 'fd00::3', '1.1.1.1'],
      ['1.1.1.1', 'fd00::1', 'fd00::2', 'fd00::3'],
    ],
  ])('%j are taken in turns of the families', (addresses, expected) => {
    expect(interleave(addresses)).toEqual(expected);
  });
});
