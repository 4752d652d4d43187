/**
 * The health check of the image: `node src/runtime/node/check-health.ts`. Asks the service of this container whether it
 * can serve, by the settings HOST and PORT that it was started with. Exit codes: 0 it can, 1 it does not answer.
 */
import { DEFAULT_HOST, DEFAULT_PORT } from '../../config/groups/listen-defaults.ts';

const TIMEOUT_MS = 2000;

const { HOST = DEFAULT_HOST, PORT = DEFAULT_PORT } = process.env;
/** An address that stands for all of this machine's is reached by loopback. */
const host = HOST === '0.0.0.0' ? '127.0.0.1' : HOST === '::' ? '::1' : HOST;
try {
  const authority = host.includes(':') ? `[${host}]` : host;
  const { ok } = await fetch(`http://${authority}:${PORT}/livez`, {
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  process.exitCode = ok ? 0 : 1;
} catch {
  process.exitCode = 1;
}
