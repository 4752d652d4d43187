/**
 * `npm run demo [-- --port N] [-- --json] [-- --worker]`: a CCE stand-in that checks signatures, a token issuer, and the
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
const SCOPES = 'imagecaches:read imagecaches:refresh';

const USAGE = `Usage: npm run demo [-- [--port N] [--json] [--worker]]

  --port N   the service's port (default ${DEFAULT_PORT}, or a free one when that is taken)
  --json     print one JSON line {"url", "token"} on standard output when ready
  --worker   no service: print the commands that run it as a Worker between the two
`;

function readArguments(): { port: number | undefined; json: boolean; worker: boolean } {
  const { values } = parseArgs({
    options: { port: { type: 'string' }, json: { type: 'boolean' }, worker: { type: 'boolean' } },
  });
  if (values.port !== undefined && !/^\d{1,5}$/.test(values.port)) throw new Error('--port takes a number');
  const port = values.port === undefined ? undefined : Number(values.port);
  return { port, json: values.json === true, worker: values.worker === true };
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
  if (options.worker) {
    const token = await issuer.sign({ scope: SCOPES });
    process.stdout.write(workerCommands(simulator.environment, issuer.issuer, token));
    const stopBoth = () => void Promise.all([simulator.stop(), issuer.stop()]);
    process.once('SIGINT', stopBoth);
    process.once('SIGTERM', stopBoth);
    return;
  }
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
  const token = await issuer.sign({ scope: SCOPES });

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

function workerCommands(
  environment: Readonly<Record<string, string>>,
  issuer: string,
  token: string,
): string {
  const { CCE_ENDPOINT, HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK } = environment;
  return `
A stand-in for Huawei Cloud CCE and a token issuer are ready. In a second terminal:

export HUAWEICLOUD_SDK_AK='${HUAWEICLOUD_SDK_AK}' HUAWEICLOUD_SDK_SK='${HUAWEICLOUD_SDK_SK}'
npx wrangler dev --port 8787 --var CCE_REGION: CCE_ENDPOINT:${CCE_ENDPOINT} AUTH_ISSUER:${issuer}

And in a third one:

curl -i -H 'Authorization: Bearer ${token}' 'http://localhost:8787/imagecaches'

Ctrl-C stops it.
`;
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
