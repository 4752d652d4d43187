import { type Config, ConfigError, parseConfig } from '../../../config/config.ts';
import { createNamespace } from '../../../fleet/namespace.ts';
import type { Logger } from '../../../observability/logger.ts';
import { NO_METRICS } from '../../../observability/metrics.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { Credential } from '../../../signing/credential.ts';
import { describeUnused, findUnusedSettings } from '../platform/find-unused-settings.ts';
import { createNodePlatform, type Outbound } from '../platform/platform.ts';
import { readSettingFiles } from '../platform/read-setting-files.ts';
import { checkIssuer, checkSdkKeys, checkToken } from './check-callers.ts';
import { askGateway, callCce, findProject, getCredential } from './check-cloud.ts';
import { checkConnection, checkDns, checkPort, codeOf } from './check-network.ts';
import { checkTls } from './check-tls.ts';
import { type Finding, failed, type Outcome, ok, skipped, warning } from './findings.ts';

/** Told of each check as it begins, and of what came of it. */
export interface Listener {
  readonly begin: (name: string) => void;
  readonly end: (finding: Finding) => void;
}

const silent = () => undefined;
/** The doctor's report is its only output. */
const SILENT_LOGGER: Logger = { debug: silent, info: silent, warn: silent, error: silent };

/**
 * Examines a configuration and everything that it needs, in the order in which one thing needs the other. A check that
 * needs one that failed is skipped. The credential signs one call to CCE, and one more to IAM where the project id is
 * looked up and IAM did not refuse it.
 *
 * @param tokenFile a file with a caller's token, which is checked too
 */
export async function examine(
  environment: NodeJS.ProcessEnv,
  listener: Listener,
  tokenFile?: string,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  async function check(name: string, work: () => Outcome | Promise<Outcome>): Promise<boolean> {
    listener.begin(name);
    const finding = { name, ...(await outcomeOf(work)) };
    findings.push(finding);
    listener.end(finding);
    return finding.status === 'ok' || finding.status === 'warning';
  }

  let config: Config | undefined;
  await check('configuration', () => {
    const settings = readSettingFiles(environment);
    const unused = findUnusedSettings(settings).map(describeUnused);
    try {
      config = parseConfig(settings.environment, settings.faults);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const lines = error.faults.map(({ setting, fault }) => `${setting} ${fault}`);
      return failed([...lines, ...unused].join('; '), 'docs/configure.md has the settings.');
    }
    if (unused.length === 0) return ok('the settings are valid');
    return warning(
      `the settings are valid; ${unused.join('; ')}`,
      'Correct the names, or remove what has no effect.',
    );
  });
  if (config === undefined) return findings;
  const known = config;

  const { platform, outbound, close } = createNodePlatform(known, {
    logger: SILENT_LOGGER,
    metrics: NO_METRICS,
  });
  try {
    await examineCloud(known, platform, outbound, check);
    for (const issuer of known.issuers)
      await check(`issuer ${new URL(issuer.issuer).host}`, () => checkIssuer(issuer, platform));
    if (tokenFile !== undefined) await check('token', () => checkToken(tokenFile, known, platform));
    const sdkKeys = checkSdkKeys(known, Date.now());
    if (sdkKeys !== undefined) await check('SDK key pairs', () => sdkKeys);
    const { sharedStore, listen, metrics } = known;
    if (sharedStore !== undefined)
      await check('Redis', async () => {
        const start = await createNamespace([known.target])();
        return (await import('./check-redis.ts')).checkRedis(sharedStore, start);
      });
    const { tls } = known;
    if (tls !== undefined) await check('TLS', () => checkTls(tls, Date.now()));
    await check('port', () => checkPort('PORT', listen.host, listen.port));
    await check('metrics port', () => checkPort('METRICS_PORT', listen.host, metrics.port));
  } finally {
    await close();
  }
  return findings;
}

/** A check that fails in a way that was not foreseen is a finding too, and the others go on. */
async function outcomeOf(work: () => Outcome | Promise<Outcome>): Promise<Outcome> {
  try {
    return await work();
  } catch (error) {
    return failed(
      `the check itself failed (${codeOf(error)})`,
      'This is a fault of the doctor: please report it.',
    );
  }
}

async function examineCloud(
  config: Config,
  platform: Platform,
  outbound: Outbound,
  check: (name: string, work: () => Outcome | Promise<Outcome>) => Promise<boolean>,
): Promise<void> {
  const endpoint = new URL(config.target.upstream.endpoint);
  const needs = (isGood: boolean, what: string, work: () => Outcome | Promise<Outcome>) =>
    isGood ? work() : skipped(`needs ${what}`);

  const isNamed = await check('name of the endpoint', () => checkDns(endpoint, outbound));
  const isConnected = await check('connection', () =>
    needs(isNamed, 'the name', () => checkConnection(endpoint, outbound)),
  );
  let skewMs = 0;
  let clock = skipped('needs the gateway');
  const isGateway = await check('gateway', () =>
    needs(isConnected, 'the connection', async () => {
      const report = await askGateway(config, platform);
      ({ skewMs, clock } = report);
      return report.gateway;
    }),
  );
  await check('clock', () => clock);

  let credential: Credential | undefined;
  await check('credential', async () => {
    const report = await getCredential(config, platform);
    ({ credential } = report);
    return report.outcome;
  });
  const held = credential;
  let projectId: string | undefined;
  const isProject = await check('project', () =>
    held === undefined
      ? skipped('needs the credential')
      : needs(isConnected || config.target.projectLookup === undefined, 'the connection', async () => {
          const report = await findProject(config, held, platform);
          ({ projectId } = report);
          return report.outcome;
        }),
  );
  let permission = skipped('needs the signature');
  await check('signature', () => {
    if (held === undefined) return skipped('needs the credential');
    if (!isGateway) return skipped('needs the gateway');
    return needs(isProject, 'the project', async () => {
      const report = await callCce(config, held, projectId, skewMs, platform);
      ({ permission } = report);
      return report.signature;
    });
  });
  await check('permission', () => permission);
}
