import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type Server as HttpsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import type { App } from '../../../app.ts';
import { answer } from '../../../http/answer.ts';
import type { RenderedProblem } from '../../../http/problem.ts';
import type { TracedBindings } from '../../../http/trace.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { TlsMaterial } from '../tls/tls-material.ts';
import { answerHit, type TraceDecisions } from './answer-hit.ts';
import { canonicalHost } from './canonical-host.ts';
import { checkTarget } from './check-target.ts';
import { watchClientErrors } from './client-errors.ts';
import { type Connections, createConnections } from './connections.ts';
import { createRefuseUnrouted, endSocket, type RefuseUnrouted, type UnroutedRequest } from './unrouted.ts';

/** All request headers together: above a 16 KiB token, so that one over the limit gets its 401 from us. */
const MAX_HEADER_BYTES = 32_768;
/** Nothing here reads a body; a longer one, or one of unknown length, ends its connection with the answer: 64 KiB. */
const MAX_BODY_BYTES = 65_536;

/** Times that clients have, in milliseconds, by their names in Node. */
const TIMES = {
  /** For the handshake of TLS: 5 seconds. */
  handshakeTimeout: 5000,
  /** For a client to send its headers: 10 seconds. */
  headersTimeout: 10_000,
  /** For a client to send its whole request: 15 seconds. */
  requestTimeout: 15_000,
  /** Interval at which connections are checked for these times: 2 seconds. */
  connectionsCheckingInterval: 2000,
  /** Idle connections stay open longer than those of common load balancers (60 s), so that they close first. */
  keepAliveTimeout: 65_000,
};

export interface HttpServerOptions {
  /** Where it listens: the host of requests that name none (HTTP/1.0). An IPv6 address has brackets. */
  readonly hostname: string;
  /** True: every connection is closed with its answer. Asked for each request. */
  readonly isDraining: () => boolean;
  /** Most connections at once. */
  readonly maxConnections: number;
  /** What TLS is spoken with; with authorities of clients each client needs a certificate. Default: no TLS. */
  readonly tls?: TlsMaterial | undefined;
  /** Other times than those of the contract, for tests. */
  readonly times?: Partial<typeof TIMES>;
}

/** The server that callers reach: it bounds what a client may send and hold and how long it may take, and leads to the app. */
export function createHttpServer(
  app: Pick<App, 'fetch' | 'hits'>,
  { hostname, isDraining, maxConnections, tls, times }: HttpServerOptions,
  platform: Pick<Platform, 'logger' | 'metrics' | 'elapsed'>,
): Server | HttpsServer {
  const refuse = createRefuseUnrouted(platform);
  const decisions: TraceDecisions = new WeakMap();
  const throughHono = createHonoListener(app, { hostname, refuse, decisions });
  const options = {
    maxHeaderSize: MAX_HEADER_BYTES,
    ...TIMES,
    ...times,
    // Two Authorization headers become one bad one; by default Node would silently take the first.
    joinDuplicateHeaders: true,
    // A request without Host is refused below, as a problem.
    requireHostHeader: false,
    // No events of a body that is not there. Nothing here reads one.
    optimizeEmptyRequests: true,
  };
  const server: Server | HttpsServer =
    tls === undefined
      ? createServer(options)
      : createTlsServer({
          ...options,
          ...tls.context,
          // A client without a certificate of these authorities does not get as far as a request.
          requestCert: tls.texts.clientCa !== undefined,
          rejectUnauthorized: true,
        });
  const connections = createConnections(server, {
    max: maxConnections,
    logger: platform.logger,
    elapsed: platform.elapsed,
    refuseLate: (socket) => clientErrors.refuseLate(socket),
  });
  const clientErrors = watchClientErrors(server, connections, refuse);

  function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (isDraining() || hasLargeBody(incoming)) outgoing.setHeader('connection', 'close');
    const fault = checkTarget(incoming);
    if (fault !== undefined) send(outgoing, refuse('bad_request', fault, of(incoming)));
    else if (!answerHit(app.hits, incoming, outgoing, decisions)) throughHono(incoming, outgoing);
  }
  server.on('request', (incoming, outgoing) => connections.inTurn(incoming, outgoing, answer));

  function refuseExpectation(incoming: IncomingMessage, outgoing: ServerResponse): void {
    send(outgoing, refuse('expectation_failed', undefined, of(incoming)));
  }
  server.on('checkExpectation', (incoming: IncomingMessage, outgoing: ServerResponse) =>
    connections.inTurn(incoming, outgoing, refuseExpectation),
  );
  refuseTunnels(server, connections, refuse);
  return server;
}

function refuseTunnels(server: Server, connections: Connections, refuse: RefuseUnrouted): void {
  server.on('connect', (incoming: IncomingMessage, socket: Duplex) => {
    // Node has let go of the socket, and of its errors.
    socket.on('error', ignore);
    connections.endInTurn(incoming.socket, () =>
      endSocket(socket, refuse('method_not_allowed', 'only GET and HEAD are allowed here', of(incoming))),
    );
  });
}

interface NodeBindings extends TracedBindings {
  readonly incoming: IncomingMessage;
}

interface HonoListenerOptions {
  readonly hostname: string;
  readonly refuse: RefuseUnrouted;
  readonly decisions: TraceDecisions;
}

/** A listener that leads to the app; a request that never becomes one, by its target, is refused. */
function createHonoListener(
  app: Pick<App, 'fetch'>,
  { hostname, refuse, decisions }: HonoListenerOptions,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const fetch = (request: Request, env: NodeBindings) =>
    app.fetch(request, {
      ...env,
      traceDecision: decisions.get(env.incoming),
      httpVersion: env.incoming.httpVersion,
    });
  const listener = getRequestListener((request, env) => fetch(request, env as NodeBindings), {
    hostname: canonicalHost(hostname) ?? 'localhost',
    errorHandler: () => {
      const { status, headers, body } = refuse('bad_request', 'the request line is not valid');
      return answer(status, body, headers);
    },
  });
  return (incoming, outgoing) => void listener(incoming, outgoing);
}

function hasLargeBody({ headers }: IncomingMessage): boolean {
  return (
    headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES
  );
}

function of({ method, headers }: IncomingMessage): UnroutedRequest {
  const text = (name: string) => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  return { method, sentId: text('x-request-id'), traceparent: text('traceparent') };
}

function send(outgoing: ServerResponse, { status, headers, body }: RenderedProblem): void {
  outgoing.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' });
  outgoing.end(outgoing.req.method === 'HEAD' ? undefined : body);
}

function ignore(): void {
  // The connection is gone: there is nobody to answer.
}
