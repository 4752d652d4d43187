import type { ImageCache } from './model.ts';

/** The vendor's statuses (ListImageCaches). */
export const KNOWN_STATUSES = ['Available', 'Unavailable', 'Creating', 'Deleting', 'Failed'] as const;

/** A status as numbers go by it: any that is not the vendor's of today is `other`. */
export type CountedStatus = (typeof KNOWN_STATUSES)[number] | 'other';

/** Image caches that one tenant may own in a region (CreateImageCache): 50. */
export const IMAGE_CACHE_QUOTA = 50;

/** An image cache that expires within this time expires soon: 24 hours. */
const SOON_MS = 86_400_000;

/** What operators want to know of a list. */
export interface ImageCacheCounts {
  /** All that are listed, which the quota is compared with. */
  readonly used: number;
  /** Each status, with 0 where none has it; they add up to `used`. */
  readonly byStatus: Readonly<Record<CountedStatus, number>>;
  /** Milliseconds since 1970, perhaps past; undefined when none expires. */
  readonly earliestExpiryMs: number | undefined;
  /** Those that expire within 24 hours, or should be gone already. */
  readonly expiringSoon: number;
}

/** The members that are counted. */
export type CountedMembers = Pick<ImageCache, 'status' | 'expires_at'>;

/**
 * Counts a list.
 *
 * @param nowMs wall-clock time
 */
export function countImageCaches(imageCaches: readonly CountedMembers[], nowMs: number): ImageCacheCounts {
  const byStatus = { Available: 0, Unavailable: 0, Creating: 0, Deleting: 0, Failed: 0, other: 0 };
  let earliestExpiryMs: number | undefined;
  let expiringSoon = 0;
  for (const { status, expires_at } of imageCaches) {
    byStatus[isKnown(status) ? status : 'other'] += 1;
    if (expires_at === null) continue;
    const expiryMs = Date.parse(expires_at);
    if (earliestExpiryMs === undefined || expiryMs < earliestExpiryMs) earliestExpiryMs = expiryMs;
    if (expiryMs - nowMs < SOON_MS) expiringSoon += 1;
  }
  return { used: imageCaches.length, byStatus, earliestExpiryMs, expiringSoon };
}

function isKnown(status: string): status is (typeof KNOWN_STATUSES)[number] {
  return (KNOWN_STATUSES as readonly string[]).includes(status);
}
