import { createServer, type Server } from 'node:http';
import type { PrometheusMetrics } from './metrics.ts';

/** A scrape takes milliseconds: 10 seconds for a whole request is plenty. */
const REQUEST_TIMEOUT_MS = 10_000;

export interface MetricsServer {
  readonly server: Server;
  readonly stop: () => Promise<void>;
}

/**
 * Serves `/metrics` on a port of its own, so that it is not reachable where callers are.
 *
 * @throws Error with a code such as EADDRINUSE when it cannot listen
 */
export async function startMetricsServer(
  { render, contentType }: PrometheusMetrics,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<MetricsServer> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, async (request, response) => {
    if (request.url?.split('?')[0] !== '/metrics') {
      response.writeHead(404).end();
      return;
    }
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
      return;
    }
    const text = await render();
    response.writeHead(200, { 'content-type': contentType, 'content-length': Buffer.byteLength(text) });
    response.end(request.method === 'HEAD' ? undefined : text);
  });
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
