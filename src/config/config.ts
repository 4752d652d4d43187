import { networkGroup, tlsGroup } from '#settings-of-node';
import { ConfigError, type ConfigFault } from './config-error.ts';
import { type CachePart, cacheGroup } from './groups/cache.ts';
import { type CallersPart, callersGroup } from './groups/callers.ts';
import {
  type CredentialConfig,
  type CredentialsPart,
  credentialsGroup,
  usedSource,
} from './groups/credentials.ts';
import { type FleetPart, fleetGroup } from './groups/fleet.ts';
import { type LimitsPart, limitsGroup } from './groups/limits.ts';
import { type ListenPart, listenGroup } from './groups/listen.ts';
import type { NetworkPart } from './groups/network.ts';
import { type ObservabilityPart, observabilityGroup } from './groups/observability.ts';
import { type PagesPart, pagesGroup } from './groups/pages.ts';
import { type SdkClientsPart, sdkClientsGroup } from './groups/sdk-clients.ts';
import { type ShutdownPart, shutdownGroup } from './groups/shutdown.ts';
import type { TlsPart } from './groups/tls.ts';
import { type UpstreamPart, upstreamGroup } from './groups/upstream.ts';
import { readSettings } from './read-settings.ts';
import type { Setting } from './setting.ts';
import { findUnused, type RuntimeReads, type UnusedSetting } from './unused-settings.ts';

export { ConfigError, type ConfigFault } from './config-error.ts';
export type { IssuerConfig, KeyLocation } from './documents/issuers.ts';
export type { AssumeAgencyConfig } from './groups/credentials/assume-agency.ts';
export type { MetadataCredentialConfig } from './groups/credentials/metadata-source.ts';
export type { OidcCredentialConfig } from './groups/credentials/oidc-source.ts';
export type { PodCredentialConfig } from './groups/credentials/pod-source.ts';
export type { ProfileCredentialConfig } from './groups/credentials/profile-source.ts';
export type { StaticCredentialConfig } from './groups/credentials/static-source.ts';
export type { TokenCredentialConfig } from './groups/credentials/token-source.ts';
export type { CredentialConfig } from './groups/credentials.ts';
export type { SharedStoreConfig } from './groups/fleet.ts';
export type { ProxyConfig } from './groups/network.ts';
export type { TracingConfig } from './groups/observability.ts';
export type { SdkClientsConfig } from './groups/sdk-clients.ts';
export type { TlsConfig } from './groups/tls.ts';
export type { RuntimeReads, UnusedSetting } from './unused-settings.ts';

/** One account, region and project of the vendor. */
export interface TargetConfig extends UpstreamPart, CredentialsPart, CachePart {
  /** Tells targets apart in metrics; undefined while there is only one. */
  readonly name: string | undefined;
}

export interface Config
  extends ListenPart,
    TlsPart,
    NetworkPart,
    CallersPart,
    SdkClientsPart,
    LimitsPart,
    FleetPart,
    PagesPart,
    ObservabilityPart,
    ShutdownPart {
  readonly target: TargetConfig;
}

/** In the order of the documentation. A group's contradictions are reported after those of the groups before it. */
const GROUPS = [
  listenGroup,
  tlsGroup,
  upstreamGroup,
  networkGroup,
  credentialsGroup,
  callersGroup,
  sdkClientsGroup,
  limitsGroup,
  cacheGroup,
  fleetGroup,
  pagesGroup,
  observabilityGroup,
  shutdownGroup,
] as const;

const ROWS = {
  ...listenGroup.rows,
  ...tlsGroup.rows,
  ...upstreamGroup.rows,
  ...networkGroup.rows,
  ...credentialsGroup.rows,
  ...callersGroup.rows,
  ...sdkClientsGroup.rows,
  ...limitsGroup.rows,
  ...cacheGroup.rows,
  ...fleetGroup.rows,
  ...pagesGroup.rows,
  ...observabilityGroup.rows,
  ...shutdownGroup.rows,
};

