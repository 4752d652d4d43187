import { parseArgs } from 'node:util';
import { type Config, ConfigError, parseConfig } from '../../config/config.ts';
import { describeError } from '../../observability/describe-error.ts';
import { authority } from './platform/authority.ts';
import { readSettingFiles } from './platform/read-setting-files.ts';
import { startService } from './server/start-service.ts';
import type { StopSignals } from './stop-signals.ts';
import { createLogger } from './telemetry/logger.ts';

const EX_CONFIG = 78;
/** A stuck reader of the log does not keep the process: 2 seconds. */
const FLUSH_TIMEOUT_MS = 2000;

const USAGE = `Usage: npm start [-- --check]

  --check   validate the configuration and exit: 0 when it is good, ${EX_CONFIG} when not
`;

/** Reads the arguments and the configuration, and runs the service until it is asked to stop. */
export async function main(signals: StopSignals): Promise<void> {
  const check = readArguments();
  if (check === undefined) return;
  const config = loadConfig();
  if (config === undefined) return;
  if (check) {
    process.stdout.write(`The configuration is valid. Upstream: ${config.target.upstream.endpoint}\n`);
    return;
  }
  await run(config, signals);
}

function readArguments(): boolean | undefined {
  try {
    const { values } = parseArgs({ options: { check: { type: 'boolean' }, help: { type: 'boolean' } } });
    if (values.help !== true) return values.check === true;
    process.stdout.write(USAGE);
  } catch {
    process.stderr.write(`Unknown argument.\n${USAGE}`);
    process.exitCode = 64;
  }
  return undefined;
}

function loadConfig(): Config | undefined {
  try {
    const { environment, faults } = readSettingFiles(process.env);
    return parseConfig(environment, faults);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EX_CONFIG;
    return undefined;
  }
}

async function run(config: Config, signals: StopSignals): Promise<void> {
  const logger = createLogger(config.logLevel);
  const flushed = () =>
    new Promise<void>((resolve) => {
      logger.flush(() => resolve());
      setTimeout(resolve, FLUSH_TIMEOUT_MS);
    });
  const starting = startService(config, logger);
  signals.onStop(async () => {
    await (await starting).stop();
    await flushed();
    process.exit(0);
  });
  try {
    await starting;
  } catch (error) {
    const { code, port = config.listen.port } = error as { code?: unknown; port?: number };
    const where = authority(config.listen.host, port);
    logger.fatal({ error: describeError(error) }, `cannot listen on ${where}`);
    process.stderr.write(`Cannot listen on ${where} (${String(code)}).\n`);
    await flushed();
    process.exit(1);
  }
}
