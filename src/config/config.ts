import * as z from 'zod';
import { cceEndpointForRegion, iamEndpointForRegion } from '../vendor/regions.ts';
import {
  ASYMMETRIC_ALGORITHMS,
  claimName,
  DEFAULT_ALGORITHMS,
  DEFAULT_SCOPE,
  DEFAULT_SCOPE_CLAIMS,
  type IssuerConfig,
  type KeyLocation,
  parseIssuers,
  SECURE_URL_RULE,
  scopeToken,
  secureUrl,
  visibleAscii,
} from './documents/issuers.ts';
import { type LocalKey, parseLocalKeys } from './documents/local-keys.ts';
import { parseRedisUrl, REDIS_URL_RULE } from './redis-url.ts';
import { isSecureUrl } from './secure-url.ts';

export { ASYMMETRIC_ALGORITHMS, type IssuerConfig, type KeyLocation } from './documents/issuers.ts';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Those of OpenTelemetry's SDK configuration that need no further settings of their own. */
export const TRACE_SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

/** A key pair of the settings. */
export interface StaticCredentialConfig {
  readonly source: 'static';
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly securityToken: string | undefined;
  /** The files whose changes are followed, for each of the three that is in one. */
  readonly files: {
    readonly accessKeyId: string | undefined;
    readonly secretAccessKey: string | undefined;
    readonly securityToken: string | undefined;
  };
}

/** CCE's pod identity. */
export interface PodCredentialConfig {
  readonly source: 'pod';
  readonly uri: string;
  readonly tokenFile: string;
}

/** The agency of the node, from its metadata service. */
export interface MetadataCredentialConfig {
  readonly source: 'metadata';
  /** Scheme, host and port; no slash at the end. */
  readonly endpoint: string;
}

export type CredentialConfig = StaticCredentialConfig | PodCredentialConfig | MetadataCredentialConfig;

/** How the project id is looked up in IAM. */
export interface ProjectLookupConfig {
  readonly region: string;
  /** Scheme, host and port; no slash at the end. */
  readonly iamEndpoint: string;
}

/** Key pairs of our own, for callers that use the vendor's SDKs. They have no power in the cloud. */
export interface SdkClientsConfig {
  readonly keys: readonly LocalKey[];
  /** Whose changes are followed. */
  readonly file: string | undefined;
  readonly requiredScope: string;
  /** A host that clients may have signed, besides the one that arrives. */
  readonly publicHost: string | undefined;
  /** A signature is good for one client address only. */
  readonly isReplayRefused: boolean;
}

/** Traces over OTLP, by the variables of OpenTelemetry. */
export interface TracingConfig {
  /** With /v1/traces. */
  readonly url: string;
  readonly protocol: 'http/protobuf' | 'http/json';
  readonly sampler: (typeof TRACE_SAMPLERS)[number];
  /** For the samplers with a ratio: the share of traces that is kept, from 0 to 1. */
  readonly sampledShare: number;
}

/** Redis or Valkey, for several replicas. */
export interface SharedStoreConfig {
  /** A URL that parseRedisUrl reads. */
  readonly url: string;
  /** Whose content is read again when a connection is opened. */
  readonly file: string | undefined;
}

/** One account, region and project of the vendor. */
export interface TargetConfig {
  /** Tells targets apart in metrics; undefined while there is only one. */
  readonly name: string | undefined;
  readonly upstream: {
    /** Scheme, host and port, and a base path where a gateway needs one; no slash at the end. */
    readonly endpoint: string;
    readonly projectId: string | undefined;
    readonly connectTimeoutMs: number;
    readonly attemptTimeoutMs: number;
    readonly deadlineMs: number;
    /** Calls under way at once; more are shed. */
    readonly maxConcurrent: number;
  };
  readonly credentials: CredentialConfig;
  /** With HUAWEICLOUD_SDK_PROJECT_ID=auto only. */
  readonly projectLookup: ProjectLookupConfig | undefined;
  readonly cache: {
    readonly ttlMs: number;
    readonly emptyTtlMs: number;
    readonly staleWhileRevalidateMs: number;
    readonly staleIfErrorMs: number;
    readonly maxEntries: number;
    readonly maxBytes: number;
  };
}

