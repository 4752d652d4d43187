import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../../../observability/logger.ts';
import { createConnections } from '../server/connections.ts';
import type { PrometheusMetrics } from './metrics.ts';

/** What is asked of the app, for probes that cannot ask on the port for callers. */
const PROBES: readonly string[] = ['/livez', '/readyz'];
/** A scrape takes milliseconds: 10 seconds for a whole request is plenty. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Interval at which connections are checked for this time: 2 seconds. */
const CONNECTION_CHECK_MS = 2000;
/** Most connections of scrapers at once. */
const MAX_CONNECTIONS = 100;

export interface MetricsServer {
  readonly server: Server;
  readonly stop: () => Promise<void>;
}

/**
 * Serves `/metrics` on a port of its own, so that it is not reachable where callers are, and `/livez` and `/readyz` as the
 * port for callers does: it speaks no TLS, so that a probe needs no certificate.
 *
 * @param probe asks the app for one of these paths
 * @throws Error with a code such as EADDRINUSE when it cannot listen
 */
export async function startMetricsServer(
  { render, contentType }: PrometheusMetrics,
  { host, port }: { readonly host: string; readonly port: number },
  logger: Logger,
  probe: (path: string) => Response | Promise<Response>,
): Promise<MetricsServer> {
  const server = createServer({
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CONNECTION_CHECK_MS,
  });
  const connections = createConnections(server, {
    max: MAX_CONNECTIONS,
    logger,
    elapsed: () => performance.now(),
  });
  const scrape = async (): Promise<Answer> => ({
    status: 200,
    headers: { 'content-type': contentType },
    text: await render(),
  });
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const [path = ''] = request.url?.split('?') ?? [];
    const isProbe = PROBES.includes(path);
    if (path !== '/metrics' && !isProbe) {
      response.writeHead(404).end();
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    const { status, headers, text } = isProbe ? await readAnswer(await probe(path)) : await scrape();
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(text) });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
  server.on('request', (request, response) => connections.inTurn(request, response, answer));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return {
    server,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
}

async function readAnswer(response: Response): Promise<Answer> {
  return {
    status: response.status,
    headers: Object.fromEntries(response.headers),
    text: await response.text(),
  };
}
