/**
 * Regular expressions for the chart's schema, which says no to what the service would say no to. Helm reads them as RE2
 * and editors as ECMAScript, so they have no look-ahead and no count over 1000.
 */
import type { SettingName } from '../../src/config/config.ts';
import { ASYMMETRIC_ALGORITHMS } from '../../src/config/documents/issuers.ts';
import { CCE_REGIONS } from '../../src/vendor/regions.ts';

const PORT = digitsBetween(0, 65_535);
const HOST = String.raw`(\[[0-9A-Fa-f:.]+\]|[^\s/?#@\\:\[\]<>^|%]+)(:(${PORT}))?`;
const LOOPBACK = String.raw`(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:(${PORT}))?`;
const LINK_LOCAL = String.raw`(169\.254(\.[0-9]{1,3}){2}|\[[Ff][Ee][89ABab][0-9A-Fa-f]:[0-9A-Fa-f:]+\])(:(${PORT}))?`;
const PATH = String.raw`(/[^\s?#]*)?`;
const PATH_AND_QUERY = String.raw`(/[^\s?#]*)?(\?[^\s#]*)?`;

/** A scheme has no case. */
const HTTP = '[Hh][Tt][Tt][Pp]';
const SECURE = `(${HTTP}[Ss]://${HOST}|${HTTP}://${LOOPBACK})`;
const ON_NODE = `(${HTTP}[Ss]://${HOST}|${HTTP}://(${LOOPBACK}|${LINK_LOCAL}))`;

const VISIBLE = String.raw`[\x21-\x7e]+`;
const VISIBLE_ITEM = String.raw`[\x21-\x2b\x2d-\x7e]+`;
const SCOPE = String.raw`[\x21\x23-\x5b\x5d-\x7e]{1,256}`;

const OCTET = digitsBetween(0, 255);
const IPV4 = String.raw`(${OCTET})(\.(${OCTET})){3}`;
const IPV6 = '[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}';
const NETWORK = `${IPV4}(/(${digitsBetween(0, 32)}))?|${IPV6}(/(${digitsBetween(0, 128)}))?`;

const NAME = String.raw`([A-Za-z0-9_-]+\.)*[A-Za-z_][A-Za-z0-9_-]*`;
/** Without a user name and a password, which make a secret of it. */
const PROXY = String.raw`${HTTP}[Ss]?://${HOST}/?|(${NAME}|${IPV4}|\[${IPV6}\])(:(${PORT}))?/?`;
const NO_PROXY_NAME = String.raw`(\*?\.)?[A-Za-z0-9_][A-Za-z0-9._-]{0,252}(:[0-9]{1,5})?`;
const NO_PROXY = String.raw`\*|${NO_PROXY_NAME}|\[${IPV6}\](:[0-9]{1,5})?|${NETWORK}`;

/** The forms of texts that are no numbers and no choices. A setting that is not here may be any text. */
export const TEXT_PATTERNS: Readonly<Partial<Record<SettingName, string>>> = {
  CCE_REGION: CCE_REGIONS.join('|'),
  CCE_ENDPOINT: SECURE + PATH,
  HUAWEICLOUD_SDK_PROJECT_ID: '[A-Za-z0-9_-]{1,64}',
  HUAWEICLOUD_SDK_IAM_ENDPOINT: SECURE + PATH,
  HUAWEICLOUD_SDK_STS_ENDPOINT: SECURE + PATH,
  HUAWEICLOUD_OIDC_PROVIDER_URN: VISIBLE,
  HUAWEICLOUD_OIDC_AGENCY_URN: VISIBLE,
  HUAWEICLOUD_OIDC_SESSION_NAME: '[A-Za-z0-9_+=,.@-]{2,64}',
  HUAWEICLOUD_OIDC_POLICY: String.raw`\{[\s\S]*\}`,
  HUAWEICLOUD_OIDC_POLICY_IDS: listOf(VISIBLE_ITEM),
  HUAWEICLOUD_ASSUME_AGENCY_URN: VISIBLE,
  HUAWEICLOUD_ASSUME_SESSION_NAME: '[A-Za-z0-9_+=,.@-]{2,64}',
  HTTPS_PROXY: PROXY,
  HTTP_PROXY: PROXY,
  NO_PROXY: String.raw`[\s,]*((${NO_PROXY})([\s,]+(${NO_PROXY}))*)?[\s,]*`,
  HC_CONTAINER_CREDENTIALS_FULL_URI: ON_NODE + PATH_AND_QUERY,
  HUAWEICLOUD_METADATA_ENDPOINT: ON_NODE + PATH,
  AUTH_ISSUER: SECURE + PATH_AND_QUERY,
  AUTH_AUDIENCE: listOf(VISIBLE_ITEM),
  AUTH_AUDIENCE_CLAIM: String.raw`[\x21-\x7e]{1,256}`,
  AUTH_JWKS_URL: SECURE + PATH_AND_QUERY,
  AUTH_ALGORITHMS: listOf(ASYMMETRIC_ALGORITHMS.join('|')),
  AUTH_SCOPE: SCOPE,
  AUTH_REFRESH_SCOPE: SCOPE,
  AUTH_SCOPE_CLAIM: listOf(VISIBLE_ITEM),
  PUBLIC_URL: `[Hh][Tt][Tt][Pp][Ss]://${HOST}(/[A-Za-z0-9_/.~-]*)?`,
  CORS_ORIGINS: listOf(String.raw`https?://(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:(${PORT}))?`),
  SDK_PUBLIC_HOST: String.raw`[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?`,
  TRUSTED_PROXIES: listOf(`none|${NETWORK}`),
  CONSOLE_OIDC_CLIENT_ID: VISIBLE,
  OTEL_EXPORTER_OTLP_ENDPOINT: `${HTTP}[Ss]?://${HOST}${PATH}`,
  OTEL_TRACES_SAMPLER_ARG: String.raw`0(\.[0-9]{1,15})?|1(\.0{1,15})?`,
};

function listOf(item: string): string {
  return String.raw`(${item})(\s*,\s*(${item}))*`;
}

/** The whole numbers from least to most, in decimal digits without a zero in front. */
export function digitsBetween(least: number, most: number): string {
  const alternatives: string[] = [];
  let from = least;
  while (from <= most) {
    // Numbers that differ in their last digits only: as many of these as may be anything.
    let size = 1;
    while (from > 0 && from % (size * 10) === 0 && from + size * 10 - 1 <= most) size *= 10;
    const first = Math.floor(from / size) % 10;
    const digits = Math.min(10 - first, Math.floor((most - from + 1) / size));
    const front = Math.floor(from / size / 10) || '';
    const free = Math.round(Math.log10(size));
    const last = first + digits - 1;
    alternatives.push(
      `${front}${first === last ? first : `[${first}-${last}]`}${free === 0 ? '' : `[0-9]{${free}}`}`,
    );
    from += digits * size;
  }
  return alternatives.join('|');
}
