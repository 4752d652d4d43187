import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { buildConnector, errors } from 'undici';
import type { ChooseProxy, Target } from './choose-proxy.ts';
import { type Network, NODE_NETWORK } from './network.ts';
import { openTcp } from './open-tcp.ts';
import { openTunnel } from './open-tunnel.ts';

export const USER_AGENT = 'imagecaches-bff';
/** TLS sessions that are kept: 100. There are the vendor's hosts, the issuers and a collector. */
const MAX_KEPT_SESSIONS = 100;

export interface ConnectTarget extends Target {
  /** The name that the certificate has to be for; default: that of `hostname`. */
  readonly serverName?: string | undefined;
}

export interface ConnectorOptions {
  /** For look-up, TCP, the proxy's CONNECT and TLS together: milliseconds. */
  readonly timeoutMs: number;
  /** Default: no proxy. */
  readonly chooseProxy?: ChooseProxy;
  /** Authorities and a client certificate in place of Node's own; NODE_EXTRA_CA_CERTS is part of these. */
  readonly tls?: {
    readonly ca?: Buffer | undefined;
    readonly cert?: Buffer | undefined;
    readonly key?: Buffer | undefined;
  };
}

/**
 * Opens a connection over which a request can be sent at once.
 *
 * @throws ProxyError; undici's ConnectTimeoutError; else an error of Node's
 */
export type Connect = (target: ConnectTarget) => Promise<Socket>;

/** Makes every connection that leaves the service, those to Redis excepted. */
export function createConnector(options: ConnectorOptions, network: Network = NODE_NETWORK): Connect {
  const { timeoutMs, chooseProxy } = options;
  const startTls = createTlsStarter(options);
  return async (target) => {
    const timeout = new AbortController();
    const cancel = network.schedule(
      () => timeout.abort(new errors.ConnectTimeoutError('no connection in time')),
      timeoutMs,
    );
    try {
      const proxy = chooseProxy?.(target);
      const socket =
        proxy === undefined
          ? await openTcp(target.hostname, target.port, timeout.signal, network)
          : await openTunnel(proxy, target, timeout.signal, network, USER_AGENT);
      socket.setNoDelay(true).setKeepAlive(true, 60_000);
      return target.isTls ? await startTls(socket, target, timeout.signal) : socket;
    } finally {
      cancel();
    }
  };
}

function createTlsStarter({
  timeoutMs,
  tls: { ca, cert, key } = {},
}: ConnectorOptions): (socket: Socket, target: ConnectTarget, signal: AbortSignal) => Promise<Socket> {
  const upgrade = buildConnector({
    // The signal comes first: it has counted from the look-up on.
    timeout: 2 * timeoutMs,
    maxCachedSessions: MAX_KEPT_SESSIONS,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  });
  /** undici refers to sessions weakly, so that most would be gone after the next garbage collection. */
  const sessions = new Map<string, Buffer>();
  const keepSession = (host: string, session: Buffer) => {
    if (sessions.size >= MAX_KEPT_SESSIONS) sessions.clear();
    sessions.set(host, session);
  };
  return (socket, { hostname, port, serverName }, signal) =>
    new Promise((resolve, reject) => {
      const end = () => {
        socket.destroy();
        reject(signal.reason);
      };
      if (signal.aborted) {
        end();
        return;
      }
      signal.addEventListener('abort', end, { once: true });
      const to = { protocol: 'https:', hostname, host: hostname, port: String(port), httpSocket: socket };
      upgrade({ ...to, ...(serverName && { servername: serverName }) }, (error, secured) => {
        signal.removeEventListener('abort', end);
        if (error !== null) {
          socket.destroy();
          reject(error);
          return;
        }
        // With TLS 1.3 it comes after the handshake.
        if (secured instanceof TLSSocket)
          secured.on('session', (session: Buffer) => keepSession(serverName ?? hostname, session));
        resolve(secured);
      });
    });
}
