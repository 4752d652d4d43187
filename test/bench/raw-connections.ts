import { once } from 'node:events';
import { connect } from 'node:net';

const CONTENT_LENGTH = /\r\ncontent-length: (\d+)/i;
const HEAD_END = '\r\n\r\n';
const READ_BYTES = 65_536;

export interface RawConnection {
  /** Sends the request, and calls back with the status when the whole answer is there. One at a time. */
  readonly ask: (onAnswer: (status: number) => void) => void;
  readonly close: () => void;
}

export interface RawRequest {
  readonly url: string;
  readonly method?: 'GET' | 'HEAD' | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Keep-alive connections that send one and the same request and read no more of an answer than where it ends: a client
 * that costs so little that it is the server that is measured.
 *
 * @param onError told when a connection breaks or an answer has no length
 */
export async function openRawConnections(
  { url, method = 'GET', headers }: RawRequest,
  count: number,
  onError: (error: Error) => void,
): Promise<RawConnection[]> {
  const { hostname, port, host, pathname, search } = new URL(url);
  const fields = Object.entries({ host, ...headers }).map(([name, value]) => `${name}: ${value}`);
  const request = [`${method} ${pathname}${search} HTTP/1.1`, ...fields, '', ''].join('\r\n');

  async function open(): Promise<RawConnection> {
    let missing = 0;
    let status = 0;
    let answered: ((status: number) => void) | undefined;
    const read = (chunk: Buffer) => {
      if (missing === 0) {
        const headEnd = chunk.indexOf(HEAD_END);
        const head = chunk.toString('latin1', 0, headEnd + 2);
        status = Number(head.slice(9, 12));
        const hasBody = method === 'GET' && status !== 304;
        const length = hasBody ? Number(CONTENT_LENGTH.exec(head)?.[1]) : 0;
        if (headEnd === -1 || Number.isNaN(length)) {
          onError(new Error(`${url}: an answer without a length`));
          return;
        }
        missing = headEnd + HEAD_END.length + length;
      }
      missing -= chunk.length;
      if (missing === 0) answered?.(status);
    };
    const socket = connect({
      host: hostname,
      port: Number(port),
      noDelay: true,
      // One buffer for all that comes: by default each read gets 64 KiB of its own.
      onread: {
        buffer: Buffer.alloc(READ_BYTES),
        callback: (length, buffer) => {
          read(Buffer.from(buffer.buffer, buffer.byteOffset, length));
          return true;
        },
      },
    });
    socket.on('error', onError);
    await once(socket, 'connect');
    return {
      ask(onAnswer) {
        answered = onAnswer;
        socket.write(request, 'latin1');
      },
      close: () => socket.destroy(),
    };
  }

  return Promise.all(Array.from({ length: count }, open));
}
