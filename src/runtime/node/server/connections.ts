import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { type TLSSocket, Server as TlsServer } from 'node:tls';
import type { Platform } from '../../../platform/platform.ts';
import { Connection } from './connection.ts';
import type { AnswerRequest } from './turns.ts';
import { connectionKey, readUnacknowledgedBytes } from './unacknowledged-bytes.ts';

/** A client that takes nothing of its answer for this time is cut off: 30 seconds. */
const STALL_MS = 30_000;
/** From this time on the system is asked whether it takes something: 10 seconds. */
const SUSPECT_MS = 10_000;
/** From this time on it makes room for others where connections are scarce: 5 seconds. */
const SPARE_MS = 5000;
/** Time for a client to close a connection that ends, before it is closed for it: 5 seconds. */
const LINGER_MS = 5000;
/** Time for a request that was kept waiting to arrive completely: 15 seconds. */
const LATE_MS = 15_000;
/** A client has left in the middle of its handshake: nothing is wrong with TLS. */
const LEFT = 'ECONNRESET';
/** Interval at which all of this is checked: 2 seconds. */
const CHECK_MS = 2000;
/** Pipelined requests that wait on all connections together, at up to 3 KiB each. */
const MAX_WAITING_REQUESTS = 20_000;

export interface ConnectionsOptions {
  /** Most connections at once. */
  readonly max: number;
  readonly logger: Platform['logger'];
  readonly elapsed: Platform['elapsed'];
  /** Default: asks the system. */
  readonly readUnacknowledged?: typeof readUnacknowledgedBytes;
  /** Ends a connection on which a request did not arrive in time. Default: closes it. */
  readonly refuseLate?: (socket: Socket) => void;
}

/** The connections of one server. */
export interface Connections {
  /** Answers a request after those before it on the same connection. */
  readonly inTurn: (incoming: IncomingMessage, outgoing: ServerResponse, answer: AnswerRequest) => void;
  /** Ends a connection after the answers that are due. `end` writes the last bytes; then the client has 5 seconds to close. */
  readonly endInTurn: (socket: Socket, end: () => void) => void;
  readonly of: (socket: Socket) => Connection;
  /** True when the end of a connection is written, and its client has some time left to close it. */
  readonly isEnding: (socket: Socket) => boolean;
  /** Cuts off clients that take nothing. It runs every 2 seconds by itself. */
  readonly check: () => Promise<void>;
}

/**
 * Bounds what clients can hold of a server: how many connections, one answer on each, and 30 seconds for a client that takes
 * nothing. Where connections are scarce, one that does not work makes room: of the network that has most, one without a
 * request before one that idles, and that before one that does not take its answer; the least lately used first.
 *
 * With TLS a connection counts from the start of its handshake, whose time the server bounds, as one without a request.
 */
export function createConnections(server: Server, options: ConnectionsOptions): Connections {
  const connections = new ServerConnections(server, options);
  return {
    inTurn: (incoming, outgoing, answer) => {
      if (incoming.socket.destroyed) return;
      const connection = connections.use(incoming.socket);
      connection.requests += 1;
      connection.turns.take(incoming, outgoing, answer);
    },
    endInTurn: (socket, end) => connections.endInTurn(socket, end),
    of: (socket) => connections.of(socket),
    isEnding: (socket) => connections.isEnding(socket),
    check: () => connections.check(),
  };
}

class ServerConnections {
  readonly #server: Server;
  readonly #options: ConnectionsOptions;
  readonly #elapsed: Platform['elapsed'];
  readonly #open = new Map<Socket, Connection>();
  readonly #byNetwork = new Map<string, Set<Connection>>();
  /** Connections before the end of their TLS handshake, by their keys. */
  readonly #handshakes = new Map<string, Connection>();
  /** Handshakes that failed since the last check, by code. */
  #failedHandshakes: Record<string, number> = {};
  #uses = 0;
  #waiting = 0;
  #isChecking = false;
  #madeRoom = 0;
  #refused = 0;