export interface Config {
  readonly listen: { readonly host: string; readonly port: number };
  readonly metrics: {
    /** 0: no metrics. */
    readonly port: number;
    /** The port is the default one: when something else has it, the service starts all the same. */
    readonly isDefault: boolean;
  };
  readonly target: TargetConfig;
  readonly issuers: readonly IssuerConfig[];
  /** Who has it may force a refresh. */
  readonly refreshScope: string;
  /** Undefined: requests signed with a key pair are refused. */
  readonly sdkClients: SdkClientsConfig | undefined;
  /** Web pages of these origins may call; none: none. */
  readonly corsOrigins: readonly string[];
  /** The page for operators; undefined: there is none. */
  readonly console:
    | {
        /** How the page gets a token by OpenID Connect; undefined: it is pasted. */
        readonly login:
          | {
              readonly issuer: string;
              readonly clientId: string;
              readonly audience: string;
              /** What is asked for: separated by spaces. */
              readonly scope: string;
            }
          | undefined;
      }
    | undefined;
  /** The API document is served, and the page that shows it. */
  readonly isApiDocumented: boolean;
  readonly limits: {
    /** For each principal; 0: no limit. */
    readonly requestsPerMinute: number;
    /** Of authentication, for each client address; 0: no limit. */
    readonly failuresPerMinute: number;
  };
  /** Whose X-Forwarded-For is believed; undefined: the client's address is not asked for. */
  readonly trustedProxies: readonly string[] | undefined;
  /** Undefined: each instance caches and counts alone. */
  readonly sharedStore: SharedStoreConfig | undefined;
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Undefined: nothing is traced. */
  readonly tracing: TracingConfig | undefined;
  readonly shutdown: { readonly delayMs: number; readonly graceMs: number };
}

/** One bad setting: its name and what is wrong, never its value, which may be a secret in the wrong place. */
export interface ConfigFault {
  readonly setting: string;
  readonly fault: string;
}

/** Thrown with everything that is wrong, so that a start is not mended one restart at a time. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map(({ setting, fault }) => `  ${setting}: ${fault}`);
    super(
      `The configuration has ${faults.length === 1 ? 'a fault' : `${faults.length} faults`}:\n${lines.join('\n')}`,
    );
    this.faults = faults;
  }
}

/** Settings that hold secrets or change at run time: `NAME_FILE` reads each of them from a file. */
export const FILE_SETTINGS = [
  'HUAWEICLOUD_SDK_AK',
  'HUAWEICLOUD_SDK_SK',
  'HUAWEICLOUD_SDK_SECURITY_TOKEN',
  'HUAWEICLOUD_SDK_PROJECT_ID',
  'CLOUD_SDK_AK',
  'CLOUD_SDK_SK',
  'AUTH_ISSUERS',
  'SDK_KEYS',
  'REDIS_URL',
] as const;

/** Known to the documentation but not to this version: ignoring one would be worse than refusing it. */
const UNSUPPORTED_SETTINGS = ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'];

interface Setting<Output> {
  readonly schema: z.ZodType<Output, string>;
  readonly expected: string;
  readonly example: string;
}

function setting<Output>(
  schema: z.ZodType<Output, string>,
  expected: string,
  example: string,
): Setting<Output> {
  return { schema, expected, example };
}

function wholeNumber(least: number, most: number, example: number): Setting<number> {
  const schema = z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine((value) => value >= least && value <= most);
  return setting(schema, `a whole number from ${least} to ${most}`, String(example));
}

function listOf<Item>(item: z.ZodType<Item, string>): z.ZodType<Item[], string> {
  return z
    .string()
    .transform((text) => text.split(',').map((part) => part.trim()))
    .pipe(z.array(item).min(1)) as z.ZodType<Item[], string>;
}

/** The link-local address of every node's metadata service (core/auth/internal/metadata_accessor.go). */
const METADATA_ENDPOINT = 'http://169.254.169.254';

const LINK_LOCAL_HOSTS = /^(?:169\.254(?:\.\d{1,3}){2}|\[fe[89ab][0-9a-f]:[0-9a-f:]+\])$/;

/** The same, and http to link-local addresses: they lead no further than the node. */
function isSecureOnNode(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.protocol === 'http:' && LINK_LOCAL_HOSTS.test(url.hostname)) url.protocol = 'https:';
  return isSecureUrl(url.href);
}

