import type { Socket } from 'node:net';
import { pipeline, type Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { request } from 'undici';
import type { Fetch, FetchedResponse, NoAnswer } from '../../../platform/fetch.ts';
import { type Connect, USER_AGENT } from './outbound/connector.ts';
import { createPools } from './outbound/pools.ts';
import { type SocketUse, watchSocket } from './socket-use.ts';

/** How a connection began: without TLS, with a whole TLS handshake, or with one cut short by an earlier session. */
export type ConnectionBegin = 'plain' | 'new_session' | 'resumed_session';

export interface NodeFetch {
  readonly fetch: Fetch;
  /** Ends the connections. */
  readonly close: () => Promise<void>;
}

/**
 * What the core needs of fetch, over kept connections with a connect timeout, which the standard fetch has no word for;
 * that one also takes four times as long, most of it for streams and headers that nobody here asks for. No redirects: the
 * host that was signed is the host that is connected to, through a proxy or not.
 *
 * After a 5xx or a connection that failed, the next call to the same origin opens a connection, and resolves the name again.
 *
 * @param connect opens a connection, see createConnector
 * @param connectionOpened told of each connection, since an idle one is used again
 */
export function createNodeFetch(
  connect: Connect,
  connectionOpened: (begin: ConnectionBegin) => void = () => undefined,
): NodeFetch {
  const pools = createPools(async (target) => {
    const socket = await connect(target);
    connectionOpened(beginOf(socket));
    return socket;
  });
  return {
    fetch: async (url, { method = 'GET', headers = {}, body = null, signal }) => {
      const { origin } = new URL(url);
      const dispatcher = pools.of(origin);
      const retire = () => pools.retire(origin, dispatcher);
      const use: SocketUse = { isReused: false };
      try {
        const answer = await watchSocket(use, () =>
          request(url, {
            dispatcher,
            method,
            headers: { 'user-agent': USER_AGENT, ...headers },
            body,
            ...(signal && { signal }),
          }),
        );
        if (answer.statusCode >= 500) retire();
        answer.body.on('error', (error: NodeJS.ErrnoException) => {
          // A body that nobody wants is no failure.
          if (error.code !== 'UND_ERR_ABORTED' && !signal?.aborted) retire();
        });
        return toFetched(answer.statusCode, answer.headers, answer.body);
      } catch (error) {
        // Given up too: no answer came, and another connection may lead to the same silent address.
        retire();
        if (signal?.aborted) throw error;
        const noAnswer = reasonOf(error, use);
        throw Object.assign(new TypeError('no answer', { cause: error }), noAnswer && { noAnswer });
      }
    },
    close: pools.destroy,
  };
}

function beginOf(socket: Socket): ConnectionBegin {
  if (!(socket instanceof TLSSocket)) return 'plain';
  return socket.isSessionReused() ? 'resumed_session' : 'new_session';
}

/** Codes of a connection that did not come about in time. */
const TOO_LATE = new Set<unknown>(['UND_ERR_CONNECT_TIMEOUT', 'proxy_timeout']);
/** Codes of a connection that was closed by the other end. */
const CLOSED = new Set<unknown>(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

function reasonOf(error: unknown, { isReused }: SocketUse): NoAnswer | undefined {
  const { code } = error as { code?: unknown };
  if (TOO_LATE.has(code)) return 'connect_timeout';
  return isReused && CLOSED.has(code) ? 'reused_connection' : undefined;
}

function toFetched(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  body: Readable,
): FetchedResponse {
  const get = (name: string): string | null => {
    const value = headers[name];
    return Array.isArray(value) ? value.join(', ') : (value ?? null);
  };
  // A body that is cancelled, or breaks before somebody reads it, would end the process.
  let read = body.on('error', ignore);
  const cancel = async () => void read.destroy();
  return {
    status,
    headers: { get },
    body: {
      getReader: () => {
        read = decode(body, get('content-encoding') ?? '');
        const chunks = read[Symbol.asyncIterator]();
        return { read: () => chunks.next(), cancel };
      },
      cancel,
    },
  };
}

const DECODERS = new Map([
  ['gzip', createGunzip],
  ['x-gzip', createGunzip],
  ['deflate', createInflate],
  ['br', createBrotliDecompress],
]);

/**
 * Takes off the codings of a body (RFC 9110, section 8.4). None is asked for, since lists are short and near; who sends
 * one all the same is understood. An unknown one stays.
 */
function decode(body: Readable, contentEncoding: string): Readable {
  let decoded = body;
  if (contentEncoding !== '')
    for (const coding of contentEncoding.toLowerCase().split(',').reverse()) {
      const createDecoder = DECODERS.get(coding.trim());
      if (createDecoder === undefined) break;
      decoded = pipeline(decoded, createDecoder(), ignore);
    }
  return decoded.on('error', ignore);
}

function ignore(): void {
  // The reader of the body is told.
}
