import * as z from 'zod/mini';
import type { SettingGroup } from '../read-settings.ts';
import { explainRedisUrl, parseRedisUrl, REDIS_URL_RULE } from '../redis-url.ts';
import type { SettingRows } from '../setting.ts';
import { type CredentialRows, usedSource } from './credentials.ts';
import { givenProjectId, type UpstreamRows } from './upstream.ts';

const EXAMPLE_URL = 'rediss://:<password>@redis.example.com:6379';

const ROWS = {
  REDIS_URL: {
    form: z.string().check(
      z.refine((text) => parseRedisUrl(text) !== undefined, {
        error: ({ input }) =>
          explainRedisUrl(String(input)) ?? `must be ${REDIS_URL_RULE}, for example ${EXAMPLE_URL}`,
      }),
    ),
    rule: REDIS_URL_RULE,
    example: EXAMPLE_URL,
    file: 'possible',
    isSecret: true,
    hasOwnFaults: true,
  },
} satisfies SettingRows;

/** Redis or Valkey, for several replicas. */
export interface SharedStoreConfig {
  /** A URL that parseRedisUrl reads. */
  readonly url: string;
  /** Whose content is read again when a connection is opened. */
  readonly file: string | undefined;
}

export interface FleetPart {
  /** Undefined: each instance caches and counts alone. */
  readonly sharedStore: SharedStoreConfig | undefined;
}

type ReadRows = typeof ROWS & CredentialRows & Pick<UpstreamRows, 'HUAWEICLOUD_SDK_PROJECT_ID'>;

/** What replicas share. */
export const fleetGroup: SettingGroup<typeof ROWS, FleetPart, ReadRows> = {
  rows: ROWS,

  reportContradictions(settings, { report }) {
    const { isGiven, values } = settings;
    const source = usedSource(settings);
    // What is reported already may hold it.
    const isBad = (name: 'HUAWEICLOUD_SDK_PROJECT_ID' | 'HUAWEICLOUD_SDK_CREDENTIALS') =>
      isGiven(name) && values[name] === undefined;
    if (isBad('HUAWEICLOUD_SDK_PROJECT_ID') || isBad('HUAWEICLOUD_SDK_CREDENTIALS')) return;
    if (isGiven('REDIS_URL') && source !== 'static' && givenProjectId(settings) === undefined) {
      report(
        'REDIS_URL',
        `needs the project id in HUAWEICLOUD_SDK_PROJECT_ID where credentials are ${source}: entries of different projects are kept apart by it`,
      );
    }
  },

  toConfig: ({ values, fileOf }) => ({
    sharedStore:
      values.REDIS_URL === undefined ? undefined : { url: values.REDIS_URL, file: fileOf('REDIS_URL') },
  }),
};
