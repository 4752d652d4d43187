/**
 * The health check of the image: `node src/runtime/node/check-health.ts`. Asks the service of this container whether it
 * can serve, by the settings that it was started with: HOST, PORT, METRICS_PORT and those of TLS. Exit codes: 0 it can, 1
 * it does not answer.
 */
import { once } from 'node:events';
import { get as getByHttp, type IncomingMessage } from 'node:http';
import { get as getByHttps } from 'node:https';
import { connect } from 'node:tls';
import { DEFAULT_HOST, DEFAULT_METRICS_PORT, DEFAULT_PORT } from '../../config/groups/listen-defaults.ts';

const TIMEOUT_MS = 2000;

const { env } = process;
const set = (name: string) => env[name]?.trim() || undefined;
const HOST = set('HOST') ?? DEFAULT_HOST;
/** An address that stands for all of this machine's is reached by loopback. */
const host = HOST === '0.0.0.0' ? '127.0.0.1' : HOST === '::' ? '::1' : HOST;
const port = Number(set('PORT') ?? DEFAULT_PORT);
const metricsPort = Number(set('METRICS_PORT') ?? DEFAULT_METRICS_PORT);
/** The certificate is for the names that callers use, and who answers here is known. */
const unverified = { rejectUnauthorized: false };

async function isAlive(signal: AbortSignal): Promise<boolean> {
  const request = { host, path: '/livez', agent: false, signal } as const;
  if (set('TLS_CERT_FILE') === undefined) return isGood(getByHttp({ ...request, port }));
  if (set('TLS_CLIENT_CA_FILE') === undefined) return isGood(getByHttps({ ...request, ...unverified, port }));
  // There is no certificate here to show as a client: the port of metrics needs none.
  if (metricsPort !== 0) return isGood(getByHttp({ ...request, port: metricsPort }));
  // In TLS 1.3 the server has done its part when the client's certificate is missed.
  const socket = connect({ host, port, minVersion: 'TLSv1.3', ...unverified });
  await once(socket, 'secureConnect', { signal });
  socket.on('error', () => undefined).destroy();
  return true;
}

async function isGood(request: ReturnType<typeof getByHttp>): Promise<boolean> {
  const [{ statusCode }] = (await once(request, 'response')) as [IncomingMessage];
  request.destroy();
  return statusCode === 200;
}

try {
  process.exitCode = (await isAlive(AbortSignal.timeout(TIMEOUT_MS))) ? 0 : 1;
} catch {
  process.exitCode = 1;
}
