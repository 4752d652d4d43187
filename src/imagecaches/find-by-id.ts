import { type BodyDigest, type CachedResponse, etagOf } from '../cache/cached-response.ts';
import type { ImageCache } from './model.ts';

const DECODER = new TextDecoder();
const ENCODER = new TextEncoder();

/** The entries of a list by id, made when the first one is asked for. They end with the list. */
const entriesOf = new WeakMap<CachedResponse, ReadonlyMap<string, ImageCache>>();
/** The answers that have been made of entries. */
const answersOf = new WeakMap<ImageCache, CachedResponse>();

/**
 * Finds one image cache in what is held, as the answer `{"image_cache":{…}}` with the times of the list that it is from.
 *
 * @param id as the caller sent it: any text
 * @param list the whole list
 * @param newer what newer loads have said of names
 * @param sha256 default: WebCrypto's
 * @returns undefined when there is none with this id
 */
export async function findById(
  id: string,
  list: CachedResponse,
  newer: ReadonlyMap<string, CachedResponse>,
  sha256?: BodyDigest,
): Promise<CachedResponse | undefined> {
  for (const ofName of newer.values()) {
    const entry = entriesById(ofName).get(id);
    if (entry !== undefined) return toAnswer(entry, ofName, sha256);
  }
  const entry = entriesById(list).get(id);
  return entry === undefined || newer.has(entry.name) ? undefined : toAnswer(entry, list, sha256);
}

function entriesById(list: CachedResponse): ReadonlyMap<string, ImageCache> {
  const known = entriesOf.get(list);
  if (known !== undefined) return known;
  const { image_caches: entries } = JSON.parse(DECODER.decode(list.body)) as { image_caches: ImageCache[] };
  const byId = new Map(entries.map((entry) => [entry.id, entry]));
  entriesOf.set(list, byId);
  return byId;
}

async function toAnswer(
  entry: ImageCache,
  { begunAtMs, storedAtMs, freshUntilMs }: CachedResponse,
  sha256?: BodyDigest,
): Promise<CachedResponse> {
  const known = answersOf.get(entry);
  if (known !== undefined) return known;
  const body = ENCODER.encode(JSON.stringify({ image_cache: entry }));
  const answer = { body, etag: await etagOf(body, sha256), begunAtMs, storedAtMs, freshUntilMs };
  answersOf.set(entry, answer);
  return answer;
}