/** Traces hold no secret, and collectors inside a cluster speak http. */
function isHttpUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  if (url.protocol === 'http:') url.protocol = 'https:';
  return isSecureUrl(url.href);
}

/** A URL to which paths are added: no query, and no slash at the end. */
const endpoint = (isAllowed: (text: string) => boolean) =>
  z
    .string()
    .refine((text) => isAllowed(text) && new URL(text).search === '')
    .transform((text) => {
      const { origin, pathname } = new URL(text);
      return origin + pathname.replace(/\/+$/, '');
    });
const endpointUrl = endpoint(isSecureUrl);
const NODE_URL_RULE =
  'an https URL, or http on loopback or a link-local address, without user name, password or fragment';

/** Compared with what browsers send (RFC 6454, section 6.2), so it must be spelt the same. */
function isOrigin(text: string): boolean {
  return URL.canParse(text) && /^https?:$/.test(new URL(text).protocol) && new URL(text).origin === text;
}

const SETTINGS = {
  HOST: setting(z.string().regex(/^[A-Za-z0-9.:_-]{1,255}$/), 'an address or a host name', '0.0.0.0'),
  PORT: wholeNumber(0, 65_535, 8080),
  METRICS_PORT: wholeNumber(0, 65_535, 9090),
  CCE_REGION: setting(
    z.string().refine((region) => cceEndpointForRegion(region) !== undefined),
    'a region known to this version; for any other set CCE_ENDPOINT',
    'cn-north-4',
  ),
  CCE_ENDPOINT: setting(
    endpointUrl,
    `${SECURE_URL_RULE} or query`,
    'https://cce.cn-north-4.myhuaweicloud.com',
  ),
  HUAWEICLOUD_CREDENTIALS: setting(
    z.enum(['auto', 'static', 'pod', 'metadata']),
    "'auto', 'static', 'pod' or 'metadata'",
    'auto',
  ),
  HUAWEICLOUD_SDK_AK: setting(visibleAscii, 'an access key id without white space', '<access key id>'),
  HUAWEICLOUD_SDK_SK: setting(visibleAscii, 'a secret access key without white space', '<secret access key>'),
  HUAWEICLOUD_SDK_SECURITY_TOKEN: setting(
    z.string().regex(/^[\x21-\x7e]{1,16384}$/),
    'a security token without white space',
    '<security token>',
  ),
  HUAWEICLOUD_SDK_PROJECT_ID: setting(
    z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
    "a project id (letters, digits, - and _), or 'auto' to ask IAM for it",
    '0123456789abcdef0123456789abcdef',
  ),
  CLOUD_SDK_AK: setting(visibleAscii, 'an access key id without white space', '<access key id>'),
  CLOUD_SDK_SK: setting(visibleAscii, 'a secret access key without white space', '<secret access key>'),
  HUAWEICLOUD_SDK_IAM_ENDPOINT: setting(
    endpointUrl,
    `${SECURE_URL_RULE} or query`,
    'https://iam.cn-north-4.myhuaweicloud.com',
  ),
  HUAWEICLOUD_METADATA_ENDPOINT: setting(
    endpoint(isSecureOnNode),
    `${NODE_URL_RULE} or query`,
    'http://169.254.169.254',
  ),
  HC_CONTAINER_CREDENTIALS_FULL_URI: setting(
    z.string().refine(isSecureOnNode),
    NODE_URL_RULE,
    'http://169.254.170.23/v1/credentials',
  ),
  HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: setting(
    z.string().min(1),
    "the path of the pod's token file",
    '/var/run/secrets/pod-identity/token',
  ),
  AUTH_ISSUER: setting(secureUrl, SECURE_URL_RULE, 'https://login.example.com'),
  AUTH_AUDIENCE: setting(listOf(visibleAscii), 'one or more audiences, comma-separated', 'imagecaches'),
  AUTH_JWKS_URL: setting(secureUrl, SECURE_URL_RULE, 'https://login.example.com/jwks.json'),
  AUTH_JWKS_FILE: setting(z.string().min(1), 'the path of a JWKS file', '/etc/imagecaches-bff/jwks.json'),
  AUTH_ALGORITHMS: setting(
    listOf(z.enum(ASYMMETRIC_ALGORITHMS)),
    `one or more of ${ASYMMETRIC_ALGORITHMS.join(', ')}, comma-separated`,
    'RS256,ES256',
  ),
  AUTH_SCOPE: setting(scopeToken, 'a scope: visible ASCII without space, " and \\', 'imagecaches:read'),
  AUTH_REFRESH_SCOPE: setting(
    scopeToken,
    'a scope: visible ASCII without space, " and \\',
    'imagecaches:refresh',
  ),
  AUTH_SCOPE_CLAIM: setting(listOf(claimName), 'one or more claim names, comma-separated', 'scope,scp'),
  AUTH_ISSUERS: setting(z.string(), 'a JSON document of issuers', '{"issuers":[…]}'),
  SDK_KEYS: setting(z.string(), 'a JSON document of key pairs', '{"keys":[…]}'),
  SDK_PUBLIC_HOST: setting(
    z.string().regex(/^[A-Za-z0-9.-]{1,253}(?::\d{1,5})?$|^\[[0-9A-Fa-f:.]+\](?::\d{1,5})?$/),
    'the host, with its port where it is not the default, that SDK clients are pointed at',
    'imagecaches.example.com',
  ),
  SDK_REPLAY_PROTECTION: setting(z.enum(['on', 'off']), "'on' or 'off'", 'on'),
  CORS_ORIGINS: setting(
    listOf(z.string().refine(isOrigin)),
    'one or more origins, comma-separated: scheme, host and port as a browser sends them',
    'https://console.example.com',
  ),
  CONSOLE: setting(z.enum(['on', 'off']), "'on' or 'off'", 'on'),
  CONSOLE_OIDC_CLIENT_ID: setting(
    visibleAscii,
    'the id of a public client of AUTH_ISSUER, which may redirect to /console',
    'imagecaches-console',
  ),
  API_DOCS: setting(z.enum(['on', 'off']), "'on' or 'off'", 'off'),
  RATE_LIMIT_PER_MINUTE: wholeNumber(0, 100_000_000, 600),
  AUTH_FAILURES_PER_MINUTE: wholeNumber(0, 1_000_000, 60),
  TRUSTED_PROXIES: setting(
    listOf(z.union([z.literal('none'), z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])),
    "addresses or networks in CIDR form, comma-separated, or 'none' when clients connect directly",
    '10.0.0.0/8',
  ),
  CACHE_TTL_SECONDS: wholeNumber(1, 86_400, 30),
  CACHE_EMPTY_TTL_SECONDS: wholeNumber(1, 86_400, 5),
  CACHE_STALE_WHILE_REVALIDATE_SECONDS: wholeNumber(0, 86_400, 300),
  CACHE_STALE_IF_ERROR_SECONDS: wholeNumber(0, 604_800, 3600),
  CACHE_MAX_ENTRIES: wholeNumber(1, 1_000_000, 1000),
  CACHE_MAX_BYTES: wholeNumber(65_536, 17_179_869_184, 67_108_864),
  REDIS_URL: setting(
    z.string().refine((text) => parseRedisUrl(text) !== undefined),
    REDIS_URL_RULE,
    'rediss://:<password>@redis.example.com:6379',
  ),
  UPSTREAM_CONNECT_TIMEOUT_MS: wholeNumber(1, 60_000, 2000),
  UPSTREAM_ATTEMPT_TIMEOUT_MS: wholeNumber(1, 120_000, 5000),
  UPSTREAM_DEADLINE_MS: wholeNumber(1, 300_000, 8000),
  UPSTREAM_MAX_CONCURRENT: wholeNumber(1, 10_000, 32),
  LOG_LEVEL: setting(z.enum(LOG_LEVELS), `one of ${LOG_LEVELS.join(', ')}`, 'info'),
  OTEL_EXPORTER_OTLP_ENDPOINT: setting(
    endpoint(isHttpUrl),
    'an http or https URL without user name, password, fragment or query',
    'http://otel-collector:4318',
  ),
  OTEL_EXPORTER_OTLP_PROTOCOL: setting(
    z.enum(['http/protobuf', 'http/json']),
    "'http/protobuf' or 'http/json'",
    'http/protobuf',
  ),
  OTEL_TRACES_SAMPLER: setting(
    z.enum(TRACE_SAMPLERS),
    `one of ${TRACE_SAMPLERS.join(', ')}`,
    'parentbased_always_on',
  ),
  OTEL_TRACES_SAMPLER_ARG: setting(
    z
      .string()
      .regex(/^\d(?:\.\d{1,15})?$/)
      .transform(Number)
      .refine((share) => share <= 1),
    'a number from 0 to 1',
    '0.25',
  ),
  SHUTDOWN_DELAY_SECONDS: wholeNumber(0, 600, 5),
  SHUTDOWN_GRACE_SECONDS: wholeNumber(0, 3600, 25),
};