export type SettingName = keyof typeof ROWS;

/** Every row, by the name of its variable: for what is made of them, such as charts, documents and tests. */
export const SETTINGS: Readonly<Record<SettingName, Setting>> = ROWS;

export const SETTING_NAMES: readonly string[] = Object.keys(SETTINGS);

/** Settings that hold secrets or change at run time: `NAME_FILE` reads each of them from a file. */
export const FILE_SETTINGS: readonly string[] = Object.entries(SETTINGS)
  .filter(([, row]) => row.file !== undefined)
  .map(([name]) => name);

const UNSUPPORTED = GROUPS.flatMap<readonly [name: string, fault: string]>(
  ({ unsupported: names = [], unsupportedFault = 'is not supported by this version; remove it' }) =>
    names.map((name) => [name, unsupportedFault]),
);

/** Names that the documentation of others has, each of which is a fault. */
export const UNSUPPORTED_NAMES: readonly string[] = UNSUPPORTED.map(([name]) => name);

/**
 * Turns an environment record into a frozen Config.
 *
 * White space around a value is dropped, since mounted secrets end in a line end; an empty value counts as
 * not set. Numbers and booleans count as their text; lists, objects and null are faults. Defaults are those of the rows.
 *
 * @param environment names and values, such as process.env or the bindings of a Worker
 * @param fileFaults what was wrong with the files of settings: they are listed with the others
 * @throws ConfigError listing every fault at once, with what is expected and an example, and no value
 */
export function parseConfig(
  environment: Readonly<Record<string, unknown>>,
  fileFaults: readonly ConfigFault[] = [],
): Config {
  const { settings, faults, reported } = readSettings(ROWS, environment, UNSUPPORTED, fileFaults);
  for (const group of GROUPS) group.reportContradictions?.(settings, faults);
  if (reported.length > 0) throw new ConfigError(reported);
  return deepFreeze<Config>({
    ...listenGroup.toConfig(settings),
    ...tlsGroup.toConfig(settings),
    ...networkGroup.toConfig(settings),
    target: {
      name: undefined,
      ...upstreamGroup.toConfig(settings),
      ...credentialsGroup.toConfig(settings),
      ...cacheGroup.toConfig(settings),
    },
    ...callersGroup.toConfig(settings),
    ...sdkClientsGroup.toConfig(settings),
    ...limitsGroup.toConfig(settings),
    ...fleetGroup.toConfig(settings),
    ...pagesGroup.toConfig(settings),
    ...observabilityGroup.toConfig(settings),
    ...shutdownGroup.toConfig(settings),
  });
}

/**
 * The settings that are set and have no effect, by name: those that others make useless, those that the runtime does not
 * read, the vendor's and OpenTelemetry's that nobody reads here, and near misses of names that are read.
 *
 * @param environment and fileFaults as for parseConfig
 */
export function unusedSettings(
  environment: Readonly<Record<string, unknown>>,
  { others = [], whyUnread }: RuntimeReads,
  fileFaults: readonly ConfigFault[] = [],
): UnusedSetting[] {
  const { settings } = readSettings(ROWS, environment, [], fileFaults);
  const idle = new Map(
    GROUPS.flatMap<readonly [string, string]>((group) => group.findIdle?.(settings) ?? []),
  );
  const ofFiles = FILE_SETTINGS.map((name) => `${name}_FILE`);
  const known = [...SETTING_NAMES, ...ofFiles, ...others, ...UNSUPPORTED_NAMES];
  return findUnused(environment, known, (name, value) => whyUnread?.(name, value) ?? idle.get(name));
}

/** The source of credentials that these settings choose, whatever else is wrong with them. */
export function credentialSource(environment: Readonly<Record<string, unknown>>): CredentialConfig['source'] {
  return usedSource(readSettings(credentialsGroup.rows, environment, [], []).settings);
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}
