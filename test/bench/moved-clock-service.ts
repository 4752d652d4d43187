/**
 * The service as src/runtime/node.ts starts it, but its clock can be moved over HTTP at CONTROL_PORT, so that many
 * names can be loaded one by one, each sixteen in a fresh life of their own: `/clock?ms=` sets it so far ahead of the
 * real one. `/memory` collects garbage and answers what the process then takes.
 */
import { createServer } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parseConfig } from '../../src/config/config.ts';
import { startService } from '../../src/runtime/node/server/start-service.ts';
import { createLogger } from '../../src/runtime/node/telemetry/logger.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const realNow = Date.now;
const realElapsed = performance.now.bind(performance);
let aheadMs = 0;
// Before the service starts, which keeps the functions that it finds.
Date.now = () => realNow() + aheadMs;
performance.now = () => realElapsed() + aheadMs;

const { CONTROL_PORT, ...environment } = process.env;
const config = parseConfig(environment);
/** Buffers of collected arrays are given back a little later, so there are several collections with pauses. */
async function collectAll(): Promise<void> {
  for (let count = 0; count < 5; count += 1) {
    collectGarbage();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const control = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '', 'http://control');
  if (pathname === '/clock') aheadMs = Number(searchParams.get('ms'));
  if (pathname === '/memory') await collectAll();
  response.end(JSON.stringify(process.memoryUsage()));
});
await new Promise<void>((resolve) => control.listen(Number(CONTROL_PORT), '127.0.0.1', resolve));
const service = await startService(config, createLogger(config.logLevel));

process.once('SIGTERM', async () => {
  control.close();
  control.closeAllConnections();
  await service.stop();
  process.exit(0);
});
