import { type ImageCache, MEMBERS, type MemberName, type ReadMembers, type VendorEntry } from './model.ts';

/** An entry that broke the model: where it stood and its first member at fault. Never a value. */
export interface DroppedEntry {
  /** From 0, in the list as it came. */
  readonly index: number;
  /** `entry` when it is not an object at all. */
  readonly member: MemberName | 'entry';
}

export interface SanitisedImageCaches {
  readonly imageCaches: ImageCache[];
  readonly dropped: DroppedEntry[];
}

interface Reader {
  readonly name: MemberName;
  readonly read: (entry: VendorEntry, before: ReadMembers) => unknown;
}

const NAMES = Object.keys(MEMBERS) as MemberName[];
const READERS: readonly Reader[] = NAMES.map((name) => ({ name, read: MEMBERS[name].read }));
/** The members that are not shown as they were read. */
const SHOWN = NAMES.flatMap((name) => {
  const { show } = MEMBERS[name];
  return show === undefined ? [] : [{ name, show }];
});

/**
 * Turns the vendor's entries into what callers may see: a strict allow-list, built member by member (see MEMBERS), so
 * that a member the vendor adds tomorrow stays hidden. An entry that breaks the model is dropped and reported; the
 * others keep their order, and equal ones are all kept.
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

/** The entry as callers see it, or the name of its first member at fault. */
function sanitiseImageCache(entry: unknown): ImageCache | DroppedEntry['member'] {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) return 'entry';
  const members: Record<string, unknown> = {};
  for (const { name, read } of READERS) {
    const value = read(entry as VendorEntry, members as ReadMembers);
    if (value === undefined) return name;
    members[name] = value;
  }
  for (const { name, show } of SHOWN) members[name] = show(members[name] as never);
  return members as ImageCache;
}