/** Every setting, for what is made of the list: charts, documents, tests. */
export const SETTING_NAMES: readonly string[] = Object.keys(SETTINGS);

type SettingName = keyof typeof SETTINGS;
type SettingValue<Name extends SettingName> =
  (typeof SETTINGS)[Name] extends Setting<infer Output> ? Output : never;
type SettingValues = { -readonly [Name in SettingName]?: SettingValue<Name> };

/**
 * Turns an environment record into a frozen Config.
 *
 * White space around a value is dropped, since mounted secrets end in a line end; an empty value counts as
 * not set. Defaults are those of the settings table in the documentation.
 *
 * @param environment names and values, such as process.env or the bindings of a Worker
 * @throws ConfigError listing every fault at once, with what is expected and an example, and no value
 */
export function parseConfig(
  environment: Readonly<Record<string, unknown>>,
  fileFaults: readonly ConfigFault[] = [],
): Config {
  const faults: ConfigFault[] = [...fileFaults];
  const values: SettingValues = {};
  const bad = new Set<string>(fileFaults.map(({ setting }) => setting.replace(/_FILE$/, '')));
  const report = (name: string, fault: string) => {
    bad.add(name);
    faults.push({ setting: name, fault });
  };

  for (const name of Object.keys(SETTINGS) as SettingName[]) {
    const text = textOf(environment[name]);
    if (text === undefined) continue;
    const { schema, expected, example } = SETTINGS[name] as Setting<unknown>;
    const result = schema.safeParse(text);
    if (result.success) Object.assign(values, { [name]: result.data });
    else report(name, `must be ${expected}, for example ${example}`);
  }
  for (const name of UNSUPPORTED_SETTINGS) {
    if (textOf(environment[name]) !== undefined) report(name, 'is not supported by this version; remove it');
  }

  /** True when a setting was given, even badly: a bad one is reported once, not as missing too. */
  const given = (name: SettingName) => values[name] !== undefined || bad.has(name);
  const missing = (name: SettingName, also = '') => {
    const { expected, example } = SETTINGS[name];
    report(name, `is missing${also}; set it to ${expected}, for example ${example}`);
  };

  if (!given('CCE_REGION') && !given('CCE_ENDPOINT')) missing('CCE_REGION', ', and so is CCE_ENDPOINT');

  const source = credentialSource(values.HUAWEICLOUD_CREDENTIALS ?? 'auto', given);
  if (source === 'static') {
    for (const [preferred, alias] of KEY_PAIR_SETTINGS) {
      if (
        values[preferred] !== undefined &&
        values[alias] !== undefined &&
        values[preferred] !== values[alias]
      ) {
        report(alias, `differs from ${preferred}; set only one of them`);
      }
      if (!given(preferred) && !given(alias)) missing(preferred);
    }
  } else {
    for (const name of STATIC_SETTINGS) {
      if (given(name)) report(name, `contradicts HUAWEICLOUD_CREDENTIALS=${source}; remove one of them`);
    }
  }
  if (source === 'pod') {
    for (const name of POD_SETTINGS)
      if (!given(name)) missing(name, ', and the credentials are pod identity');
  }
  if (source !== 'metadata' && given('HUAWEICLOUD_METADATA_ENDPOINT')) {
    report('HUAWEICLOUD_METADATA_ENDPOINT', `is of no use: the credentials are ${source}; remove it`);
  }

  const isProjectLookedUp = values.HUAWEICLOUD_SDK_PROJECT_ID === 'auto';
  if (isProjectLookedUp && !given('CCE_REGION')) {
    report(
      'HUAWEICLOUD_SDK_PROJECT_ID',
      "cannot be 'auto' without CCE_REGION, whose name the look-up needs; set both, or the project id",
    );
  }

  if (
    given('REDIS_URL') &&
    source !== 'static' &&
    (isProjectLookedUp || !given('HUAWEICLOUD_SDK_PROJECT_ID'))
  ) {
    report(
      'REDIS_URL',
      `needs the project id in HUAWEICLOUD_SDK_PROJECT_ID where credentials are ${source}: entries of different projects are kept apart by it`,
    );
  }

  // Without an issuer or a key pair anyone could read: there is no default and no way to turn authentication off.
  const hasOtherCallers = given('AUTH_ISSUERS') || given('SDK_KEYS');
  if (!hasOtherCallers || given('AUTH_ISSUER') || given('AUTH_AUDIENCE')) {
    if (!given('AUTH_ISSUER')) missing('AUTH_ISSUER');
    if (!given('AUTH_AUDIENCE')) missing('AUTH_AUDIENCE');
  }
  const parsedIssuers = values.AUTH_ISSUERS === undefined ? [] : parseIssuers(values.AUTH_ISSUERS);
  if ('faults' in parsedIssuers) {
    for (const fault of parsedIssuers.faults) report(AUTH_ISSUERS_NAME, fault);
  } else if (parsedIssuers.some(({ issuer }) => issuer === values.AUTH_ISSUER)) {
    report(AUTH_ISSUERS_NAME, 'names the issuer of AUTH_ISSUER again; list it once');
  }
  const parsedKeys = values.SDK_KEYS === undefined ? [] : parseLocalKeys(values.SDK_KEYS);
  if ('faults' in parsedKeys) for (const fault of parsedKeys.faults) report(SDK_KEYS_NAME, fault);
  if (values.AUTH_JWKS_URL !== undefined && values.AUTH_JWKS_FILE !== undefined) {
    report('AUTH_JWKS_FILE', 'contradicts AUTH_JWKS_URL; set only one of them');
  }

  if (values.SDK_REPLAY_PROTECTION === 'on' && !given('TRUSTED_PROXIES')) {
    missing('TRUSTED_PROXIES', ', and SDK_REPLAY_PROTECTION needs the addresses of clients');
  }
  for (const name of ['SDK_PUBLIC_HOST', 'SDK_REPLAY_PROTECTION'] as const) {
    if (given(name) && !given('SDK_KEYS')) report(name, 'is of no use without SDK_KEYS_FILE; remove it');
  }
  if (given('AUTH_FAILURES_PER_MINUTE') && !given('TRUSTED_PROXIES')) {
    missing('TRUSTED_PROXIES', ', and AUTH_FAILURES_PER_MINUTE needs the addresses of clients');
  }

  if (given('CONSOLE_OIDC_CLIENT_ID')) {
    if (values.CONSOLE !== 'on')
      report('CONSOLE_OIDC_CLIENT_ID', 'is of no use without CONSOLE=on; remove it');
    if (!given('AUTH_ISSUER')) missing('AUTH_ISSUER', ', and CONSOLE_OIDC_CLIENT_ID is a client of it');
  }

  if ((values.METRICS_PORT ?? 9090) === (values.PORT ?? 8080) && values.PORT !== 0) {
    report(
      'METRICS_PORT',
      'must differ from PORT: metrics are not for callers (default 9090; 0 turns them off)',
    );
  }

  const connectTimeoutMs = values.UPSTREAM_CONNECT_TIMEOUT_MS ?? 2000;
  const attemptTimeoutMs = values.UPSTREAM_ATTEMPT_TIMEOUT_MS ?? 5000;
  const deadlineMs = values.UPSTREAM_DEADLINE_MS ?? 8000;
  if (connectTimeoutMs > attemptTimeoutMs) {
    report(
      'UPSTREAM_CONNECT_TIMEOUT_MS',
      'must not be longer than UPSTREAM_ATTEMPT_TIMEOUT_MS (default 5000)',
    );
  }
  if (attemptTimeoutMs > deadlineMs) {
    report('UPSTREAM_ATTEMPT_TIMEOUT_MS', 'must not be longer than UPSTREAM_DEADLINE_MS (default 8000)');
  }

  if (faults.length > 0) throw new ConfigError(faults);

  const endpoint = values.CCE_ENDPOINT ?? cceEndpointForRegion(values.CCE_REGION as string);
  return deepFreeze<Config>({
    listen: { host: values.HOST ?? '127.0.0.1', port: values.PORT ?? 8080 },
    metrics: { port: values.METRICS_PORT ?? 9090, isDefault: values.METRICS_PORT === undefined },
    target: {
      name: undefined,
      upstream: {
        endpoint: endpoint as string,
        projectId: isProjectLookedUp ? undefined : values.HUAWEICLOUD_SDK_PROJECT_ID,
        connectTimeoutMs,
        attemptTimeoutMs,
        deadlineMs,
        maxConcurrent: values.UPSTREAM_MAX_CONCURRENT ?? 32,
      },
      credentials: credentialConfig(source, values, (name) => textOf(environment[`${name}_FILE`])),
      projectLookup: isProjectLookedUp ? projectLookupConfig(values) : undefined,
      cache: {
        ttlMs: (values.CACHE_TTL_SECONDS ?? 30) * 1000,
        emptyTtlMs: (values.CACHE_EMPTY_TTL_SECONDS ?? 5) * 1000,
        staleWhileRevalidateMs: (values.CACHE_STALE_WHILE_REVALIDATE_SECONDS ?? 300) * 1000,
        staleIfErrorMs: (values.CACHE_STALE_IF_ERROR_SECONDS ?? 3600) * 1000,
        maxEntries: values.CACHE_MAX_ENTRIES ?? 1000,
        maxBytes: values.CACHE_MAX_BYTES ?? 67_108_864,
      },
    },
    issuers: [...ownIssuer(values), ...(parsedIssuers as IssuerConfig[])],
    sdkClients:
      values.SDK_KEYS === undefined
        ? undefined
        : {
            keys: parsedKeys as LocalKey[],
            file: textOf(environment[SDK_KEYS_NAME]),
            requiredScope: values.AUTH_SCOPE ?? DEFAULT_SCOPE,
            publicHost: values.SDK_PUBLIC_HOST?.toLowerCase(),
            isReplayRefused: values.SDK_REPLAY_PROTECTION === 'on',
          },
    corsOrigins: values.CORS_ORIGINS ?? [],
    console: consoleConfig(values),
    isApiDocumented: values.API_DOCS !== 'off',
    limits: {
      requestsPerMinute: values.RATE_LIMIT_PER_MINUTE ?? 600,
      failuresPerMinute: values.TRUSTED_PROXIES === undefined ? 0 : (values.AUTH_FAILURES_PER_MINUTE ?? 60),
    },
    trustedProxies: values.TRUSTED_PROXIES?.filter((proxy) => proxy !== 'none'),
    refreshScope: values.AUTH_REFRESH_SCOPE ?? DEFAULT_REFRESH_SCOPE,
    sharedStore:
      values.REDIS_URL === undefined
        ? undefined
        : { url: values.REDIS_URL, file: textOf(environment.REDIS_URL_FILE) },
    logLevel: values.LOG_LEVEL ?? 'info',
    tracing: tracingConfig(values),
    shutdown: {
      delayMs: (values.SHUTDOWN_DELAY_SECONDS ?? 5) * 1000,
      graceMs: (values.SHUTDOWN_GRACE_SECONDS ?? 25) * 1000,
    },
  });
}

