import * as z from 'zod/mini';
import { addDays, parseGoTime } from './go-time.ts';

/** One image cache as callers see it: the vendor's member names, and `expires_at`. */
export interface ImageCache {
  readonly id: string;
  readonly name: string;
  /** Available, Unavailable, Creating, Deleting, Failed, a later word of the vendor's, or `Unknown`. */
  readonly status: string;
  readonly images: readonly string[];
  /** GiB; the vendor documents 20 to 400. */
  readonly image_cache_size: number;
  /** 0 to 10000 days; 0 means kept for ever. */
  readonly retention_days: number;
  /** RFC 3339 in UTC with six fraction digits. */
  readonly created_at: string;
  /** created_at and retention_days of 24 hours later, in the same form; null when kept for ever. */
  readonly expires_at: string | null;
}

/** An entry that broke the model: where it stood and its first member at fault. Never a value. */
export interface DroppedEntry {
  /** From 0, in the list as it came. */
  readonly index: number;
  /** `entry` when it is not an object at all; `expires_at` when that would lie past the year 9999. */
  readonly member: keyof ImageCache | 'entry';
}

export interface SanitisedImageCaches {
  readonly imageCaches: ImageCache[];
  readonly dropped: DroppedEntry[];
}

/** What a status becomes that is absent, or is not a plain word. */
export const UNKNOWN_STATUS = 'Unknown';

const ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Wider than the grammar of the vendor's query: a name that exists should be seen. */
const NAME = /^[A-Za-z0-9._-]{1,128}$/;
const STATUS = /^[A-Za-z]{1,32}$/;
/** 1 to 4096 characters; no control character and no half of a surrogate pair, which is no character at all. */
const IMAGE = /^[^\p{Cc}\p{Cs}]{1,4096}$/u;
/** GiB. Far above the 400 of today, and low enough that a value in bytes is noticed. */
const MAX_IMAGE_CACHE_SIZE = 1_000_000;
const MAX_RETENTION_DAYS = 10_000;

/**
 * Makes of the vendor's entries what callers may see: a strict allow-list, built member by member, so that a
 * member the vendor adds tomorrow stays hidden. `building_config` (cluster UID, names of pull secrets) and
 * `message` (upstream's error text) are internal and never pass. An entry that breaks the model is dropped and
 * reported; the others keep their order, and equal ones are all kept.
 *
 * - `id`: 1 to 64 of `A-Za-z0-9_-`. `name`: 1 to 128 of `A-Za-z0-9._-`.
 * - `status`: a word of 1 to 32 letters passes; absent, null or any other text becomes `Unknown`.
 * - `images`: each 1 to 4096 characters without control characters; absent or null is `[]`.
 * - `image_cache_size`: a whole number of GiB, 0 to 1,000,000.
 * - `retention_days`: 0 to 10000; absent or null is 0, kept for ever.
 * - `created_at`: see parseGoTime.
 *
 * @param entries from parseImageCaches; not changed, and not shared with the result
 */
export function sanitiseImageCaches(entries: readonly unknown[]): SanitisedImageCaches {
  const imageCaches: ImageCache[] = [];
  const dropped: DroppedEntry[] = [];
  for (const [index, entry] of entries.entries()) {
    const result = sanitiseImageCache(entry);
    if (typeof result === 'string') dropped.push({ index, member: result });
    else imageCaches.push(result);
  }
  return { imageCaches, dropped };
}

/**
 * The entry as callers see it, or the name of its first member at fault. The vendor's members (ListImageCaches;
 * ImageCacheDetail of huaweicloud-sdk-go-v3) are checked in the order of the output, one by one and without a schema,
 * which took a fifth of what the miss of a whole list adds.
 */
function sanitiseImageCache(entry: unknown): ImageCache | DroppedEntry['member'] {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return 'entry';
  const { id, name, status, images, image_cache_size, retention_days, created_at } = entry as Record<
    keyof ImageCache,
    unknown
  >;
  if (typeof id !== 'string' || !ID.test(id)) return 'id';
  if (typeof name !== 'string' || !NAME.test(name)) return 'name';
  if (!isNullish(status) && typeof status !== 'string') return 'status';
  const imageList = isNullish(images) ? [] : copyImages(images);
  if (imageList === undefined) return 'images';
  if (!isWholeNumber(image_cache_size, MAX_IMAGE_CACHE_SIZE)) return 'image_cache_size';
  const retentionDays = retention_days ?? 0;
  if (!isWholeNumber(retentionDays, MAX_RETENTION_DAYS)) return 'retention_days';
  const createdAt = typeof created_at === 'string' ? parseGoTime(created_at) : undefined;
  if (createdAt === undefined) return 'created_at';
  const expiresAt = retentionDays === 0 ? null : addDays(createdAt, retentionDays);
  if (expiresAt === undefined) return 'expires_at';

  return {
    id,
    name,
    status: typeof status === 'string' && STATUS.test(status) ? status : UNKNOWN_STATUS,
    images: imageList,
    image_cache_size,
    retention_days: retentionDays,
    created_at: createdAt.text,
    expires_at: expiresAt === null ? null : expiresAt.text,
  };
}

function isNullish(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

/** From 0 to max. */
function isWholeNumber(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

/** Undefined when it is no list of images. It ends at the first bad one: a body can hold millions. */
function copyImages(images: unknown): string[] | undefined {
  if (!Array.isArray(images)) return undefined;
  const copy: string[] = [];
  for (const image of images as readonly unknown[]) {
    if (typeof image !== 'string' || !IMAGE.test(image)) return undefined;
    copy.push(image);
  }
  return copy;
}

/**
 * One image cache of the answer, for the OpenAPI document and for tests. The service itself never runs it.
 * Built inside a function that is marked pure, so that a bundler leaves it out where nobody imports it.
 */
export const ImageCacheSchema = /* @__PURE__ */ (() =>
  z.strictObject({
    id: z.string().check(z.regex(ID), z.describe('Id of the image cache; a UUID today.')),
    name: z.string().check(z.regex(NAME), z.describe('Name of the image cache.')),
    status: z
      .string()
      .check(
        z.regex(STATUS),
        z.describe(
          'Available, Unavailable, Creating, Deleting, Failed, a word the vendor adds later, or Unknown.',
        ),
      ),
    images: z.array(z.string().check(z.regex(IMAGE))).check(z.describe('References of the cached images.')),
    image_cache_size: z
      .int()
      .check(z.minimum(0), z.maximum(MAX_IMAGE_CACHE_SIZE), z.describe('Size in GiB; 20 to 400 today.')),
    retention_days: z
      .int()
      .check(
        z.minimum(0),
        z.maximum(MAX_RETENTION_DAYS),
        z.describe('Days the image cache is kept; 0 means for ever.'),
      ),
    created_at: z.iso
      .datetime({ precision: 6 })
      .check(z.describe('When it was created: RFC 3339 in UTC, to the microsecond.')),
    expires_at: z
      .nullable(z.iso.datetime({ precision: 6 }))
      .check(z.describe('created_at plus retention_days, or null when it is kept for ever.')),
  }))();

/** The whole body of the answer. Like ImageCacheSchema, it costs nothing where it is not imported. */
export const ImageCacheListSchema = /* @__PURE__ */ (() =>
  z.strictObject({
    image_caches: z.array(ImageCacheSchema).check(z.describe("In the vendor's order.")),
  }))();
