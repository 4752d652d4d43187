import { endpoint } from '../../forms.ts';
import type { SettingRows } from '../../setting.ts';
import { isSecureOnNode, NODE_URL_RULE } from '../../urls.ts';
import type { CredentialSource, PassedOver } from './source.ts';

/** The link-local address of every node's metadata service (core/auth/internal/metadata_accessor.go). */
const METADATA_ENDPOINT = 'http://169.254.169.254';

const ROWS = {
  HUAWEICLOUD_METADATA_ENDPOINT: {
    form: endpoint(isSecureOnNode),
    rule: `${NODE_URL_RULE} or query`,
    example: METADATA_ENDPOINT,
    default: METADATA_ENDPOINT,
  },
} satisfies SettingRows;

/** The agency of the node, from its metadata service. */
export interface MetadataCredentialConfig {
  readonly source: 'metadata';
  /** Scheme, host and port; no slash at the end. */
  readonly endpoint: string;
  /** What is not set, and would have been another source; empty where HUAWEICLOUD_CREDENTIALS names this one. */
  readonly passedOver: PassedOver;
}

export const metadataSource: CredentialSource<typeof ROWS, MetadataCredentialConfig> = {
  rows: ROWS,

  // Every node has the service: it is used where there is no sign of another source.
  signs: [],

  toConfig: ({ values }, passedOver) => ({
    source: 'metadata',
    endpoint: values.HUAWEICLOUD_METADATA_ENDPOINT,
    passedOver,
  }),
};
