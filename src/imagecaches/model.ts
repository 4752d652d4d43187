import type * as z from 'zod/mini';
import { addDays, parseGoTime, type UtcTime } from './go-time.ts';

/** An entry as the vendor sent it: any object. */
export type VendorEntry = Readonly<Record<string, unknown>>;

/** One row of the table: all there is to a member of an image cache. */
interface Member<Read, Value, Needs, Schema> {
  /**
   * Value of the member, undefined when the entry breaks the model. `before` holds what the rows above have read, for
   * members that are computed from others. Nothing of the entry is passed on by reference.
   */
  readonly read: (entry: VendorEntry, before: Needs) => Read | undefined;
  /** Form in which callers see the value, where it is not the one that was read. */
  readonly show?: (read: Read) => Value;
  /** Schema of the form that callers see. It is handed zod/mini, which the Worker then does not bundle for it. */
  readonly schema: (zod: typeof z) => Schema;
  readonly description: string;
  readonly example: NoInfer<Value>;
}

/** Ties the types of a row together: reader, schema and example have the same value. */
function member<Read, Needs, Schema extends z.ZodMiniType<Value>, Value = Read>(
  row: Member<Read, Value, Needs, Schema>,
): Member<Read, Value, Needs, Schema> {
  return row;
}

/** Status of an entry whose own is absent or not a plain word. */
const UNKNOWN_STATUS = 'Unknown';

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
 * The members of an image cache as callers see it, in the order of the answer, which is also the order in which they
 * are checked. They have the vendor's names (ListImageCaches; ImageCacheDetail of huaweicloud-sdk-go-v3); `expires_at`
 * is ours. A new member is one row here: the type, the sanitiser, the schemas and the example of the API document
 * follow, and the client's copy of the type does not compile until it follows too.
 *
 * What is not listed never leaves the service: `building_config` (cluster UID, names of pull secrets), `message`
 * (upstream's error text), and whatever the vendor adds.
 */
export const MEMBERS = {
  id: member({
    read: ({ id }) => matching(id, ID),
    schema: (zod) => zod.string().check(zod.regex(ID)),
    description: 'Id of the image cache; a UUID today.',
    example: '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0',
  }),
  name: member({
    read: ({ name }) => matching(name, NAME),
    schema: (zod) => zod.string().check(zod.regex(NAME)),
    description: 'Name of the image cache.',
    example: 'web-base',
  }),
  /** Absent, null, and text that is not a word of 1 to 32 letters: `Unknown`. */
  status: member({
    read: ({ status }) =>
      isNullish(status) || typeof status === 'string'
        ? (matching(status, STATUS) ?? UNKNOWN_STATUS)
        : undefined,
    schema: (zod) => zod.string().check(zod.regex(STATUS)),
    description:
      'Available, Unavailable, Creating, Deleting, Failed, a word the vendor adds later, or Unknown.',
    example: 'Available',
  }),
  /** Absent or null: none. */
  images: member({
    read: ({ images }) => copyTexts(images ?? [], IMAGE),
    schema: (zod) => zod.array(zod.string().check(zod.regex(IMAGE))),
    description: 'References of the cached images.',
    example: ['swr.cn-north-4.myhuaweicloud.com/team/web:1.0'],
  }),
  image_cache_size: member({
    read: ({ image_cache_size }) => wholeNumber(image_cache_size, MAX_IMAGE_CACHE_SIZE),
    schema: (zod) => zod.int().check(zod.minimum(0), zod.maximum(MAX_IMAGE_CACHE_SIZE)),
    description: 'Size in GiB; 20 to 400 today.',
    example: 20,
  }),
  /** Absent or null: 0. */
  retention_days: member({
    read: ({ retention_days }) => wholeNumber(retention_days ?? 0, MAX_RETENTION_DAYS),
    schema: (zod) => zod.int().check(zod.minimum(0), zod.maximum(MAX_RETENTION_DAYS)),
    description: 'Days the image cache is kept; 0 means for ever.',
    example: 7,
  }),
  created_at: member({
    read: ({ created_at }) => (typeof created_at === 'string' ? parseGoTime(created_at) : undefined),
    show: ({ text }) => text,
    schema: (zod) => zod.iso.datetime({ precision: 6 }),
    description: 'When it was created: RFC 3339 in UTC, to the microsecond.',
    example: '2024-11-25T06:32:34.923248Z',
  }),
  /** Breaks the model when it would lie past the year 9999. */
  expires_at: member({
    read: (_entry, before: { readonly created_at: UtcTime; readonly retention_days: number }) =>
      before.retention_days === 0 ? null : addDays(before.created_at, before.retention_days)?.text,
    schema: (zod) => zod.nullable(zod.iso.datetime({ precision: 6 })),
    description: 'created_at plus retention_days, or null when it is kept for ever.',
    example: '2024-12-02T06:32:34.923248Z',
  }),
};

export type MemberName = keyof typeof MEMBERS;

type ReadOf<Row> = Row extends Member<infer Read, infer _Value, infer _Needs, infer _Schema> ? Read : never;
type ValueOf<Row> = Row extends Member<infer _Read, infer Value, infer _Needs, infer _Schema> ? Value : never;

/** The members of one entry as they were read. */
export type ReadMembers = { readonly [Name in MemberName]: ReadOf<(typeof MEMBERS)[Name]> };

/** One image cache as callers see it. */
export type ImageCache = { readonly [Name in MemberName]: ValueOf<(typeof MEMBERS)[Name]> };

function isNullish(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

/** The text, undefined when it is none or does not match. */
function matching(value: unknown, pattern: RegExp): string | undefined {
  return typeof value === 'string' && pattern.test(value) ? value : undefined;
}

/** The number, undefined when it is none, has a fraction, or is not between 0 and `max`. */
function wholeNumber(value: unknown, max: number): number | undefined {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max
    ? (value as number)
    : undefined;
}

/** A copy, undefined unless all of it matches. It ends at the first text at fault: a body can hold millions. */
function copyTexts(values: unknown, pattern: RegExp): readonly string[] | undefined {
  if (!Array.isArray(values)) return undefined;
  const copy: string[] = [];
  for (const value of values as readonly unknown[]) {
    const text = matching(value, pattern);
    if (text === undefined) return undefined;
    copy.push(text);
  }
  return copy;
}
