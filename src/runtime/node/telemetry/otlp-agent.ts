import { subscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Logger } from '../../../observability/logger.ts';
import { type Connect, createConnector } from '../platform/outbound/connector.ts';
import type { Outbound } from '../platform/platform.ts';

/** Idle connections are kept this long: 30 seconds, as to all other hosts. */
const KEEP_ALIVE_MS = 30_000;
/** The longest life of a connection to a collector: 5 minutes. The next one resolves the name again. */
const MAX_LIFE_MS = 300_000;

/** Members of the TLS options, and the end of the variables of OpenTelemetry that name their files. */
const TLS_FILES = [
  ['ca', 'CERTIFICATE'],
  ['cert', 'CLIENT_CERTIFICATE'],
  ['key', 'CLIENT_KEY'],
] as const;

/**
 * The agent of a trace exporter: its connections are made like all others that leave the service, through a proxy where
 * there is one. An exporter that is given an agent reads no certificates, so they are read here, from the files that
 * OTEL_EXPORTER_OTLP_CERTIFICATE, _CLIENT_CERTIFICATE and _CLIENT_KEY name, and the same with TRACES_ in front, which win.
 *
 * @param answered called with the status of each answer
 */
export function createOtlpAgent(
  protocol: string,
  { chooseProxy, connectTimeoutMs }: Outbound,
  environment: NodeJS.ProcessEnv,
  logger: Logger,
  answered: (status: number) => void = () => {},
): HttpAgent | HttpsAgent {
  const isTls = protocol === 'https:';
  const tls = isTls ? readTlsFiles(environment, logger) : {};
  const connect = createConnector({ timeoutMs: connectTimeoutMs, chooseProxy, tls });
  const connections = new Connections(connect, isTls, answered);
  return isTls ? new TlsAgent(connections) : new PlainAgent(connections);
}

function readTlsFiles(
  environment: NodeJS.ProcessEnv,
  logger: Logger,
): Partial<Record<'ca' | 'cert' | 'key', Buffer>> {
  const read: Partial<Record<'ca' | 'cert' | 'key', Buffer>> = {};
  for (const [member, end] of TLS_FILES) {
    const names = [`OTEL_EXPORTER_OTLP_TRACES_${end}`, `OTEL_EXPORTER_OTLP_${end}`];
    const setting = names.find((name) => (environment[name] ?? '').trim() !== '');
    if (setting === undefined) continue;
    try {
      read[member] = readFileSync((environment[setting] as string).trim());
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      logger.warn({ setting, code }, 'a file for the export of traces cannot be read');
    }
  }
  return read;
}

type Created = (error: Error | null, socket: Duplex) => void;

/** Where an agent's options lead. */
interface AgentTarget {
  readonly host?: string | null | undefined;
  readonly port?: number | string | null | undefined;
  readonly servername?: string | undefined;
}

/** Opens connections for an agent, and knows how old they are and which are idle. */
class Connections {
  readonly #connect: Connect;
  readonly #isTls: boolean;
  readonly #answered: (status: number) => void;
  /** Of those that may be kept. */
  readonly #openedAtMs = new Map<Duplex, number>();
  /** Ends each idle connection. */
  readonly #idle = new Map<Duplex, NodeJS.Timeout>();

  constructor(connect: Connect, isTls: boolean, answered: (status: number) => void) {
    this.#connect = connect;
    this.#isTls = isTls;
    this.#answered = answered;
  }

  open({ host, port, servername }: AgentTarget, created: Created): void {
    const target = {
      isTls: this.#isTls,
      hostname: (host ?? 'localhost').replace(/^\[|\]$/g, ''),
      port: Number(port ?? (this.#isTls ? 443 : 80)),
      serverName: servername,
    };
    this.#connect(target).then(
      (socket) => {
        OWNERS.set(socket, this);
        this.#openedAtMs.set(socket, performance.now());
        // Whichever comes first: the exporter hears of an end or an error before the socket is closed.
        for (const event of ['end', 'error', 'close']) socket.once(event, () => this.#forget(socket));
        created(null, socket);
      },
      (error) => {
        this.retire();
        created(error as Error, undefined as never);
      },
    );
  }

  /** @returns whether another export may use it */
  keep(socket: Duplex): boolean {
    const openedAtMs = this.#openedAtMs.get(socket);
    if (openedAtMs === undefined) return false;
    const leftMs = openedAtMs + MAX_LIFE_MS - performance.now();
    if (leftMs <= 0) return false;
    const end = () => socket.destroy();
    this.#idle.set(socket, setTimeout(end, Math.min(leftMs, KEEP_ALIVE_MS)).unref());
    return true;
  }

  reuse(socket: Duplex): void {
    clearTimeout(this.#idle.get(socket));
    this.#idle.delete(socket);
  }

  /** One that ends in use was cut, given up, or is not kept. */
  #forget(socket: Duplex): void {
    if (this.#openedAtMs.has(socket) && !this.#idle.has(socket)) this.retire();
    this.#openedAtMs.delete(socket);
    this.reuse(socket);
  }

  answer(status: number): void {
    if (status >= 500) this.retire();
    this.#answered(status);
  }

  /** No connection of now takes another export, since the name may lead to another address. What is under way goes on. */
  retire(): void {
    this.#openedAtMs.clear();
    for (const socket of this.#idle.keys()) socket.destroy();
  }
}

const OWNERS = new WeakMap<Duplex, Connections>();

// An agent is not shown the answers to its requests. The message comes with the head, before the connection is free.
subscribe('http.client.response.finish', (message) => {
  const { socket, statusCode = 0 } = (message as { readonly response: IncomingMessage }).response;
  OWNERS.get(socket)?.answer(statusCode);
});

const OPTIONS: AgentOptions = { keepAlive: true };

class PlainAgent extends HttpAgent {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    super(OPTIONS);
    this.#connections = connections;
  }

  override createConnection(target: AgentTarget, created: Created): undefined {
    this.#connections.open(target, created);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return keepsAlive(super.keepSocketAlive(socket)) && this.#connections.keep(socket);
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#connections.reuse(socket);
    super.reuseSocket(socket, request);
  }
}

class TlsAgent extends HttpsAgent {
  readonly #connections: Connections;

  constructor(connections: Connections) {
    super(OPTIONS);
    this.#connections = connections;
  }

  override createConnection(target: AgentTarget, created: Created): undefined {
    this.#connections.open(target, created);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return keepsAlive(super.keepSocketAlive(socket)) && this.#connections.keep(socket);
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#connections.reuse(socket);
    super.reuseSocket(socket, request);
  }
}

/** Node's documentation says that a falsy value closes the socket; its types know of none. */
function keepsAlive(kept: unknown): boolean {
  return Boolean(kept);
}
