import { sanitiseImageCaches } from '../../src/imagecaches/sanitise.ts';
import { serialiseImageCaches } from '../../src/imagecaches/serialise.ts';
import { findSecret } from './secrets.ts';
import {
  ATTEMPT_TIMEOUT_MS,
  STALE_IF_ERROR_SECONDS,
  STALE_WHILE_REVALIDATE_SECONDS,
  TTL_SECONDS,
} from './service-settings.ts';
import type { Tally } from './tally.ts';

/** Two that are in most lists, and one that is in none. */
export const NAMES = ['search-worker-02', 'media-web-06', 'no-such-cache'];

/** What upstream has not given for so long may no longer be served, the time of a load and of a slow machine included. */
export const OLDEST_SERVED_MS =
  (TTL_SECONDS + STALE_WHILE_REVALIDATE_SECONDS + STALE_IF_ERROR_SECONDS) * 1000 + ATTEMPT_TIMEOUT_MS + 2000;
/** Kept for longer, to tell a list that is too old from one that never was. */
const REMEMBERED_MS = 60_000;

interface KnownBody {
  readonly byteLength: number;
  /** Infinity while upstream gives it. */
  givenUntilMs: number;
}

/** Every list that upstream gave, as the bytes that callers have to get, made from the stand-in's data. */
export interface ListHistory {
  /** Upstream gives this list from now on. */
  change(imageCaches: readonly unknown[], nowMs: number): void;
  /** How long ago upstream gave this last, in milliseconds: 0 while it does; undefined when it never did, or not lately. */
  ageMs(path: string, body: string, nowMs: number): number | undefined;
  /** Is there a body of so many bytes that may be served? */
  hasLength(path: string, byteLength: number, nowMs: number): boolean;
}

export function createListHistory(tally: Tally): ListHistory {
  const known = new Map<string, Map<string, KnownBody>>();

  function give(path: string, body: Uint8Array, nowMs: number): void {
    const bodies = known.get(path) ?? new Map<string, KnownBody>();
    known.set(path, bodies);
    for (const [given, entry] of bodies) {
      if (entry.givenUntilMs === Number.POSITIVE_INFINITY) entry.givenUntilMs = nowMs;
      if (entry.givenUntilMs < nowMs - REMEMBERED_MS) bodies.delete(given);
    }
    const entry = { byteLength: body.byteLength, givenUntilMs: Number.POSITIVE_INFINITY };
    const text = new TextDecoder().decode(body);
    bodies.set(text, entry);
    // Looked for here and not in each answer: an answer has to be one of these.
    const secret = findSecret(text);
    if (secret !== undefined) tally.wrong(`what callers should get has ${secret} in it`);
  }

  return {
    change(vendorList, nowMs) {
      const { imageCaches } = sanitiseImageCaches([...vendorList]);
      give('/imagecaches', serialiseImageCaches(imageCaches).body, nowMs);
      for (const name of NAMES) {
        const { body } = serialiseImageCaches(imageCaches.filter((entry) => entry.name === name));
        give(`/imagecaches?name=${name}`, body, nowMs);
      }
    },
    ageMs(path, body, nowMs) {
      const entry = known.get(path)?.get(body);
      return entry && Math.max(0, nowMs - entry.givenUntilMs);
    },
    hasLength: (path, byteLength, nowMs) =>
      [...(known.get(path)?.values() ?? [])].some(
        (entry) => entry.byteLength === byteLength && nowMs - entry.givenUntilMs <= OLDEST_SERVED_MS,
      ),
  };
}
