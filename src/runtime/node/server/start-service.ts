import { createServer, type IncomingMessage, type Server, STATUS_CODES } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { getRequestListener } from '@hono/node-server';
import packageJson from '../../../../package.json' with { type: 'json' };
import { createApp } from '../../../app.ts';
import type { Config } from '../../../config/config.ts';
import { type ProblemCode, ProblemError, problemAnswer } from '../../../http/problem.ts';
import { toResponse } from '../../../http/route.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Lifecycle } from '../../../pages/health.ts';
import type { Platform } from '../../../platform/platform.ts';
import { createNodePlatform } from '../platform/platform.ts';
import { createPrometheusMetrics, type PrometheusMetrics } from '../telemetry/metrics.ts';
import { type MetricsServer, startMetricsServer } from '../telemetry/metrics-server.ts';
import { createDirectListener } from './direct-listener.ts';

const { version: VERSION } = packageJson;

/** All request headers together: above a 16 KiB token, so that one over the limit gets its 401 from us. */
const MAX_HEADER_BYTES = 32_768;
/** A client has this long to send its headers, and its whole request. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;
/** Connections are looked at for these times so often. */
const CONNECTION_CHECK_MS = 2000;
/** Nothing here reads a body; a longer one, or one of unknown length, ends its connection with the answer: 64 KiB. */
const MAX_BODY_BYTES = 65_536;
/** Idle connections stay open longer than those of common load balancers (60 s), so that they close first. */
const KEEP_ALIVE_TIMEOUT_MS = 65_000;

/** While draining, connections that have become idle are looked for so often. */
const IDLE_CHECK_MS = 50;

export interface RunningService {
  /** Where it listens, such as http://127.0.0.1:8080. */
  readonly url: string;
  readonly port: number;
  /** Resolves when it has tried to get its issuers' keys and its credential; then it says so when it is ready. */
  readonly warmed: Promise<void>;
  /**
   * Unready, wait, stop accepting, finish what runs, at most for the grace time. Resolves when all is
   * closed; calling it again joins the first call.
   */
  readonly stop: () => Promise<void>;
}

/**
 * Starts the service on Node and resolves once it listens. It becomes ready a moment later, see `warmed`.
 *
 * @throws Error with a code such as EADDRINUSE when it cannot listen
 */
export async function startService(config: Config, logger: Logger): Promise<RunningService> {
  let lifecycle: Lifecycle = 'starting';
  const prometheus = createPrometheusMetrics(VERSION);
  const node = createNodePlatform(config, {
    logger,
    metrics: prometheus.metrics,
    connectionOpened: prometheus.connectionOpened,
  });
  // Nothing of OpenTelemetry, nor of Redis, is loaded where it is not wanted.
  const tracing =
    config.tracing &&
    (await (await import('../telemetry/tracer.ts')).createNodeTracing(config.tracing, VERSION, logger));
  const store =
    config.sharedStore &&
    (await import('../redis/create-redis-store.ts')).createRedisStore(config.sharedStore, node.platform);
  const platform: Platform = {
    ...node.platform,
    ...(tracing && { tracer: tracing.tracer }),
    ...(store && { fleet: store }),
  };

  const app = createApp(config, platform, () => lifecycle);
  const throughHono = getRequestListener(app.fetch, {
    hostname: config.listen.host,
    // A request that never becomes one: no host, or a target that is no URL.
    errorHandler: () =>
      toResponse(
        problemAnswer(
          new ProblemError('bad_request', { detail: 'the request line or the Host header is not valid' }),
          crypto.randomUUID(),
        ),
      ),
  });
  const directly = createDirectListener(app.routes, { keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS });
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: CONNECTION_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      // Two Authorization headers become one bad one; by default Node would silently take the first.
      joinDuplicateHeaders: true,
      // No events of a body that is not there. Nothing here reads one; a Node that does not know this ignores it.
      optimizeEmptyRequests: true,
    },
    (incoming, outgoing) => {
      if (lifecycle === 'draining' || hasLargeBody(incoming)) outgoing.setHeader('connection', 'close');
      if (!directly(incoming, outgoing)) void throughHono(incoming, outgoing);
    },
  );
  server.on('clientError', answerClientError);
  const metricsServer = await openMetrics(prometheus, config, logger);
  try {
    await listen(server, config.listen);
  } catch (error) {
    store?.stop();
    await metricsServer?.stop();
    throw error;
  }
  const { port } = server.address() as AddressInfo;
  const host = config.listen.host.includes(':') ? `[${config.listen.host}]` : config.listen.host;

  logger.info({ host: config.listen.host, port, upstream: config.target.upstream.endpoint }, 'listening');
  const warmed = app.warm().then(() => {
    if (lifecycle === 'starting') lifecycle = 'serving';
  });

  let stopping: Promise<void> | undefined;
  async function drain(): Promise<void> {
    lifecycle = 'draining';
    logger.info({ delayMs: config.shutdown.delayMs, graceMs: config.shutdown.graceMs }, 'draining');
    // Load balancers need a moment to see the failing readiness; until then requests are still served.
    await new Promise((resolve) => setTimeout(resolve, config.shutdown.delayMs));
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    logger.info({}, 'no longer accepting connections');
    // close() ends the connections that are idle now; those that become idle later have no more requests to wait for.
    const endIdle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
    const cutOff = setTimeout(() => {
      logger.warn({}, 'the grace time is over: open connections are cut off');
      server.closeAllConnections();
    }, config.shutdown.graceMs);
    await closed;
    clearTimeout(cutOff);
    clearInterval(endIdle);
    await node.close();
    await node.backgroundEnded();
    store?.stop();
    await tracing?.stop();
    // Last, so that the drain can be watched.
    await metricsServer?.stop();
    logger.info({}, 'stopped');
  }
  return {
    url: `http://${host}:${port}`,
    port,
    warmed,
    stop: () => {
      stopping ??= drain();
      return stopping;
    },
  };
}

function hasLargeBody({ headers }: IncomingMessage): boolean {
  return (
    headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > MAX_BODY_BYTES
  );
}

function listen(server: Server, { host, port }: Config['listen']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Undefined when metrics are off, or the default port belongs to somebody else. */
async function openMetrics(
  prometheus: PrometheusMetrics,
  { listen: { host }, metrics: { port, isDefault } }: Config,
  logger: Logger,
): Promise<MetricsServer | undefined> {
  if (port === 0) return undefined;
  try {
    const server = await startMetricsServer(prometheus, { host, port });
    logger.info({ host, port }, 'metrics');
    return server;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Prometheus itself listens there; serving callers matters more than a default.
    if (!isDefault || code !== 'EADDRINUSE') throw error;
    logger.warn({ host, port, code }, 'no metrics: their default port is taken; set METRICS_PORT');
    return undefined;
  }
}

const CLIENT_ERROR_PROBLEMS: Readonly<Record<string, ProblemCode>> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
};

/** What is not even HTTP never becomes a request: it is answered here, as a problem too, and cut off. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const code = CLIENT_ERROR_PROBLEMS[error.code ?? ''] ?? 'bad_request';
  const { status, headers, requestId, body } = problemAnswer(new ProblemError(code), crypto.randomUUID());
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `x-request-id: ${requestId}`,
    `content-length: ${Buffer.byteLength(body ?? '')}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