const DEFAULT_REFRESH_SCOPE = 'imagecaches:refresh';
const AUTH_ISSUERS_NAME = 'AUTH_ISSUERS_FILE';
const SDK_KEYS_NAME = 'SDK_KEYS_FILE';

/** The issuer that is configured by settings of its own. */
function ownIssuer(values: SettingValues): IssuerConfig[] {
  if (values.AUTH_ISSUER === undefined) return [];
  return [
    {
      issuer: values.AUTH_ISSUER,
      audiences: values.AUTH_AUDIENCE as string[],
      keys: keyLocation(values),
      algorithms: values.AUTH_ALGORITHMS ?? DEFAULT_ALGORITHMS,
      requiredScopes: [values.AUTH_SCOPE ?? DEFAULT_SCOPE],
      scopeClaims: values.AUTH_SCOPE_CLAIM ?? DEFAULT_SCOPE_CLAIMS,
      allowedSubjects: undefined,
    },
  ];
}

const KEY_PAIR_SETTINGS = [
  ['HUAWEICLOUD_SDK_AK', 'CLOUD_SDK_AK'],
  ['HUAWEICLOUD_SDK_SK', 'CLOUD_SDK_SK'],
] as const;
const STATIC_SETTINGS = [...KEY_PAIR_SETTINGS.flat(), 'HUAWEICLOUD_SDK_SECURITY_TOKEN'] as const;
const POD_SETTINGS = ['HC_CONTAINER_CREDENTIALS_FULL_URI', 'HC_CONTAINER_AUTHORIZATION_TOKEN_FILE'] as const;

