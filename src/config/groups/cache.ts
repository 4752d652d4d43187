import type { SettingGroup } from '../read-settings.ts';
import { type SettingRows, wholeNumber } from '../setting.ts';

const DAY_SECONDS = 86_400;

const ROWS = {
  CACHE_TTL_SECONDS: wholeNumber(1, DAY_SECONDS, 30),
  CACHE_EMPTY_TTL_SECONDS: wholeNumber(1, DAY_SECONDS, 5),
  CACHE_STALE_WHILE_REVALIDATE_SECONDS: wholeNumber(0, DAY_SECONDS, 300),
  CACHE_STALE_IF_ERROR_SECONDS: wholeNumber(0, 7 * DAY_SECONDS, 3600),
  CACHE_MAX_ENTRIES: wholeNumber(1, 1_000_000, 1000),
  // 64 KiB to 16 GiB; 64 MiB.
  CACHE_MAX_BYTES: wholeNumber(65_536, 17_179_869_184, 67_108_864),
} satisfies SettingRows;

export interface CachePart {
  readonly cache: {
    readonly ttlMs: number;
    readonly emptyTtlMs: number;
    readonly staleWhileRevalidateMs: number;
    readonly staleIfErrorMs: number;
    readonly maxEntries: number;
    readonly maxBytes: number;
  };
}

/** How long lists are kept, and how many. */
export const cacheGroup: SettingGroup<typeof ROWS, CachePart> = {
  rows: ROWS,
  toConfig: ({ values }) => ({
    cache: {
      ttlMs: values.CACHE_TTL_SECONDS * 1000,
      emptyTtlMs: values.CACHE_EMPTY_TTL_SECONDS * 1000,
      staleWhileRevalidateMs: values.CACHE_STALE_WHILE_REVALIDATE_SECONDS * 1000,
      staleIfErrorMs: values.CACHE_STALE_IF_ERROR_SECONDS * 1000,
      maxEntries: values.CACHE_MAX_ENTRIES,
      maxBytes: values.CACHE_MAX_BYTES,
    },
  }),
};
