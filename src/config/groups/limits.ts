import * as z from 'zod/mini';
import { listOf } from '../forms.ts';
import type { SettingGroup } from '../read-settings.ts';
import { type SettingRows, wholeNumber } from '../setting.ts';

const NO_PROXY = 'none';

const ROWS = {
  RATE_LIMIT_PER_MINUTE: wholeNumber(0, 100_000_000, 600),
  TRUSTED_PROXIES: {
    form: listOf(z.union([z.literal(NO_PROXY), z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()])),
    rule: `addresses or networks in CIDR form, comma-separated, or '${NO_PROXY}' when clients connect directly`,
    example: '10.0.0.0/8',
  },
  AUTH_FAILURES_PER_MINUTE: wholeNumber(0, 1_000_000, 60),
} satisfies SettingRows;

export type LimitRows = typeof ROWS;

export interface LimitsPart {
  readonly limits: {
    /** For each principal; 0: no limit. */
    readonly requestsPerMinute: number;
    /** Of authentication, for each client address; 0: no limit. */
    readonly failuresPerMinute: number;
  };
  /** Whose X-Forwarded-For or Forwarded is believed; undefined: the client's address is not asked for. */
  readonly trustedProxies: readonly string[] | undefined;
}

/** How often callers may call, and how the address of a client is found. */
export const limitsGroup: SettingGroup<LimitRows, LimitsPart> = {
  rows: ROWS,

  reportContradictions({ isGiven }, { reportMissing }) {
    if (isGiven('AUTH_FAILURES_PER_MINUTE') && !isGiven('TRUSTED_PROXIES'))
      reportMissing('TRUSTED_PROXIES', ', and AUTH_FAILURES_PER_MINUTE needs the addresses of clients');
  },

  toConfig: ({ values }) => ({
    limits: {
      requestsPerMinute: values.RATE_LIMIT_PER_MINUTE,
      failuresPerMinute: values.TRUSTED_PROXIES === undefined ? 0 : values.AUTH_FAILURES_PER_MINUTE,
    },
    trustedProxies: values.TRUSTED_PROXIES?.filter((proxy) => proxy !== NO_PROXY),
  }),
};
