import { LRUCache } from 'lru-cache';
import type { LoadedBody } from '../cache/cached-response.ts';
import type { DroppedEntry } from './sanitise.ts';

/** Lists that are remembered: 256. */
const MAX_LISTS = 256;
/** Bytes that they take: 4 MiB, about 60 lists of 50 entries. */
const MAX_BYTES = 4 * 1024 * 1024;
/** A character may take as many. */
const CHARACTER_BYTES = 2;
/** Of an object with two members, and its place in an array. */
const DROPPED_ENTRY_BYTES = 64;

/** A list as it came from upstream, and what was made of it. */
export interface ReceivedList {
  readonly text: string;
  readonly loaded: LoadedBody;
  readonly dropped: readonly DroppedEntry[];
}

/**
 * The last list that came from upstream under each name. Most lists come again as they were, and what is made of one
 * depends on its text alone: to compare two texts takes a hundredth of parsing and sanitising one.
 */
export class ReceivedLists {
  readonly #byName = new LRUCache<string, ReceivedList>({
    max: MAX_LISTS,
    maxSize: MAX_BYTES,
    sizeCalculation: ({ text, loaded, dropped }) =>
      text.length * CHARACTER_BYTES + loaded.body.byteLength + dropped.length * DROPPED_ENTRY_BYTES,
  });

  /** What was made of a text, if it was the last one of the name; undefined: of the whole list. */
  get(name: string | undefined, text: string): ReceivedList | undefined {
    const last = this.#byName.get(name ?? '');
    return last?.text === text ? last : undefined;
  }

  set(name: string | undefined, list: ReceivedList): void {
    this.#byName.set(name ?? '', list);
  }
}
