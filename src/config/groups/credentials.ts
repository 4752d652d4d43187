import type { SettingGroup, Settings } from '../read-settings.ts';
import { choice, type SettingRows } from '../setting.ts';
import { type MetadataCredentialConfig, metadataSource } from './credentials/metadata-source.ts';
import { type OidcCredentialConfig, oidcSource } from './credentials/oidc-source.ts';
import { type PodCredentialConfig, podSource } from './credentials/pod-source.ts';
import type { CredentialSource } from './credentials/source.ts';
import { type StaticCredentialConfig, staticSource } from './credentials/static-source.ts';
import { STS_ROWS } from './credentials/sts-endpoint.ts';
import type { UpstreamRows } from './upstream.ts';

/** Where credentials come from. To add a source, add it here, to SOURCES and to ROWS: the compiler insists. */
export type CredentialConfig =
  | OidcCredentialConfig
  | StaticCredentialConfig
  | PodCredentialConfig
  | MetadataCredentialConfig;
type SourceName = CredentialConfig['source'];

/** In the order in which `auto` looks for them; the last one is always there. */
const SOURCES = {
  oidc: oidcSource,
  static: staticSource,
  pod: podSource,
  metadata: metadataSource,
} satisfies {
  readonly [Name in SourceName]: { toConfig(settings: never): Extract<CredentialConfig, { source: Name }> };
};
const SOURCE_NAMES = Object.keys(SOURCES) as SourceName[];

const ROWS = {
  HUAWEICLOUD_CREDENTIALS: choice(['auto', ...SOURCE_NAMES], 'auto'),
  ...SOURCES.oidc.rows,
  ...STS_ROWS,
  ...SOURCES.static.rows,
  ...SOURCES.pod.rows,
  ...SOURCES.metadata.rows,
} satisfies SettingRows;

export type CredentialRows = typeof ROWS;
/** With the region, which tells where STS is. */
type ReadRows = CredentialRows & Pick<UpstreamRows, 'CCE_REGION'>;

export interface CredentialsPart {
  readonly credentials: CredentialConfig;
}

/** What calls to the vendor are signed with. */
export const credentialsGroup: SettingGroup<CredentialRows, CredentialsPart, ReadRows> = {
  rows: ROWS,

  reportContradictions(settings, faults) {
    const used = usedSource(settings);
    for (const name of SOURCE_NAMES) {
      const source: AnySource = SOURCES[name];
      if (name === used) source.reportUsed?.(settings, faults);
      else source.reportUnused?.(settings, faults, used);
    }
    if (used !== 'oidc' && settings.isGiven('HUAWEICLOUD_SDK_STS_ENDPOINT'))
      faults.report('HUAWEICLOUD_SDK_STS_ENDPOINT', `is of no use: the credentials are ${used}; remove it`);
  },

  toConfig: (settings) => ({ credentials: SOURCES[usedSource(settings)].toConfig(settings) }),
};

/** A source as the group sees it, which gives each one all rows to read. */
type AnySource = Omit<CredentialSource<CredentialRows, CredentialConfig, ReadRows>, 'rows'>;

/** The source that is named, or with `auto` the first one that is offered. */
export function usedSource(settings: Settings<CredentialRows>): SourceName {
  const wanted = settings.values.HUAWEICLOUD_CREDENTIALS;
  if (wanted !== 'auto') return wanted;
  return SOURCE_NAMES.find((name) => SOURCES[name].isOffered(settings)) as SourceName;
}
