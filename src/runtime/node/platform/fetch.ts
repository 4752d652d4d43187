import { pipeline, type Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { Agent, buildConnector, request } from 'undici';
import type { Fetch, FetchedResponse, NoAnswer } from '../../../platform/fetch.ts';
import { type SocketUse, watchSocket } from './socket-use.ts';

/** Idle upstream connections are kept this long: 30 seconds, less than common gateways do. */
const KEEP_ALIVE_MS = 30_000;
const USER_AGENT = 'imagecaches-bff';
/** There are the vendor's hosts and the issuers: the TLS sessions of so many are kept. */
const MAX_KEPT_SESSIONS = 100;

/** How a connection began: without TLS, with a whole TLS handshake, or with one cut short by an earlier session. */
export type ConnectionBegin = 'plain' | 'new_session' | 'resumed_session';

export interface NodeFetch {
  readonly fetch: Fetch;
  /** Ends the connections. */
  readonly close: () => Promise<void>;
}

/**
 * What the core needs of fetch, over a connection pool with a connect timeout, which the standard fetch has no word for;
 * that one also takes four times as long, most of it for streams and headers that nobody here asks for. No proxies and
 * no redirects: the host that was signed is the host that is connected to.
 *
 * @param connectTimeoutMs for name look-up, TCP and TLS together
 * @param connectionOpened told of each connection, since an idle one is used again
 */
export function createNodeFetch(
  connectTimeoutMs: number,
  connectionOpened: (begin: ConnectionBegin) => void = () => undefined,
): NodeFetch {
  const connect = buildConnector({ timeout: connectTimeoutMs, maxCachedSessions: MAX_KEPT_SESSIONS });
  /** undici refers to sessions weakly, so that most would be gone after the next garbage collection. */
  const sessions = new Map<string, Buffer>();
  const keepSession = (host: string, session: Buffer) => {
    if (sessions.size >= MAX_KEPT_SESSIONS) sessions.clear();
    sessions.set(host, session);
  };
  const dispatcher = new Agent({
    connect: (options, callback) => {
      connect(options, (error, socket) => {
        if (error !== null) {
          callback(error, null);
          return;
        }
        if (socket instanceof TLSSocket) {
          // With TLS 1.3 it comes after the handshake.
          socket.on('session', (session: Buffer) =>
            keepSession(options.servername ?? options.hostname, session),
          );
          connectionOpened(socket.isSessionReused() ? 'resumed_session' : 'new_session');
        } else connectionOpened('plain');
        callback(null, socket);
      });
    },
    keepAliveTimeout: KEEP_ALIVE_MS,
    // undici's own clocks are off by up to a second and count per socket; the core's deadlines rule.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    fetch: async (url, { method = 'GET', headers = {}, body = null, signal }) => {
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
        return toFetched(answer.statusCode, answer.headers, answer.body);
      } catch (error) {
        if (signal?.aborted) throw error;
        const noAnswer = reasonOf(error, use);
        throw Object.assign(new TypeError('no answer', { cause: error }), noAnswer && { noAnswer });
      }
    },
    close: () => dispatcher.destroy(),
  };
}

/** Codes of a connection that was closed by the other end. */
const CLOSED = new Set<unknown>(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

function reasonOf(error: unknown, { isReused }: SocketUse): NoAnswer | undefined {
  const { code } = error as { code?: unknown };
  if (code === 'UND_ERR_CONNECT_TIMEOUT') return 'connect_timeout';
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
  // Whoever reads the body hears of it.
}
