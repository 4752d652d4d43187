import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import packageJson from '../../../../package.json' with { type: 'json' };
import { type App, createApp } from '../../../app.ts';
import type { Lifecycle } from '../../../composition/readiness.ts';
import type { Config } from '../../../config/config.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { Platform } from '../../../platform/platform.ts';
import { nothingElseIsSet } from '../credential-choice.ts';
import { authority } from '../platform/authority.ts';
import { createNodePlatform, type NodePlatform } from '../platform/platform.ts';
import type { RedisStore } from '../redis/create-redis-store.ts';
import { createPrometheusMetrics, type PrometheusMetrics } from '../telemetry/metrics.ts';
import { type MetricsServer, startMetricsServer } from '../telemetry/metrics-server.ts';
import type { NodeTracing } from '../telemetry/tracer.ts';
import { followTlsFiles } from '../tls/follow-tls-files.ts';
import { readTlsFiles } from '../tls/tls-files.ts';
import { createHttpServer } from './http-server.ts';
import { createMutedLogger } from './muted-logger.ts';

const { version: VERSION } = packageJson;

/** Interval at which connections that have become idle are closed while draining. */
const IDLE_CHECK_MS = 50;
/** Time for work that no caller waits for, such as a refresh, before it is dropped: 1 second. */
const BACKGROUND_MS = 1000;

export interface RunningService {
  /** Where it listens, such as http://127.0.0.1:8080, or https with TLS. */
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

/** What a service has opened, in the order in which it is closed. */
interface Opened {
  /** Silences that work that is dropped. */
  readonly mute: () => void;
  readonly node: NodePlatform;
  readonly store: RedisStore | undefined;
  readonly tracing: NodeTracing | undefined;
  readonly metricsServer: MetricsServer | undefined;
}

/**
 * Starts the service on Node and resolves once it listens. It becomes ready a moment later, see `warmed`.
 *
 * @throws Error with a code such as EADDRINUSE when it cannot listen
 */
export async function startService(config: Config, logger: Logger): Promise<RunningService> {
  let lifecycle: Lifecycle = 'starting';
  const tls = config.tls && readTlsFiles(config.tls);
  const prometheus = createPrometheusMetrics(VERSION);
  const { logger: ofWork, mute } = createMutedLogger(logger);
  const node = createNodePlatform(config, {
    logger: ofWork,
    metrics: prometheus.metrics,
    connectionOpened: prometheus.connectionOpened,
  });
  // Nothing of OpenTelemetry, nor of Redis, is loaded where it is not wanted.
  const tracing =
    config.tracing &&
    (await (
      await import('../telemetry/tracer.ts')
    ).createNodeTracing(config.tracing, VERSION, logger, node.outbound));
  const store =
    config.sharedStore &&
    (await import('../redis/create-redis-store.ts')).createRedisStore(config.sharedStore, node.platform);
  const platform: Platform = {
    ...node.platform,
    ...(tracing && { tracer: tracing.tracer }),
    ...(store && { fleet: store }),
  };

  const app = createApp(config, platform, () => lifecycle);
  const { host } = config.listen;
  const server = createHttpServer(
    app,
    {
      hostname: authority(host),
      isDraining: () => lifecycle === 'draining',
      maxConnections: config.listen.maxConnections,
      tls,
    },
    platform,
  );
  const metricsServer = await openMetrics(prometheus, config, logger, app);
  try {
    await listen(server, config.listen);
  } catch (error) {
    store?.stop();
    await metricsServer?.stop();
    throw error;
  }
  if (config.tls && tls && 'setSecureContext' in server) followTlsFiles(server, config.tls, tls, platform);
  const { port } = server.address() as AddressInfo;
  const { upstream, credentials } = config.target;
  const nothingElse = nothingElseIsSet(credentials);
  if (nothingElse !== undefined)
    logger.info(
      { source: credentials.source },
      `credentials come from the metadata service, since ${nothingElse}`,
    );
  logger.info({ host, port, upstream: upstream.endpoint }, 'listening');
  const warmed = app.warm().then(() => {
    if (lifecycle === 'starting') lifecycle = 'serving';
  });

  let stopping: Promise<void> | undefined;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${authority(host, port)}`,
    port,
    warmed,
    stop: () => {
      // What was never ready gets no requests from load balancers, which then need no notice.
      const delayMs = lifecycle === 'starting' ? 0 : config.shutdown.delayMs;
      lifecycle = 'draining';
      const opened = { mute, node, store, tracing, metricsServer };
      stopping ??= stopService(server, opened, { ...config.shutdown, delayMs }, logger);
      return stopping;
    },
  };
}

async function stopService(
  server: Server,
  { mute, node, store, tracing, metricsServer }: Opened,
  { delayMs, graceMs }: Config['shutdown'],
  logger: Logger,
): Promise<void> {
  logger.info({ delayMs, graceMs }, 'draining');
  // Load balancers need a moment to see the failing readiness; until then requests are still served.
  await new Promise((resolve) => setTimeout(resolve, delayMs));
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  logger.info({}, 'no longer accepting connections');
  // close() ends the connections that are idle now; those that become idle later have no more requests to wait for.
  const endIdle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS);
  const cutOff = setTimeout(() => {
    logger.warn({}, 'the grace time is over: open connections are cut off');
    server.closeAllConnections();
  }, graceMs);
  await closed;
  clearTimeout(cutOff);
  clearInterval(endIdle);
  mute();
  await endWithin(BACKGROUND_MS, node.backgroundEnded());
  await node.close();
  await node.backgroundEnded();
  store?.stop();
  await tracing?.stop();
  // Last, so that the drain can be watched.
  await metricsServer?.stop();
  logger.info({}, 'stopped');
}

async function endWithin(timeoutMs: number, work: Promise<unknown>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, timeoutMs);
  await Promise.race([work, promise]);
  clearTimeout(timer);
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
  app: Pick<App, 'request'>,
): Promise<MetricsServer | undefined> {
  if (port === 0) return undefined;
  try {
    const server = await startMetricsServer(prometheus, { host, port }, logger, (path) => app.request(path));
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
