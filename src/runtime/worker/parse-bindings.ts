import {
  type Config,
  type ConfigFault,
  credentialSource,
  FILE_SETTINGS,
  parseConfig,
  SETTING_NAMES,
  type UnusedSetting,
  unusedSettings,
} from '../../config/config.ts';
import { readSettings } from '../../config/read-settings.ts';
import { flag } from '../../config/setting.ts';
import { isKvNamespace } from './edge-entries.ts';
import { KV_BINDING } from './platform.ts';
import { isRateLimiter, LIMITER_BINDING } from './rate-limiter.ts';

export type Bindings = Readonly<Record<string, unknown>>;

/** Sources of credentials that a Worker can ask. */
const SOURCES: readonly string[] = [
  'static',
  'oidc',
  'token',
] satisfies Config['target']['credentials']['source'][];

/** The settings that only a Worker has; see docs/workers.md. */
const OWN_ROWS = {
  /** 'on': other Workers may list by the entrypoint ImageCaches. Default: off. */
  SERVICE_BINDING: flag('off'),
};
const readOwn = (bindings: Bindings) => readSettings(OWN_ROWS, bindings, [], []);

/** Without them something would be missing that is asked for, so they are faults. */
const REFUSED = {
  REDIS_URL: `is not for Workers; bind a KV namespace as ${KV_BINDING} instead`,
  AUTH_JWKS_FILE: 'is not for Workers, which have no files; set AUTH_JWKS_URL instead',
  HUAWEICLOUD_OIDC_TOKEN_FILE:
    'is not for Workers, which have no files; bind HUAWEICLOUD_OIDC_ID_TOKEN instead',
};

/** Settings of what only Node has: listeners, pages, proxies, traces and the end of a process. */
const NEEDS_NODE =
  /^(?:HOST|PORT|METRICS_PORT|MAX_CONNECTIONS|UPSTREAM_CONNECT_TIMEOUT_MS|CONSOLE|CONSOLE_OIDC_CLIENT_ID|SHUTDOWN_\w+|HC_CONTAINER_\w+|OTEL_\w+|HTTPS?_PROXY|NO_PROXY)$/i;

/**
 * The configuration of a Worker, from its bindings.
 *
 * @param bindings with the texts of secrets that were asked for
 * @param asked the names of those: they are followed like files
 * @throws ConfigError listing every fault at once, with those that only a Worker has
 */
export function parseBindings(bindings: Bindings, asked: readonly string[] = []): Config {
  const settings = Object.fromEntries([
    ...SETTING_NAMES.map((name) => [name, bindings[name]]),
    ...asked.map((name) => [`${name}_FILE`, name]),
    // It is not read here: it must not contradict what is.
    ['UPSTREAM_CONNECT_TIMEOUT_MS', 1],
  ]);
  const refused = Object.entries(REFUSED).filter(([setting]) => isSet(settings[setting]));
  const faults: ConfigFault[] = [
    ...refused.map(([setting, fault]) => ({ setting, fault })),
    ...readOwn(bindings).reported,
  ];
  if (!SOURCES.includes(credentialSource(settings))) {
    if (isSet(settings.HUAWEICLOUD_CREDENTIALS) && settings.HUAWEICLOUD_CREDENTIALS !== 'auto')
      faults.push({
        setting: 'HUAWEICLOUD_CREDENTIALS',
        fault: `must be ${new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(SOURCES)} on Workers`,
      });
    // So that what is missing is listed with the rest.
    settings.HUAWEICLOUD_CREDENTIALS = SOURCES[0];
  }
  return parseConfig(settings, faults);
}

/** True where other Workers may list without a token. */
export function isListBound(bindings: Bindings): boolean {
  return readOwn(bindings).settings.values.SERVICE_BINDING;
}

/** The bindings that have no effect, by name. */
export function findUnusedBindings(bindings: Bindings): UnusedSetting[] {
  return unusedSettings(bindings, {
    others: [KV_BINDING, LIMITER_BINDING, ...Object.keys(OWN_ROWS)],
    whyUnread,
  });
}

/** The platform ends TLS. */
const OF_TLS = /^TLS_\w+$/i;

function whyUnread(name: string, value: unknown): string | undefined {
  if (NEEDS_NODE.test(name) || OF_TLS.test(name)) return 'Workers do not read it';
  if (name === KV_BINDING && !isKvNamespace(value)) return 'it must be bound to a KV namespace';
  if (name === LIMITER_BINDING && !isRateLimiter(value)) return 'it must be bound to a rate limiter';
  const base = name.replace(/_FILE$/, '');
  return base !== name && FILE_SETTINGS.includes(base)
    ? `Workers have no files; bind ${base} itself`
    : undefined;
}

function isSet(value: unknown): boolean {
  return value !== undefined && String(value).trim() !== '';
}
