import { profileSource } from '#settings-of-node';
import type { Faults, SettingGroup, Settings } from '../read-settings.ts';
import { choice, type Setting, type SettingRows } from '../setting.ts';
import { ASSUME_ROWS, type AssumeAgencyConfig, toAssumeAgency } from './credentials/assume-agency.ts';
import { type MetadataCredentialConfig, metadataSource } from './credentials/metadata-source.ts';
import { type OidcCredentialConfig, oidcSource } from './credentials/oidc-source.ts';
import { type PodCredentialConfig, podSource } from './credentials/pod-source.ts';
import type { ProfileCredentialConfig } from './credentials/profile-source.ts';
import type { CredentialSource, PassedOver } from './credentials/source.ts';
import { type StaticCredentialConfig, staticSource } from './credentials/static-source.ts';
import { reportStsEndpoint, STS_ROWS } from './credentials/sts-endpoint.ts';
import { type TokenCredentialConfig, tokenSource } from './credentials/token-source.ts';
import type { UpstreamRows } from './upstream.ts';

/** Where credentials come from. To add a source, add it here, to SOURCES and to ROWS: the compiler insists. */
export type CredentialConfig =
  | OidcCredentialConfig
  | StaticCredentialConfig
  | TokenCredentialConfig
  | ProfileCredentialConfig
  | PodCredentialConfig
  | MetadataCredentialConfig;
type SourceName = CredentialConfig['source'];

/** In the order of the documentation. */
const SOURCES = {
  oidc: oidcSource,
  static: staticSource,
  token: tokenSource,
  profile: profileSource,
  pod: podSource,
  metadata: metadataSource,
} satisfies {
  readonly [Name in SourceName]: {
    toConfig(settings: never, passedOver: PassedOver): Extract<CredentialConfig, { source: Name }>;
  };
};
const SOURCE_NAMES = Object.keys(SOURCES) as SourceName[];

const ROWS = {
  HUAWEICLOUD_CREDENTIALS: choice(['auto', ...SOURCE_NAMES], 'auto'),
  ...SOURCES.oidc.rows,
  ...STS_ROWS,
  ...SOURCES.static.rows,
  ...SOURCES.token.rows,
  ...SOURCES.profile.rows,
  ...SOURCES.pod.rows,
  ...SOURCES.metadata.rows,
  ...ASSUME_ROWS,
} satisfies SettingRows;

export type CredentialRows = typeof ROWS;
/** With the region, which tells where STS is. */
type ReadRows = CredentialRows & Pick<UpstreamRows, 'CCE_REGION'>;

export interface CredentialsPart {
  readonly credentials: CredentialConfig;
  /** Undefined: the credential of the source is used itself. */
  readonly assumeAgency: AssumeAgencyConfig | undefined;
}

/** What calls to the vendor are signed with. */
export const credentialsGroup: SettingGroup<CredentialRows, CredentialsPart, ReadRows> = {
  rows: ROWS,

  unsupported: ['HUAWEICLOUD_SDK_IDP_ID', 'HUAWEICLOUD_SDK_ID_TOKEN_FILE'],
  unsupportedFault:
    'is of the older federation, which is not supported; use OIDC: set HUAWEICLOUD_OIDC_PROVIDER_URN, HUAWEICLOUD_OIDC_AGENCY_URN and HUAWEICLOUD_OIDC_TOKEN_FILE',

  reportContradictions(settings, faults) {
    const { values } = settings;
    const [used, ...others] = signedSources(settings);
    if (values.HUAWEICLOUD_CREDENTIALS === 'auto' && used !== undefined && others.length > 0) {
      const all = [used, ...others].map((name) => `${name} (${firstSign(name, settings)})`).join(', ');
      faults.report('HUAWEICLOUD_CREDENTIALS', `must name one source, since several are set: ${all}`);
      return;
    }
    reportSources(settings, faults, usedSource(settings));
  },

  toConfig: (settings) => ({
    credentials: SOURCES[usedSource(settings)].toConfig(settings, passedOver(settings)),
    assumeAgency: toAssumeAgency(settings),
  }),
};

/** A source as the group sees it, which gives each one all rows to read. */
type AnySource = Omit<CredentialSource<CredentialRows, CredentialConfig, ReadRows>, 'rows'>;

const signsOf = (name: SourceName): AnySource['signs'] => SOURCES[name].signs;

/** One of the variables that an operator set for a source. */
function firstSign(name: SourceName, { isGiven, fileOf }: Settings<CredentialRows>): string {
  const sign = signsOf(name).find(isGiven) as keyof CredentialRows;
  // On Workers the file of a secret is the setting itself.
  const file = fileOf(sign);
  return file === undefined || file === sign ? sign : `${sign}_FILE`;
}

/** The sources of which there is a sign. */
function signedSources({ isGiven }: Settings<CredentialRows>): SourceName[] {
  return SOURCE_NAMES.filter((name) => signsOf(name).some(isGiven));
}

/** The source that is named, or with `auto` the one that is set, or else the one that every node has. */
export function usedSource(settings: Settings<CredentialRows>): SourceName {
  const wanted = settings.values.HUAWEICLOUD_CREDENTIALS;
  return wanted === 'auto' ? (signedSources(settings)[0] ?? 'metadata') : wanted;
}

/** What is wrong with the settings of the source in use, and what others have no use for. */
function reportSources(settings: Settings<ReadRows>, faults: Faults<ReadRows>, used: SourceName): void {
  const { isGiven } = settings;
  for (const name of SOURCE_NAMES) {
    const source: AnySource = SOURCES[name];
    if (name === used) source.reportUsed?.(settings, faults);
    else if (!source.isOfPlatform)
      for (const sign of source.signs.filter(isGiven))
        faults.report(sign, `contradicts HUAWEICLOUD_CREDENTIALS=${used}; remove one of them`);
  }
  const isAgencyAssumed = isGiven('HUAWEICLOUD_ASSUME_AGENCY_URN');
  if (isAgencyAssumed && used !== 'oidc') reportStsEndpoint(settings, faults);
  const ofNoUse = (name: keyof CredentialRows, isUsed: boolean, why: string) => {
    if (isGiven(name) && !isUsed) faults.report(name, `is of no use: ${why}; remove it`);
  };
  ofNoUse('HUAWEICLOUD_METADATA_ENDPOINT', used === 'metadata', `the credentials are ${used}`);
  ofNoUse('HUAWEICLOUD_SDK_STS_ENDPOINT', used === 'oidc' || isAgencyAssumed, `the credentials are ${used}`);
  for (const name of ['HUAWEICLOUD_ASSUME_SESSION_NAME', 'HUAWEICLOUD_ASSUME_DURATION_SECONDS'] as const)
    ofNoUse(name, isAgencyAssumed, 'HUAWEICLOUD_ASSUME_AGENCY_URN is not set');
}

/** The sources that `auto` has looked for in vain. */
function passedOver(settings: Settings<CredentialRows>): PassedOver {
  if (settings.values.HUAWEICLOUD_CREDENTIALS !== 'auto' || signedSources(settings).length > 0) return {};
  const names = SOURCE_NAMES.filter((name) => signsOf(name).length > 0);
  // As operators set them.
  const asSet = (sign: keyof CredentialRows): string =>
    (ROWS[sign] as Setting).file === 'usual' ? `${sign}_FILE` : sign;
  return Object.fromEntries(names.map((name) => [name, signsOf(name).map(asSet)]));
}