  constructor(server: Server, options: ConnectionsOptions) {
    this.#server = server;
    this.#options = options;
    this.#elapsed = options.elapsed;
    server.on('connection', (socket: Socket) => this.#accept(socket));
    if (server instanceof TlsServer) {
      server.on('secureConnection', (socket) => this.#secure(socket));
      server.on('tlsClientError', (error, socket) => this.#countFailed(error, socket));
    }
    const timer = setInterval(() => void this.check(), CHECK_MS).unref();
    server.on('close', () => clearInterval(timer));
  }

  of(socket: Socket): Connection {
    return this.#open.get(socket) ?? this.#remember(socket);
  }

  isEnding(socket: Socket): boolean {
    return this.#open.get(socket)?.endedAtMs !== undefined;
  }

  use(socket: Socket): Connection {
    const connection = this.of(socket);
    this.#uses += 1;
    connection.lastUse = this.#uses;
    return connection;
  }

  endInTurn(socket: Socket, end: () => void): void {
    const connection = this.of(socket);
    connection.turns.endWith(() => {
      end();
      connection.endedAtMs = this.#elapsed();
      // What the client still sends is read and dropped: closing on it would take the answer away from the client.
      socket.resume();
    });
  }

  #accept(socket: Socket): void {
    if (this.#open.size >= this.#options.max && !this.#makeRoom()) {
      this.#refused += 1;
      socket.destroy();
      return;
    }
    const connection = this.use(socket);
    if (this.#server instanceof TlsServer) this.#handshakes.set(connection.key, connection);
  }

  /** After its handshake a connection is that of the socket that encrypts. */
  #secure(socket: TLSSocket): void {
    const handshake = this.#handshakes.get(connectionKey(socket));
    if (handshake === undefined) {
      // It made room for another one.
      socket.destroy();
      return;
    }
    this.#forget(handshake);
    this.#remember(socket, handshake.tcp).lastUse = handshake.lastUse;
  }

  #countFailed({ code = 'unknown' }: NodeJS.ErrnoException, { authorizationError }: TLSSocket): void {
    // A client whose certificate is refused is told nothing by Node, and looks as if it had left.
    const reason = typeof authorizationError === 'string' ? authorizationError : code;
    if (reason !== LEFT) this.#failedHandshakes[reason] = (this.#failedHandshakes[reason] ?? 0) + 1;
  }

  #remember(socket: Socket, tcp?: Socket): Connection {
    const connection = new Connection(socket, this.#elapsed(), (by) => this.#countWaiting(by), tcp);
    this.#open.set(socket, connection);
    const ofNetwork = this.#byNetwork.get(connection.network);
    if (ofNetwork === undefined) this.#byNetwork.set(connection.network, new Set([connection]));
    else ofNetwork.add(connection);
    socket.once('close', () => this.#forget(connection));
    return connection;
  }

  #forget(connection: Connection): void {
    this.#open.delete(connection.socket);
    if (this.#handshakes.get(connection.key) === connection) this.#handshakes.delete(connection.key);
    const ofNetwork = this.#byNetwork.get(connection.network);
    ofNetwork?.delete(connection);
    if (ofNetwork?.size === 0) this.#byNetwork.delete(connection.network);
  }

  #makeRoom(): boolean {
    let crowd: Set<Connection> | undefined;
    for (const ofNetwork of this.#byNetwork.values())
      if (crowd === undefined || ofNetwork.size > crowd.size) crowd = ofNetwork;
    const nowMs = this.#elapsed();
    const spare = findSpare(crowd ?? [], nowMs) ?? findSpare(this.#open.values(), nowMs);
    if (spare === undefined) return false;
    this.#madeRoom += 1;
    this.#forget(spare);
    spare.socket.destroy();
    return true;
  }

  #countWaiting(by: number): void {
    this.#waiting += by;
    if (this.#waiting <= MAX_WAITING_REQUESTS || by < 0) return;
    // The client that asked for most makes room.
    let greediest: Connection | undefined;
    for (const connection of this.#open.values())
      if (connection.turns.waiting > (greediest?.turns.waiting ?? 0)) greediest = connection;
    greediest?.turns.forgetWaiting();
    greediest?.socket.destroy();
  }

  async check(): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    try {
      const nowMs = this.#elapsed();
      for (const connection of this.#open.values()) {
        connection.observe(nowMs);
        this.#endOverdue(connection, nowMs);
      }
      // Nobody who has not finished a handshake is waited for when the server closes.
      if (!this.#server.listening) for (const { tcp } of this.#handshakes.values()) tcp.destroy();
      await this.#cutStalled(nowMs);
      this.#report();
    } finally {
      this.#isChecking = false;
    }
  }

  #endOverdue(connection: Connection, nowMs: number): void {
    const { socket, turns, endedAtMs, late } = connection;
    if (endedAtMs !== undefined) {
      if (nowMs - endedAtMs >= LINGER_MS) socket.destroy();
      return;
    }
    if (late === undefined || turns.isAnswering) return;
    if (late.requests !== connection.requests) connection.late = undefined;
    else if (late.sinceMs === undefined) late.sinceMs = nowMs;
    else if (nowMs - late.sinceMs >= LATE_MS) {
      connection.late = undefined;
      if (this.#options.refuseLate === undefined) socket.destroy();
      else this.#options.refuseLate(socket);
    }
  }

  async #cutStalled(nowMs: number): Promise<void> {
    const suspects = [...this.#open.values()].filter(
      (connection) => connection.stalledMs(nowMs) >= SUSPECT_MS,
    );
    const address = this.#server.address() as AddressInfo | null;
    if (suspects.length === 0 || address === null) return;
    const read = this.#options.readUnacknowledged ?? readUnacknowledgedBytes;
    const unacknowledged = await read(address.port);
    let cut = 0;
    for (const connection of suspects) {
      connection.compare(unacknowledged, nowMs);
      if (connection.stalledMs(nowMs) < STALL_MS) continue;
      cut += 1;
      // A reset frees what the system holds. An answer that the system has as a whole may still arrive.
      if (connection.isUnsent) connection.tcp.resetAndDestroy();
      else connection.socket.destroy();
    }
    if (cut > 0) this.#options.logger.info({ connections: cut }, 'clients that take no answer were cut off');
  }

  /** One line for each kind of what happened since the last check. */
  #report(): void {
    if (Object.keys(this.#failedHandshakes).length > 0) {
      this.#options.logger.info({ reasons: this.#failedHandshakes }, 'TLS handshakes failed');
      this.#failedHandshakes = {};
    }
    if (this.#madeRoom + this.#refused === 0) return;
    const counts = { max: this.#options.max, ended: this.#madeRoom, refused: this.#refused };
    this.#options.logger.warn(counts, 'too many connections: idle ones were ended');
    this.#madeRoom = 0;
    this.#refused = 0;
  }
}

/** The connection that is missed least; undefined where all are being answered. */
function findSpare(connections: Iterable<Connection>, nowMs: number): Connection | undefined {
  let spare: Connection | undefined;
  let spareRank = Number.POSITIVE_INFINITY;
  for (const connection of connections) {
    const rank = rankOf(connection, nowMs);
    if (rank > spareRank || rank === Number.POSITIVE_INFINITY) continue;
    if (rank === spareRank && spare !== undefined && spare.lastUse < connection.lastUse) continue;
    spare = connection;
    spareRank = rank;
  }
  return spare;
}

function rankOf(connection: Connection, nowMs: number): number {
  if (connection.requests === 0) return 0;
  if (!connection.turns.isAnswering) return 1;
  return connection.isUnsent && connection.stalledMs(nowMs) >= SPARE_MS ? 2 : Number.POSITIVE_INFINITY;
}