/** Auto: static where keys are set, pod where its variables are, else metadata. */
function credentialSource(
  wanted: 'auto' | CredentialConfig['source'],
  given: (name: SettingName) => boolean,
): CredentialConfig['source'] {
  if (wanted !== 'auto') return wanted;
  if (STATIC_SETTINGS.some(given)) return 'static';
  return POD_SETTINGS.some(given) ? 'pod' : 'metadata';
}

function credentialConfig(
  source: CredentialConfig['source'],
  values: SettingValues,
  fileOf: (name: SettingName) => string | undefined,
): CredentialConfig {
  switch (source) {
    case 'static':
      return {
        source,
        accessKeyId: (values.HUAWEICLOUD_SDK_AK ?? values.CLOUD_SDK_AK) as string,
        secretAccessKey: (values.HUAWEICLOUD_SDK_SK ?? values.CLOUD_SDK_SK) as string,
        securityToken: values.HUAWEICLOUD_SDK_SECURITY_TOKEN,
        files: {
          accessKeyId: fileOf(
            values.HUAWEICLOUD_SDK_AK === undefined ? 'CLOUD_SDK_AK' : 'HUAWEICLOUD_SDK_AK',
          ),
          secretAccessKey: fileOf(
            values.HUAWEICLOUD_SDK_SK === undefined ? 'CLOUD_SDK_SK' : 'HUAWEICLOUD_SDK_SK',
          ),
          securityToken: fileOf('HUAWEICLOUD_SDK_SECURITY_TOKEN'),
        },
      };
    case 'pod':
      return {
        source,
        uri: values.HC_CONTAINER_CREDENTIALS_FULL_URI as string,
        tokenFile: values.HC_CONTAINER_AUTHORIZATION_TOKEN_FILE as string,
      };
    case 'metadata':
      return { source, endpoint: values.HUAWEICLOUD_METADATA_ENDPOINT ?? METADATA_ENDPOINT };
  }
}

