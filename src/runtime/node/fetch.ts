import { Agent, fetch as undiciFetch } from 'undici';
import type { Dependencies } from '../../deps.ts';

/** Idle upstream connections are kept this long: 30 seconds, less than common gateways do. */
const KEEP_ALIVE_MS = 30_000;

export interface NodeFetch {
  readonly fetch: Dependencies['fetch'];
  /** Ends the connections. */
  readonly close: () => Promise<void>;
}

/**
 * fetch over a connection pool with a connect timeout, which the standard fetch has no word for. It takes no
 * part in proxies and redirects: the host that was signed is the host that is connected to.
 *
 * @param connectTimeoutMs for name look-up, TCP and TLS together
 */
export function createNodeFetch(connectTimeoutMs: number): NodeFetch {
  const dispatcher = new Agent({
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: KEEP_ALIVE_MS,
    // undici's own clocks are off by up to a second and count per socket; the core's deadlines rule.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  return {
    fetch: async (url, init) =>
      (await undiciFetch(url, { ...init, dispatcher } as Parameters<
        typeof undiciFetch
      >[1])) as unknown as Response,
    close: () => dispatcher.destroy(),
  };
}
