import { parseArgs } from 'node:util';
import { type Config, ConfigError, parseConfig, type UnusedSetting } from '../../config/config.ts';
import { describeError } from '../../observability/describe-error.ts';
import { describeCredentialChoice } from './credential-choice.ts';
import { authority } from './platform/authority.ts';
import { describeUnused, findUnusedSettings } from './platform/find-unused-settings.ts';
import { readSettingFiles, type SettingsWithFiles } from './platform/read-setting-files.ts';
import { type RunningService, startService } from './server/start-service.ts';
import { createLogger } from './telemetry/logger.ts';
import { readTlsFiles } from './tls/tls-files.ts';
import { warningOf } from './tls/tls-material.ts';

const EX_CONFIG = 78;
/** A stuck reader of the log does not keep the process: 2 seconds. */
const FLUSH_TIMEOUT_MS = 2000;

const USAGE = `Usage: npm start [-- --check]

  --check   validate the configuration and exit: 0 when it is good, ${EX_CONFIG} when not
`;

/**
 * Reads the arguments and the settings, and serves. Exit codes: see src/runtime/node.ts.
 *
 * @param onStop takes what a signal to stop calls from then on
 */
export async function main(onStop: (stop: () => Promise<void>) => void): Promise<void> {
  const check = readArguments();
  if (check === undefined) return;
  const settings = readSettingFiles(process.env);
  const unused = findUnusedSettings(settings);
  const config = loadConfig(settings);
  if (check || config === undefined)
    for (const setting of unused) process.stderr.write(`Warning: ${describeUnused(setting)}\n`);
  if (config === undefined) return;
  if (check) {
    const { upstream, credentials } = config.target;
    process.stdout.write(`The configuration is valid. Upstream: ${upstream.endpoint}\n`);
    process.stdout.write(`Credentials: ${describeCredentialChoice(credentials)}.\n`);
    const warning = config.tls && warningOf(readTlsFiles(config.tls), Date.now());
    if (warning !== undefined) process.stdout.write(`Warning: TLS_CERT_FILE ${warning}\n`);
    return;
  }
  await run(config, unused, onStop);
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

function loadConfig({ environment, faults }: SettingsWithFiles): Config | undefined {
  try {
    return parseConfig(environment, faults);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = EX_CONFIG;
    return undefined;
  }
}

async function run(
  config: Config,
  unused: readonly UnusedSetting[],
  onStop: (stop: () => Promise<void>) => void,
): Promise<void> {
  const logger = createLogger(config.logLevel);
  if (unused.length > 0) logger.warn({ unused }, 'settings have no effect');
  const flushed = () =>
    new Promise<void>((resolve) => {
      logger.flush(() => resolve());
      setTimeout(resolve, FLUSH_TIMEOUT_MS);
    });
  let service: RunningService;
  try {
    service = await startService(config, logger);
  } catch (error) {
    const { code, port = config.listen.port } = error as { code?: unknown; port?: number };
    const where = authority(config.listen.host, port);
    logger.fatal({ error: describeError(error) }, `cannot listen on ${where}`);
    process.stderr.write(`Cannot listen on ${where} (${String(code)}).\n`);
    await flushed();
    process.exit(1);
  }

  onStop(async () => {
    await service.stop();
    await flushed();
    process.exit(0);
  });
}