function projectLookupConfig(values: SettingValues): ProjectLookupConfig {
  const region = values.CCE_REGION as string;
  const iamEndpoint = values.HUAWEICLOUD_SDK_IAM_ENDPOINT ?? iamEndpointForRegion(region);
  return { region, iamEndpoint: iamEndpoint as string };
}

function consoleConfig(values: SettingValues): Config['console'] {
  if (values.CONSOLE !== 'on') return undefined;
  const { CONSOLE_OIDC_CLIENT_ID: clientId, AUTH_ISSUER: issuer, AUTH_AUDIENCE: audiences = [] } = values;
  if (clientId === undefined) return { login: undefined };
  const scopes = [
    'openid',
    values.AUTH_SCOPE ?? DEFAULT_SCOPE,
    values.AUTH_REFRESH_SCOPE ?? DEFAULT_REFRESH_SCOPE,
  ];
  return {
    login: {
      issuer: issuer as string,
      clientId,
      audience: audiences[0] as string,
      scope: scopes.join(' '),
    },
  };
}

function tracingConfig(values: SettingValues): TracingConfig | undefined {
  if (values.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return undefined;
  return {
    url: `${values.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`,
    protocol: values.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf',
    sampler: values.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on',
    sampledShare: values.OTEL_TRACES_SAMPLER_ARG ?? 1,
  };
}

function keyLocation(values: SettingValues): KeyLocation {
  if (values.AUTH_JWKS_URL !== undefined) return { kind: 'url', url: values.AUTH_JWKS_URL };
  if (values.AUTH_JWKS_FILE !== undefined) return { kind: 'file', path: values.AUTH_JWKS_FILE };
  return { kind: 'discovery' };
}

function textOf(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  return text === '' ? undefined : text;
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member);
  }
  return Object.freeze(value);
}
