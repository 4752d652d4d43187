import { TLSSocket } from 'node:tls';
import { Agent, buildConnector, fetch as undiciFetch } from 'undici';
import type { Dependencies } from '../../deps.ts';

/** Idle upstream connections are kept this long: 30 seconds, less than common gateways do. */
const KEEP_ALIVE_MS = 30_000;
/** There are the vendor's hosts and the issuers: the TLS sessions of so many are kept. */
const MAX_KEPT_SESSIONS = 100;

/** How a connection began: without TLS, with a whole TLS handshake, or with one cut short by an earlier session. */
export type ConnectionBegin = 'plain' | 'new_session' | 'resumed_session';

export interface NodeFetch {
  readonly fetch: Dependencies['fetch'];
  /** Ends the connections. */
  readonly close: () => Promise<void>;
}

/**
 * fetch over a connection pool with a connect timeout, which the standard fetch has no word for. It takes no
 * part in proxies and redirects: the host that was signed is the host that is connected to.
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
    fetch: async (url, init) =>
      (await undiciFetch(url, { ...init, dispatcher } as Parameters<
        typeof undiciFetch
      >[1])) as unknown as Response,
    close: () => dispatcher.destroy(),
  };
}
