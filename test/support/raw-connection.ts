import net from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

export interface RawConnection {
  readonly socket: net.Socket;
  readonly send: (text: string) => void;
  /** Everything that has come so far. */
  readonly received: () => string;
  /** Resolves when what has come matches; rejects when the connection closes before. */
  readonly until: (pattern: RegExp) => Promise<void>;
  /** Resolves with everything that came when the connection is closed, by whatever. */
  readonly closed: Promise<string>;
}

/**
 * A connection without any HTTP of a library. Texts are bytes: Latin-1.
 *
 * @param tls with it TLS is spoken. Default: none
 */
export function connectRaw(port: number, host = '127.0.0.1', tls?: ConnectionOptions): RawConnection {
  const socket = tls === undefined ? net.connect({ port, host }) : connectTls({ port, host, ...tls });
  let received = '';
  const listeners = new Set<() => void>();
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    received += text;
    for (const listener of listeners) listener();
  });
  socket.on('error', () => undefined);
  const closed = new Promise<string>((resolve) => socket.on('close', () => resolve(received)));
  return {
    socket,
    send: (text) => void socket.write(text, 'latin1'),
    received: () => received,
    until: (pattern) =>
      new Promise((resolve, reject) => {
        const look = () => {
          if (!pattern.test(received)) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
        void closed.then(() => reject(new Error(`closed before ${pattern}: ${received}`)));
      }),
    closed,
  };
}

/** All bytes that come for those that are sent, until the connection is closed. */
export function exchangeRaw(
  port: number,
  text: string,
  host?: string,
  tls?: ConnectionOptions,
): Promise<string> {
  const connection = connectRaw(port, host, tls);
  connection.send(text);
  return connection.closed;
}
