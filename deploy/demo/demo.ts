/**
 * `npm run demo [-- --port N] [-- --json]`: a CCE stand-in that checks signatures, a token issuer, and the
 * service between them, all on loopback. Nothing of it needs an account.
 */
import { createServer } from 'node:net';
import { parseArgs } from 'node:util';
import pino from 'pino';
import { parseConfig } from '../../src/config/config.ts';
import { startService } from '../../src/runtime/node/server/start-service.ts';
import { createLogger } from '../../src/runtime/node/telemetry/logger.ts';
import { startSimulator } from '../../test/simulator/simulator.ts';
import { startTokenIssuer } from './token-issuer.ts';

const DEFAULT_PORT = 8080;
const AUDIENCE = 'imagecaches';

const USAGE = `Usage: npm run demo [-- [--port N] [--json]]

  --port N   the service's port (default ${DEFAULT_PORT}, or a free one when that is taken)
  --json     print one JSON line {"url", "token"} on standard output when ready
`;

function readArguments(): { port: number | undefined; json: boolean } {
  const { values } = parseArgs({ options: { port: { type: 'string' }, json: { type: 'boolean' } } });
  if (values.port !== undefined && !/^\d{1,5}$/.test(values.port)) throw new Error('--port takes a number');
  return { port: values.port === undefined ? undefined : Number(values.port), json: values.json === true };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

async function main(): Promise<void> {
  let options: ReturnType<typeof readArguments>;
  try {
    options = readArguments();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n${USAGE}`);
    process.exitCode = 64;
    return;
  }

  const simulator = await startSimulator();
  const issuer = await startTokenIssuer();
  const config = parseConfig({
    PORT: String(options.port ?? ((await isFree(DEFAULT_PORT)) ? DEFAULT_PORT : 0)),
    ...simulator.environment,
    METRICS_PORT: '0',
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: AUDIENCE,
    CONSOLE: 'on',
    SHUTDOWN_DELAY_SECONDS: '0',
    SHUTDOWN_GRACE_SECONDS: '1',
  });
  // The log goes to standard error: with --json, standard output is for the one line.
  const logger = createLogger(options.json ? 'warn' : 'info', pino.destination({ fd: 2, sync: true }));
  const service = await startService(config, logger);
  await service.warmed;
  const token = await issuer.sign({ scope: 'imagecaches:read imagecaches:refresh' });

  if (options.json) process.stdout.write(`${JSON.stringify({ url: service.url, token })}\n`);
  else process.stdout.write(greeting(service.url, token, simulator.url));

  let stopping = false;
  const stop = async () => {
    if (stopping) process.exit(1);
    stopping = true;
    await Promise.all([service.stop(), simulator.stop(), issuer.stop()]);
    process.exit(0);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
}

function greeting(url: string, token: string, standIn: string): string {
  return `
imagecaches-bff is ready, in front of a stand-in for Huawei Cloud CCE. Try:

curl -i -H 'Authorization: Bearer ${token}' '${url}/imagecaches'

The same as a page: ${url}/console takes the token. ${url}/docs shows the API.

Add ?name=<one of the names> to filter. To see how the service copes, let the stand-in misbehave:
${standIn}/__control lists what it can be told. Ctrl-C stops everything.

`;
}

await main();
