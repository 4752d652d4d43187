import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { afterEach } from 'vitest';
import {
  type Connections,
  type ConnectionsOptions,
  createConnections,
} from '../../../src/runtime/node/server/connections.ts';
import {
  connectionKey,
  type UnacknowledgedBytes,
} from '../../../src/runtime/node/server/unacknowledged-bytes.ts';
import { createRecordingLogger } from '../../support/recording-logger.ts';
import type { TestCertificate } from '../../support/test-certificates.ts';

/** More than the system takes for one connection: 64 MiB. */
const LARGE = Buffer.alloc(67_108_864, 'x');
export const GET = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

/** Run after each test, the last one first. */
export const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Started {
  readonly connections: Connections;
  readonly server: Server;
  readonly port: number;
  readonly lines: ReturnType<typeof createRecordingLogger>['lines'];
  /** Moves elapsed time to so many milliseconds after the start, and checks. */
  readonly checkAt: (ms: number) => Promise<void>;
  /** Opens a connection that reads nothing; resolves with both of its ends. */
  readonly open: (host?: string) => Promise<{ client: Socket; server: Socket }>;
  /** Resolves when a request has come; the answers to `/held` are given by hand. */
  readonly held: (count: number) => Promise<ServerResponse[]>;
}

/** @param tls with it the server speaks TLS, and clients do what they like: `open` gives sockets without it */
export async function start(
  options: Partial<ConnectionsOptions> = {},
  host = '127.0.0.1',
  tls?: TestCertificate,
): Promise<Started> {
  let nowMs = 0;
  const logger = createRecordingLogger();
  const times = { keepAliveTimeout: 60_000 };
  const server: Server = tls === undefined ? createServer(times) : createTlsServer({ ...times, ...tls });
  const connections = createConnections(server, { max: 100, logger, elapsed: () => nowMs, ...options });
  const held: ServerResponse[] = [];
  const waiters: { count: number; resolve: (held: ServerResponse[]) => void }[] = [];
  const answer = ({ url }: IncomingMessage, outgoing: ServerResponse) => {
    if (url !== '/held') {
      outgoing.end(url === '/large' ? LARGE : 'small');
      return;
    }
    held.push(outgoing);
    for (const waiter of waiters) if (held.length >= waiter.count) waiter.resolve(held);
  };
  server.on('request', (incoming, outgoing) => connections.inTurn(incoming, outgoing, answer));
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  cleanups.push(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return {
    connections,
    server,
    port,
    lines: logger.lines,
    checkAt: async (ms) => {
      nowMs = ms;
      await connections.check();
    },
    open: async (address = '127.0.0.1') => {
      const accepted = once(server, 'connection') as Promise<[Socket]>;
      const client = net.connect({ port, host: address }).pause();
      client.on('error', () => undefined);
      cleanups.push(() => void client.destroy());
      const [socket] = await accepted;
      return { client, server: socket };
    },
    held: (count) =>
      new Promise((resolve) => {
        if (held.length >= count) resolve(held);
        else waiters.push({ count, resolve });
      }),
  };
}

/** Resolves when the system takes no more of what is written. */
export async function isFull(socket: Socket): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = () => {
    if (socket.writableNeedDrain) resolve();
    else setImmediate(look);
  };
  look();
  await promise;
}

/** What the system says, by hand. */
export function scripted() {
  const script = { bytes: 0, reads: 0 };
  let key = '';
  return {
    script,
    watch: (socket: Socket) => {
      key = connectionKey(socket);
    },
    readUnacknowledged: async (): Promise<UnacknowledgedBytes> => {
      script.reads += 1;
      return new Map(script.bytes === 0 ? [] : [[key, script.bytes]]);
    },
  };
}
