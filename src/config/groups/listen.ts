import * as z from 'zod/mini';
import type { SettingGroup } from '../read-settings.ts';
import { type SettingRows, wholeNumber } from '../setting.ts';
import { DEFAULT_HOST, DEFAULT_METRICS_PORT, DEFAULT_PORT } from './listen-defaults.ts';

const MAX_PORT = 65_535;

const ROWS = {
  HOST: {
    form: z.string().check(z.regex(/^[A-Za-z0-9.:_-]{1,255}$/)),
    rule: 'an address or a host name',
    example: '0.0.0.0',
    default: DEFAULT_HOST,
  },
  PORT: wholeNumber(0, MAX_PORT, DEFAULT_PORT),
  METRICS_PORT: wholeNumber(0, MAX_PORT, DEFAULT_METRICS_PORT),
  MAX_CONNECTIONS: wholeNumber(10, 1_000_000, 2000),
} satisfies SettingRows;

export interface ListenPart {
  readonly listen: {
    readonly host: string;
    readonly port: number;
    /** Of callers, at once. */
    readonly maxConnections: number;
  };
  readonly metrics: {
    /** 0: no metrics. */
    readonly port: number;
    /** The port is the default one: when something else has it, the service starts all the same. */
    readonly isDefault: boolean;
  };
}

/** Where the service listens: for callers, and for those who scrape metrics. */
export const listenGroup: SettingGroup<typeof ROWS, ListenPart> = {
  rows: ROWS,

  reportContradictions({ values }, { report }) {
    // With port 0 the system chooses one, and never the same twice.
    if (values.METRICS_PORT === values.PORT && values.PORT !== 0) {
      report(
        'METRICS_PORT',
        `must differ from PORT: metrics are not for callers (default ${ROWS.METRICS_PORT.default}; 0 turns them off)`,
      );
    }
  },

  toConfig: ({ values, isGiven }) => ({
    listen: { host: values.HOST, port: values.PORT, maxConnections: values.MAX_CONNECTIONS },
    metrics: { port: values.METRICS_PORT, isDefault: !isGiven('METRICS_PORT') },
  }),
};
