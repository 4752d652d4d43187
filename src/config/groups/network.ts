import * as z from 'zod/mini';
import { NO_PROXY_RULE, PROXY_URL_RULE, parseNoProxy, parseProxyUrl } from '../proxy-url.ts';
import type { SettingGroup, Settings } from '../read-settings.ts';
import type { Setting, SettingRows } from '../setting.ts';

/** A form made by a parser that returns undefined for what it does not take. */
function parsedBy<Value>(parse: (text: string) => Value | undefined): z.ZodMiniType<Value, string> {
  return z
    .pipe(z.string(), z.transform(parse))
    .check(z.refine((value) => value !== undefined)) as unknown as z.ZodMiniType<Value, string>;
}

const proxy = {
  form: parsedBy(parseProxyUrl),
  rule: PROXY_URL_RULE,
  example: 'http://proxy.example.com:3128',
  isSecret: true,
} satisfies Setting;

const noProxy = {
  form: parsedBy(parseNoProxy),
  rule: NO_PROXY_RULE,
  example: '10.0.0.0/8,.svc,.example.com',
} satisfies Setting;

const ROWS = {
  HTTPS_PROXY: { ...proxy, file: 'possible' },
  HTTP_PROXY: { ...proxy, file: 'possible' },
  NO_PROXY: noProxy,
  https_proxy: proxy,
  http_proxy: proxy,
  no_proxy: noProxy,
} satisfies SettingRows;

type NetworkRows = typeof ROWS;

export interface ProxyConfig {
  /** The setting that names it. */
  readonly setting: string;
  /** http or https, a host, a port and perhaps a user name and a password: a secret. */
  readonly url: string;
}

export interface NetworkPart {
  readonly network: {
    /** For https; undefined: no proxy. */
    readonly httpsProxy: ProxyConfig | undefined;
    /** For http; undefined: no proxy. */
    readonly httpProxy: ProxyConfig | undefined;
    /** The items of NO_PROXY: what is connected to directly. */
    readonly noProxy: readonly string[];
  };
}

/** How calls leave the service, by the variables that other programs read too. Node only. */
export const networkGroup: SettingGroup<NetworkRows, NetworkPart> = {
  rows: ROWS,
  toConfig: (settings) => ({
    network: {
      httpsProxy: toProxy(settings, 'https_proxy', 'HTTPS_PROXY'),
      httpProxy: toProxy(settings, 'http_proxy', 'HTTP_PROXY'),
      noProxy: settings.values.no_proxy ?? settings.values.NO_PROXY ?? [],
    },
  }),
};

/** Lower case wins, as in curl. */
function toProxy(
  { values }: Settings<NetworkRows>,
  lower: 'https_proxy' | 'http_proxy',
  upper: 'HTTPS_PROXY' | 'HTTP_PROXY',
): ProxyConfig | undefined {
  for (const setting of [lower, upper] as const) {
    const url = values[setting];
    if (url !== undefined) return { setting, url };
  }
  return undefined;
}
