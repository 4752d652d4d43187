import type { SettingName } from './config.ts';

/**
 * What each setting means, for the documentation and the chart's schema. No part of the service imports this file, so
 * that the Worker does not carry its sentences.
 */
export const MEANINGS: Readonly<Record<SettingName, string>> = {
  HOST: 'the address it listens on',
  PORT: 'the port for callers',
  METRICS_PORT: 'the port of metrics; `0` turns them off',
  MAX_CONNECTIONS: 'most connections of callers at once; past it, idle ones make room for new ones',
  TLS_CERT_FILE:
    'the certificate of the port for callers, which then speaks TLS; its changes are followed; see tls.md',
  TLS_KEY_FILE: 'the key of that certificate; its changes are followed',
  TLS_CLIENT_CA_FILE: 'authorities of which each client must show a certificate; their changes are followed',
  CCE_REGION: 'upstream, by its region; the label region of metrics',
  CCE_ENDPOINT: 'upstream, by its URL, which wins over the region; http only on loopback',
  HUAWEICLOUD_SDK_PROJECT_ID: 'the project id, sent when set; `auto` asks IAM',
  HUAWEICLOUD_SDK_IAM_ENDPOINT: 'IAM, for tests and special networks',
  UPSTREAM_CONNECT_TIMEOUT_MS: 'time to connect',
  UPSTREAM_ATTEMPT_TIMEOUT_MS: 'time for one attempt, from the moment it is sent',
  UPSTREAM_DEADLINE_MS: 'time for all attempts',
  UPSTREAM_MAX_CONCURRENT:
    'calls at once, with those that wait for their turn; more are shed. With one key two are sent at a time',
  HTTPS_PROXY: 'the proxy for calls to https URLs; see network.md',
  HTTP_PROXY: 'the proxy for calls to http URLs; see network.md',
  NO_PROXY: 'what is connected to without a proxy; see network.md',
  https_proxy: 'another name of `HTTPS_PROXY`, which wins',
  http_proxy: 'another name of `HTTP_PROXY`, which wins',
  no_proxy: 'another name of `NO_PROXY`, which wins',
  HUAWEICLOUD_CREDENTIALS:
    'where credentials come from; `auto`: the source whose settings are there, else metadata; see credentials.md',
  HUAWEICLOUD_OIDC_PROVIDER_URN: 'the identity provider that issues the OIDC token',
  HUAWEICLOUD_OIDC_AGENCY_URN: 'the agency whose credentials STS gives for the token',
  HUAWEICLOUD_OIDC_TOKEN_FILE: 'the file with the OIDC token, read for each call of STS',
  HUAWEICLOUD_OIDC_ID_TOKEN: 'the token itself, in place of a file; for Workers',
  HUAWEICLOUD_OIDC_SESSION_NAME: "how the vendor's audit log names the session",
  HUAWEICLOUD_OIDC_DURATION_SECONDS: 'the lifetime asked for',
  HUAWEICLOUD_OIDC_POLICY: 'narrows what the credentials may do',
  HUAWEICLOUD_OIDC_POLICY_IDS: 'the same, by policies of the account',
  HUAWEICLOUD_SDK_STS_ENDPOINT: 'STS, for tests and special networks',
  HUAWEICLOUD_SDK_AK: 'the access key; `CLOUD_SDK_AK` is read too',
  HUAWEICLOUD_SDK_SK: 'its secret; `CLOUD_SDK_SK` is read too',
  HUAWEICLOUD_SDK_SECURITY_TOKEN: 'sent when set',
  CLOUD_SDK_AK: 'another name of `HUAWEICLOUD_SDK_AK`',
  CLOUD_SDK_SK: 'another name of `HUAWEICLOUD_SDK_SK`',
  CCE_AUTH_TOKEN: 'a token that is sent as `X-Auth-Token` in place of a signature; its changes are followed',
  HUAWEICLOUD_SDK_CREDENTIALS:
    "the profile file of the vendor's SDKs; its keys are followed, its project and IAM are used where none is set",
  HC_CONTAINER_CREDENTIALS_FULL_URI: 'where CCE pod identity gives credentials; set by CCE',
  HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: 'the token for CCE pod identity; set by CCE',
  HUAWEICLOUD_METADATA_ENDPOINT: 'the metadata service, for tests and special networks',
  HUAWEICLOUD_ASSUME_AGENCY_URN:
    'an agency, also of another account, that is assumed with the credentials of the source',
  HUAWEICLOUD_ASSUME_SESSION_NAME: "how the vendor's audit log names that session",
  HUAWEICLOUD_ASSUME_DURATION_SECONDS: 'the lifetime asked for',
  AUTH_ISSUER: 'who issues tokens; required without `AUTH_ISSUERS_FILE` and `SDK_KEYS_FILE`',
  AUTH_AUDIENCE: 'whom tokens are for; required with `AUTH_ISSUER`',
  AUTH_AUDIENCE_CLAIM:
    'the claim that must hold one of `AUTH_AUDIENCE` in place of `aud`; `client_id` for Amazon Cognito',
  AUTH_JWKS_URL: 'where the keys of `AUTH_ISSUER` are',
  AUTH_JWKS_FILE: 'a file with the keys of `AUTH_ISSUER`, in place of `AUTH_JWKS_URL`',
  AUTH_ALGORITHMS: 'signatures of tokens; asymmetric ones only',
  AUTH_SCOPE: 'the scope that a caller needs',
  AUTH_REFRESH_SCOPE: 'the scope of those who may force a refresh',
  AUTH_SCOPE_CLAIM: 'the claims where scopes stand, by name or path',
  AUTH_ISSUERS: 'issuers beside or in place of `AUTH_ISSUER`; see callers.md',
  PUBLIC_URL:
    'the URL by which callers know the service; with it 401 answers and a document name the issuers, see callers.md',
  CORS_ORIGINS: 'exact origins whose pages may call',
  SDK_KEYS: 'key pairs for SDK clients, made by `npm run keys`; its changes are followed',
  SDK_PUBLIC_HOST: 'a host that SDK clients may have signed besides the one that arrives',
  SDK_REPLAY_PROTECTION: '`on`: a signature is good for one client address',
  RATE_LIMIT_PER_MINUTE: 'requests of one principal; `0`: no limit',
  TRUSTED_PROXIES:
    'whose `X-Forwarded-For` or `Forwarded` is believed; without it no address of a client is known',
  AUTH_FAILURES_PER_MINUTE: 'failed attempts of one address, where `TRUSTED_PROXIES` is set; `0`: no limit',
  CACHE_TTL_SECONDS: 'how long a list is fresh',
  CACHE_EMPTY_TTL_SECONDS: 'how long an empty list is fresh',
  CACHE_STALE_WHILE_REVALIDATE_SECONDS: 'how long after that it is served at once while it is refreshed',
  CACHE_STALE_IF_ERROR_SECONDS: 'how long after that it is served only when a refresh fails',
  CACHE_MAX_ENTRIES: 'bound of the cache, in entries',
  CACHE_MAX_BYTES: 'bound of the cache, in bytes',
  REDIS_URL: 'Redis or Valkey, for lists and limits that replicas share; see replicas.md',
  CONSOLE: '`on`: the page `/console`',
  CONSOLE_OIDC_CLIENT_ID: 'with which the console signs in, else a token is pasted',
  API_DOCS: '`off`: no `/openapi.json` and no `/docs`',
  LOG_LEVEL: 'lines below it are left out',
  OTEL_EXPORTER_OTLP_ENDPOINT: 'the collector of traces; without one nothing is traced',
  OTEL_EXPORTER_OTLP_PROTOCOL: 'the encoding of traces',
  OTEL_TRACES_SAMPLER: 'which traces are kept',
  OTEL_TRACES_SAMPLER_ARG: 'the share of traces for the samplers with a ratio',
  SHUTDOWN_DELAY_SECONDS: 'how long it is unready before closing',
  SHUTDOWN_GRACE_SECONDS: 'then the time to finish requests',
};

/** What happens without a setting that has no default, where its meaning does not say so. */
export const WITHOUT: Readonly<Partial<Record<SettingName, string>>> = {
  HUAWEICLOUD_SDK_IAM_ENDPOINT: "the vendor's",
  HUAWEICLOUD_SDK_CREDENTIALS: '~/.huaweicloud/credentials with HUAWEICLOUD_CREDENTIALS=profile',
  HUAWEICLOUD_SDK_STS_ENDPOINT: "the vendor's in `CCE_REGION`",
  AUTH_JWKS_URL: "the issuer's OpenID configuration",
  AUTH_JWKS_FILE: "the issuer's OpenID configuration",
};
