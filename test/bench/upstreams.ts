import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { pipeline } from 'node:stream';
import type { TokenIssuer } from '../../deploy/demo/token-issuer.ts';
import type { Simulator } from '../simulator/simulator.ts';
import { type StartedServer, startScript } from './servers.ts';

const REQUEST_TIMEOUT_MS = 15_000;

export interface ServiceOptions {
  readonly simulator: Simulator;
  readonly issuer: TokenIssuer;
  readonly log: string;
  /** Where CCE is, if not at the stand-in itself. */
  readonly upstream?: string;
  /** How long a list is fresh; the default of the service where absent. */
  readonly freshSeconds?: number;
}

/** This service before the stand-in, with its defaults and its log. */
export function startService(options: ServiceOptions): Promise<StartedServer> {
  const { simulator, issuer, log, upstream = simulator.url, freshSeconds } = options;
  return startScript(
    'src/runtime/node.ts',
    [],
    {
      ...simulator.environment,
      CCE_ENDPOINT: upstream,
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      METRICS_PORT: '0',
      SHUTDOWN_DELAY_SECONDS: '0',
      ...(freshSeconds === undefined ? {} : { CACHE_TTL_SECONDS: String(freshSeconds) }),
    },
    log,
  );
}

/** The list as this service answers it, for origins that are to answer the same bytes. */
export async function listOfService(options: ServiceOptions): Promise<Buffer> {
  const service = await startService(options);
  try {
    return await getList(`${service.url}/imagecaches`, await options.issuer.sign());
  } finally {
    await service.stop();
  }
}

/** @throws when the answer is not 200 */
export async function getList(url: string, token: string): Promise<Buffer> {
  const headers = { authorization: `Bearer ${token}` };
  const response = await fetch(url, { headers, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  const body = Buffer.from(await response.arrayBuffer());
  if (response.status !== 200) throw new Error(`${url} answers ${response.status}`);
  return body;
}

/** Tokens of as many callers, so that none comes near a limit of requests. */
export function tokensFor(issuer: TokenIssuer, callers: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: callers }, (_, index) => issuer.sign({ subject: `caller-${index}` })),
  );
}

/** An upstream for servers that sign nothing. */
export interface ListOrigin {
  readonly url: string;
  /** Since the start, or since they were last forgotten. */
  readonly calls: number;
  forgetCalls(): void;
  setList(list: Buffer): void;
  stop(): Promise<void>;
}

/** Starts an origin that answers every path with the list, after a delay, and says how long it is fresh. */
export async function startListOrigin(options: {
  readonly list: Buffer;
  readonly freshSeconds: number;
  readonly delayMs?: number;
}): Promise<ListOrigin> {
  const { freshSeconds, delayMs = 0 } = options;
  let { list } = options;
  let calls = 0;
  const server = createServer((_request, response) => {
    calls += 1;
    response.on('error', () => undefined);
    setTimeout(() => {
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': list.byteLength,
        'cache-control': `public, max-age=${freshSeconds}`,
      });
      response.end(list);
    }, delayMs);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get calls() {
      return calls;
    },
    forgetCalls() {
      calls = 0;
    },
    setList(newer) {
      list = newer;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What stands before an upstream and can take it away. */
export interface Front {
  readonly url: string;
  /** Connections that were tried while upstream was away. */
  readonly refused: number;
  /** From now on connections are closed at once, and those that are open too. */
  goDown(): void;
  comeBack(): void;
  stop(): Promise<void>;
}

/**
 * Starts a front that hands connections on to the upstream, or while it is away resets and counts them: what a closed
 * port would refuse could not be counted.
 */
export async function startFront(upstream: string): Promise<Front> {
  const { hostname, port } = new URL(upstream);
  const sockets = new Set<Socket>();
  let isDown = false;
  let refused = 0;
  const server = createTcpServer((socket) => {
    if (isDown) {
      refused += 1;
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      return;
    }
    const onward = connect(Number(port), hostname);
    for (const end of [socket, onward]) {
      sockets.add(end);
      end.once('close', () => sockets.delete(end));
    }
    pipeline(socket, onward, socket, () => {
      socket.destroy();
      onward.destroy();
    });
  });
  const closeAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get refused() {
      return refused;
    },
    goDown() {
      isDown = true;
      closeAll();
    },
    comeBack() {
      isDown = false;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        closeAll();
      }),
  };
}
