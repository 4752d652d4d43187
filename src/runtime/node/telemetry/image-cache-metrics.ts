import { Gauge, type Registry } from 'prom-client';
import {
  type CountedMembers,
  countImageCaches,
  IMAGE_CACHE_QUOTA,
  type ImageCacheCounts,
} from '../../../imagecaches/count.ts';
import type { ReportedList } from '../../../observability/metrics.ts';

/** A scrape refreshes a list that is older: 5 minutes. */
const MAX_AGE_MS = 300_000;
/** Least time between two refreshes of a list that scrapes begin, by however many scrapers: 1 minute. */
const REFRESH_INTERVAL_MS = 60_000;
/** A list is reported for so long in any case, which is longer than a scrape needs to have it replaced: 10 minutes. */
const LEAST_REPORTED_MS = 600_000;
/** The label of a region that neither a setting nor the endpoint names. */
const UNKNOWN_REGION = 'unknown';

type ListLabels = { readonly region: string; readonly target?: string };

interface ObservedList {
  readonly labels: ListLabels;
  readonly list: ReportedList;
  refreshedAtMs: number;
}

/** The gauges of what is in the lists. */
export interface ImageCacheMetrics {
  readonly observe: (labels: { readonly target?: string }, list: ReportedList) => void;
  /**
   * Sets the gauges by what is held now; what is not held has no series. A list that is old is refreshed in the background,
   * for the next scrape: this one waits for nothing.
   */
  readonly collect: () => void;
}

export function createImageCacheMetrics(registry: Registry): ImageCacheMetrics {
  const gauges = createGauges([registry]);
  const lists: ObservedList[] = [];
  const decode = createDecoder();
  return {
    observe: (labels, list) => {
      const region = list.region ?? UNKNOWN_REGION;
      lists.push({ labels: { ...labels, region }, list, refreshedAtMs: Number.NEGATIVE_INFINITY });
    },
    collect: () => {
      gauges.reset();
      for (const observed of lists) {
        const { cache, now } = observed.list;
        const held = cache.peekWholeList(LEAST_REPORTED_MS);
        if (held !== undefined) {
          gauges.set(observed.labels, countImageCaches(decode(held.body), now()), held.ageMs);
        }
        if (held === undefined || held.ageMs > MAX_AGE_MS) refresh(observed);
      }
    },
  };
}

function refresh(observed: ObservedList): void {
  const { cache, elapsed } = observed.list;
  const nowMs = elapsed();
  if (nowMs - observed.refreshedAtMs < REFRESH_INTERVAL_MS) return;
  observed.refreshedAtMs = nowMs;
  cache.refreshWholeList(MAX_AGE_MS);
}

/** Reads the bytes of a held list, which this service has written. Each is decoded once. */
function createDecoder(): (body: Uint8Array) => readonly CountedMembers[] {
  const decoded = new WeakMap<Uint8Array, readonly CountedMembers[]>();
  return (body) => {
    const known = decoded.get(body);
    if (known !== undefined) return known;
    const { image_caches } = JSON.parse(new TextDecoder().decode(body)) as {
      readonly image_caches: readonly CountedMembers[];
    };
    const members = image_caches.map(({ status, expires_at }) => ({ status, expires_at }));
    decoded.set(body, members);
    return members;
  };
}

interface Gauges {
  /** Removes all series. */
  readonly reset: () => void;
  readonly set: (labels: ListLabels, counts: ImageCacheCounts, ageMs: number) => void;
}

function createGauges(registers: Registry[]): Gauges {
  const gauge = <Label extends string = never>(name: string, help: string, more: readonly Label[] = []) =>
    new Gauge<'region' | 'target' | Label>({
      name: `imagecaches_${name}`,
      help,
      labelNames: ['region', 'target', ...more],
      registers,
    });
  const byStatus = gauge('image_caches', 'Image caches in the list that is held, by status.', ['status']);
  const used = gauge(
    'image_caches_used',
    'Image caches in the list that is held; the quota is compared with it.',
  );
  const quota = gauge('image_caches_quota', 'Image caches that the vendor allows a tenant in a region.');
  const failed = gauge(
    'image_caches_failed',
    'Image caches in the list that is held whose status is Failed.',
  );
  const soon = gauge(
    'image_caches_expiring_soon',
    'Image caches in the list that is held that end within 24 hours.',
  );
  const expiry = gauge(
    'image_caches_earliest_expiry_timestamp_seconds',
    'When the first of the image caches ends; no series when all are kept for ever.',
  );
  const age = gauge('list_age_seconds', 'Age of the list that the numbers of image caches are taken from.');
  return {
    reset: () => {
      for (const each of [byStatus, used, quota, failed, soon, expiry, age]) each.reset();
    },
    set: (labels, counts, ageMs) => {
      for (const [status, count] of Object.entries(counts.byStatus))
        byStatus.set({ ...labels, status }, count);
      used.set(labels, counts.used);
      quota.set(labels, IMAGE_CACHE_QUOTA);
      failed.set(labels, counts.byStatus.Failed);
      soon.set(labels, counts.expiringSoon);
      if (counts.earliestExpiryMs !== undefined) expiry.set(labels, counts.earliestExpiryMs / 1000);
      age.set(labels, ageMs / 1000);
    },
  };
}
