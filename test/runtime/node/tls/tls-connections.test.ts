import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { connectRaw, exchangeRaw } from '../../../support/raw-connection.ts';
import { createCertificate } from '../../../support/test-certificates.ts';
import { cleanups, GET, isFull, scripted, start } from '../connections-harness.ts';

const SECOND = 1000;
const certificate = createCertificate();
const trust = { ca: certificate.cert };

type Started = Awaited<ReturnType<typeof start>>;

const startTls = (options: Parameters<typeof start>[0] = {}) => start(options, '127.0.0.1', certificate);

/** Opens a connection and does the handshake; resolves with both of its ends. */
async function openSecure({ open, server }: Started): Promise<{ client: TLSSocket; server: TLSSocket }> {
  const secured = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const { client: socket } = await open();
  const client = connect({ socket, host: '127.0.0.1', ...trust }).pause();
  client.on('error', () => undefined);
  cleanups.push(() => void client.destroy());
  const [end] = await secured;
  return { client, server: end };
}

const isOpen = (...sockets: Socket[]) => sockets.map((socket) => !socket.destroyed);

describe('a client of TLS that takes nothing of its answer', () => {
  it.each([
    ['one large answer', GET('/large')],
    ['many, pipelined', GET('/large').repeat(200)],
  ])('is disconnected after 30 seconds, by a reset: %s', async (_what, requests) => {
    const { script, watch, readUnacknowledged } = scripted();
    const started = await startTls({ readUnacknowledged });
    const { client, server } = await openSecure(started);
    watch(server);
    script.bytes = 3_000_000;
    client.write(requests);
    await isFull(server);
    await started.checkAt(0);
    for (const second of [2, 9.9, 10, 20, 29.9]) await started.checkAt(second * SECOND);
    expect(server.destroyed).toBe(false);
    const closed = once(server, 'close');
    await started.checkAt(30 * SECOND);
    await closed;
    expect(started.lines.map(({ message }) => message)).toEqual(['clients that take no answer were cut off']);
    client.write('x');
    const [error] = (await once(client.resume(), 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/^(?:ECONNRESET|EPIPE)$/);
  });

  it('stays while the system sees it take something', async () => {
    const { script, watch, readUnacknowledged } = scripted();
    const started = await startTls({ readUnacknowledged });
    const { client, server } = await openSecure(started);
    watch(server);
    client.write(GET('/large'));
    await isFull(server);
    script.bytes = 3_000_000;
    await started.checkAt(0);
    for (let second = 2; second <= 400; second += 2) {
      if (second % 20 === 0) script.bytes -= 1024;
      await started.checkAt(second * SECOND);
      expect(server.destroyed).toBe(false);
    }
  });

  it('holds one answer, however many requests it has sent, and gets all in order', async () => {
    const started = await startTls();
    const connection = connectRaw(started.port, '127.0.0.1', trust);
    cleanups.push(() => void connection.socket.destroy());
    connection.send(GET('/held').repeat(50));
    const answers = await started.held(1);
    connection.send(GET('/held'));
    expect(answers).toHaveLength(1);
    for (let count = 1; count <= 51; count += 1) {
      const held = await started.held(count);
      expect(held).toHaveLength(count);
      held[count - 1]?.end(`answer ${count}`);
    }
    await connection.until(/answer 51$/);
    const bodies = [...connection.received().matchAll(/answer (\d+)/g)].map(([, number]) => Number(number));
    expect(bodies).toEqual(Array.from({ length: 51 }, (_, index) => index + 1));
  });
});

describe('past the bound of connections, with TLS', () => {
  it('a connection counts once, during its handshake and after it', async () => {
    const started = await startTls({ max: 3 });
    const secure = [await openSecure(started), await openSecure(started), await openSecure(started)];
    expect(isOpen(...secure.map(({ server }) => server))).toEqual([true, true, true]);
    secure.push(await openSecure(started));
    expect(isOpen(...secure.map(({ server }) => server))).toEqual([false, true, true, true]);
  });

  it('one that never ends its handshake makes room before one that has sent a request', async () => {
    const started = await startTls({ max: 3 });
    const used = await openSecure(started);
    used.client.write(GET('/small'));
    await once(used.client, 'readable');
    const silent = [await started.open(), await started.open()];
    const late = await openSecure(started);
    expect(isOpen(used.server, ...silent.map(({ server }) => server), late.server)).toEqual([
      true,
      false,
      true,
      true,
    ]);
    const later = await started.open();
    expect(isOpen(used.server, ...silent.map(({ server }) => server), later.server)).toEqual([
      true,
      false,
      false,
      true,
    ]);
  });

  it('silent connections leave room for a caller', async () => {
    const started = await startTls({ max: 20 });
    const caller = connectRaw(started.port, '127.0.0.1', trust);
    cleanups.push(() => void caller.socket.destroy());
    caller.send(GET('/small'));
    await caller.until(/small$/);
    for (let count = 0; count < 100; count += 1) await started.open();
    caller.send(GET('/small'));
    await caller.until(/small(?:.|\s)*small$/);
    expect(
      await exchangeRaw(
        started.port,
        GET('/small').replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'),
        '127.0.0.1',
        trust,
      ),
    ).toMatch(/small$/);
  });
});

describe('a handshake', () => {
  it.each([
    ['HTTP without TLS', GET('/small'), { ERR_SSL_HTTP_REQUEST: 1 }],
    ['what is nothing', 'x'.repeat(100), { ERR_SSL_WRONG_VERSION_NUMBER: 1 }],
  ])(
    'that fails is closed without an answer of HTTP, and one line says so: %s',
    async (_what, bytes, reasons) => {
      const { port, checkAt, lines, server } = await startTls();
      const failed = once(server, 'tlsClientError');
      const connection = connectRaw(port);
      connection.send(bytes);
      const received = await connection.closed;
      await failed;
      expect(received).not.toContain('HTTP');
      await checkAt(0);
      await checkAt(2 * SECOND);
      expect(lines).toEqual([{ level: 'info', fields: { reasons }, message: 'TLS handshakes failed' }]);
    },
  );

  it('that its client leaves is no news', async () => {
    const { open, checkAt, lines, server } = await startTls();
    const failed = once(server, 'tlsClientError');
    const { client } = await open();
    client.destroy();
    await failed;
    await checkAt(0);
    expect(lines).toEqual([]);
  });

  it('does not hold up a server that closes', async () => {
    const { open, checkAt, server } = await startTls();
    const { server: silent } = await open();
    const closed = new Promise((resolve) => server.close(resolve));
    expect(silent.destroyed).toBe(false);
    await checkAt(0);
    await closed;
    expect(silent.destroyed).toBe(true);
  });
});
