import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { ProblemCode } from '../../../http/problem.ts';
import type { Connections } from './connections.ts';
import { endSocket, type RefuseUnrouted } from './unrouted.ts';

const PROBLEMS: Readonly<Record<string, ProblemCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
};
const TIMEOUT = 'ERR_HTTP_REQUEST_TIMEOUT';
/** How the codes of Node's HTTP parser begin. What else goes wrong is TCP or TLS. */
const OF_PARSER = 'HPE_';
/** Something came after a request that asked to close the connection. */
const AFTER_CLOSE = 'HPE_CLOSED_CONNECTION';

export interface ClientErrors {
  /** Refuses a request that did not arrive in time. */
  readonly refuseLate: (socket: Socket) => void;
}

/**
 * Refuses what Node cannot read, and what does not arrive in time, after the answers that are due on the connection (RFC
 * 9112, section 9.3.2). A connection that fails beneath HTTP, such as in a TLS handshake, is closed without an answer.
 */
export function watchClientErrors(
  server: Server,
  connections: Connections,
  refuse: RefuseUnrouted,
): ClientErrors {
  const refuseWith = (socket: Socket, code: ProblemCode) =>
    connections.endInTurn(socket, () => endSocket(socket, refuse(code)));

  function refuseLate(socket: Socket): void {
    const { turns } = connections.of(socket);
    // The body is late of a request that has its answer already, or will have: there is nothing to say.
    if (turns.isBodyMissing) connections.endInTurn(socket, () => socket.end());
    else refuseWith(socket, 'request_timeout');
  }

  server.on('clientError', (error: NodeJS.ErrnoException, duplex) => {
    const socket = duplex as Socket;
    const { code = '' } = error;
    const isHttp = code === TIMEOUT || code.startsWith(OF_PARSER);
    if (!socket.writable || !isHttp) {
      if (!connections.isEnding(socket)) socket.destroy();
      return;
    }
    const connection = connections.of(socket);
    if (code === AFTER_CLOSE) {
      // RFC 9112, section 9.6: it is ignored. The answer that is due closes the connection.
      connections.endInTurn(socket, () => socket.end());
    } else if (code !== TIMEOUT) refuseWith(socket, PROBLEMS[code] ?? 'bad_request');
    else if (connection.turns.isAnswering && !connection.turns.isBodyMissing) {
      // It could not arrive: nothing is read while answers are due.
      connection.late ??= { requests: connection.requests, sinceMs: undefined };
    } else refuseLate(socket);
  });
  return { refuseLate };
}
