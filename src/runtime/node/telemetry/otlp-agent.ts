import { readFileSync } from 'node:fs';
import { Agent as HttpAgent } from 'node:http';
import { type AgentOptions, Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Logger } from '../../../observability/logger.ts';
import { type Connect, createConnector } from '../platform/outbound/connector.ts';
import type { Outbound } from '../platform/platform.ts';

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
 */
export function createOtlpAgent(
  protocol: string,
  { chooseProxy, connectTimeoutMs }: Outbound,
  environment: NodeJS.ProcessEnv,
  logger: Logger,
): HttpAgent | HttpsAgent {
  const isTls = protocol === 'https:';
  const tls = isTls ? readTlsFiles(environment, logger) : {};
  const connect = createConnector({ timeoutMs: connectTimeoutMs, chooseProxy, tls });
  return isTls ? new TlsAgent(connect) : new PlainAgent(connect);
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

/** Opens connections for an agent, and knows how old they are. */
class Connections {
  readonly #connect: Connect;
  readonly #isTls: boolean;
  readonly #openedAtMs = new WeakMap<Duplex, number>();

  constructor(connect: Connect, isTls: boolean) {
    this.#connect = connect;
    this.#isTls = isTls;
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
        this.#openedAtMs.set(socket, performance.now());
        created(null, socket);
      },
      (error) => created(error as Error, undefined as never),
    );
  }

  mayBeKept(socket: Duplex): boolean {
    return performance.now() - (this.#openedAtMs.get(socket) ?? 0) < MAX_LIFE_MS;
  }
}

const OPTIONS: AgentOptions = { keepAlive: true };

class PlainAgent extends HttpAgent {
  readonly #connections: Connections;

  constructor(connect: Connect) {
    super(OPTIONS);
    this.#connections = new Connections(connect, false);
  }

  override createConnection(target: AgentTarget, created: Created): undefined {
    this.#connections.open(target, created);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return this.#connections.mayBeKept(socket) && keepsAlive(super.keepSocketAlive(socket));
  }
}

class TlsAgent extends HttpsAgent {
  readonly #connections: Connections;

  constructor(connect: Connect) {
    super(OPTIONS);
    this.#connections = new Connections(connect, true);
  }

  override createConnection(target: AgentTarget, created: Created): undefined {
    this.#connections.open(target, created);
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return this.#connections.mayBeKept(socket) && keepsAlive(super.keepSocketAlive(socket));
  }
}

/** Node's documentation says that a falsy value closes the socket; its types know of none. */
function keepsAlive(kept: unknown): boolean {
  return Boolean(kept);
}
