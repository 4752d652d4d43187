import type { SharedEntry } from '../../../src/fleet/entries.ts';
import { vendorEntry } from '../../support/test-service.ts';
import { DEADLINE_MS, EMPTY_FRESH_MS, FRESH_JITTER, FRESH_MS } from './contract-numbers.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/** A list that upstream or another replica gave. Its number stands in each of its entries. */
export interface GivenList {
  readonly number: number;
  /** Of the cache. */
  readonly key: string;
  readonly names: readonly string[];
  readonly origin: 'upstream' | 'replica';
  /** Its load began no earlier, and no later, than this. */
  readonly begunAfterMs: number;
  readonly begunUntilMs: number;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
  /** No load of it can have taken longer. */
  readonly longestLoadMs: number;
  /** Answers that say they loaded it themselves. */
  loaders: number;
}

/** A call that was given up is read on for so long. */
const LATE_MS = 30_000;

export interface ServedList {
  readonly text: string;
  readonly key: string;
  readonly atMs: number;
  /** The headers Age and max-age. */
  readonly ageSeconds: number;
  readonly maxAgeSeconds: number;
  /** The parameter ttl of Cache-Status; undefined: absent. */
  readonly ttlSeconds: number | undefined;
}

export interface GivenLists {
  /** @param replica for how long it is fresh in the other replica that loaded it; absent: upstream gave it */
  add(
    list: Pick<GivenList, 'key' | 'names' | 'begunAfterMs' | 'begunUntilMs' | 'storedAtMs'> & {
      readonly isLate?: boolean;
    },
    replica?: { readonly freshUntilMs: number },
  ): GivenList;
  /**
   * The list that an answer was taken from; undefined when nobody gave it for this key.
   *
   * @param fits prefers one of several that give the same bytes
   */
  find(served: ServedList, fits: (given: GivenList) => boolean): GivenList | undefined;
  /** The list that the shared store holds; undefined when nobody gave it. */
  ofEntry(key: string, entry: SharedEntry | undefined): GivenList | undefined;
}

/** @param random what jitter is made of, the same at each time */
export function createGivenLists(random: number): GivenLists {
  const all: GivenList[] = [];

  const isFor = (given: GivenList, key: string): boolean => given.key === key || given.key === UNFILTERED_KEY;

  return {
    add({ isLate = false, ...list }, replica) {
      const lifeMs = freshLifeMs(list.names);
      const given: GivenList = {
        ...list,
        number: all.length,
        origin: replica === undefined ? 'upstream' : 'replica',
        freshUntilMs:
          replica === undefined
            ? list.storedAtMs + lifeMs * (1 - FRESH_JITTER * random)
            : Math.min(replica.freshUntilMs, list.storedAtMs + lifeMs),
        longestLoadMs:
          replica === undefined
            ? 2 * DEADLINE_MS + 1000 + (isLate ? LATE_MS : 0)
            : list.storedAtMs - list.begunAfterMs,
        loaders: 0,
      };
      all.push(given);
      return given;
    },
    find({ text, key, atMs, ageSeconds, maxAgeSeconds, ttlSeconds }, fits) {
      const number = /answer-(\d+)"/.exec(text)?.[1];
      if (number !== undefined) {
        const given = all[Number(number)];
        return given !== undefined && isFor(given, key) && servedText(given, key) === text
          ? given
          : undefined;
      }
      // An empty answer has no number: its times tell.
      const like = all.filter((given) => {
        const leftSeconds = Math.floor((given.freshUntilMs - atMs) / 1000);
        return (
          isFor(given, key) &&
          servedText(given, key) === text &&
          Math.floor((atMs - given.storedAtMs) / 1000) === ageSeconds &&
          Math.max(0, leftSeconds) === maxAgeSeconds &&
          leftSeconds === (ttlSeconds ?? leftSeconds)
        );
      });
      const fitting = like.filter(fits);
      return eitherOf(fitting.length > 0 ? fitting : like);
    },
    ofEntry(key, entry) {
      if (entry === undefined) return undefined;
      const text = new TextDecoder().decode(entry.body);
      return all.findLast(
        (given) =>
          given.key === key && given.storedAtMs === entry.storedAtMs && servedText(given, key) === text,
      );
    },
  };
}

/** True when the load of the one surely began before that of the other. */
export function isSurelyOlder(one: GivenList, other: GivenList): boolean {
  return one.begunUntilMs < other.begunAfterMs;
}

/** One of several lists, which an answer does not tell apart: what holds for each of them that has the key of the last. */
function eitherOf(lists: readonly GivenList[]): GivenList | undefined {
  const last = lists.at(-1);
  const alike = lists.filter(({ key }) => key === last?.key);
  if (last === undefined || alike.length === 1) return last;
  const all = (time: 'begunAfterMs' | 'begunUntilMs' | 'longestLoadMs') => alike.map((list) => list[time]);
  return {
    ...last,
    begunAfterMs: Math.min(...all('begunAfterMs')),
    begunUntilMs: Math.max(...all('begunUntilMs')),
    longestLoadMs: Math.max(...all('longestLoadMs')),
  };
}

/** How long a list is fresh, unless that is shortened at random. */
export function freshLifeMs(names: readonly string[]): number {
  return names.length === 0 ? EMPTY_FRESH_MS : FRESH_MS;
}

/** The body that the service sends of a list for a key, byte for byte. */
export function servedText(given: Pick<GivenList, 'number' | 'names'>, key: string): string {
  const names = key === UNFILTERED_KEY ? given.names : given.names.filter((name) => name === key);
  return JSON.stringify({
    image_caches: names.map((name) => ({
      id: '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0',
      name,
      status: 'Available',
      images: [imageOf(given.number)],
      image_cache_size: 20,
      retention_days: 7,
      created_at: '2024-11-25T06:32:34.923248Z',
      expires_at: '2024-12-02T06:32:34.923248Z',
    })),
  });
}

/** The same list as the vendor sends it. */
export function vendorText(given: Pick<GivenList, 'number' | 'names'>): string {
  const images = [imageOf(given.number)];
  return JSON.stringify({ image_caches: given.names.map((name) => vendorEntry(name, { images })) });
}

function imageOf(number: number): string {
  return `registry.example.test/web:answer-${number}`;
}
