import { LRUCache } from 'lru-cache';
import type { Config } from '../config.ts';
import type { Dependencies } from '../deps.ts';

/** A fresh life is shortened by up to this share at random, so that keys do not all expire together. */
export const TTL_JITTER = 0.1;
/** Counted for each entry on top of its body and key: the object, its headers and the LRU's own links. */
const ENTRY_OVERHEAD_BYTES = 1024;
const ETAG_BYTES = 16;

/** What a load gives to the cache: the bytes that will be sent. */
export interface LoadedBody {
  readonly body: Uint8Array<ArrayBuffer>;
  /** An empty answer lives shorter: it is what a caller sees just before its cache is made. */
  readonly isEmpty: boolean;
}

export interface CachedResponse {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Strong: a digest of the body (RFC 9110, section 8.8.3). */
  readonly etag: string;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
}

/** How an answer came about, in the terms of Cache-Status (RFC 9211). */
export interface CacheVerdict {
  readonly kind: 'hit' | 'miss';
  /** The value was put into the cache by this very request. */
  readonly stored: boolean;
  /** The request waited for a load that another one had started. */
  readonly collapsed: boolean;
}

export interface CacheAnswer {
  readonly response: CachedResponse;
  readonly verdict: CacheVerdict;
}

export interface ResponseCache {
  /**
   * Answers from the cache, or loads, stores and answers. The load belongs to the cache: it goes on when
   * the caller leaves. A failed load is not stored, and rejects for everyone who waited for it.
   *
   * @param key a key made by cacheKeyFor
   * @param load gets the value; called at most once at a time per key where the runtime can share it
   */
  read(key: string, load: () => Promise<LoadedBody>): CacheAnswer | Promise<CacheAnswer>;
  /** Held entries. */
  readonly entries: number;
  /** Bytes they are counted with. */
  readonly bytes: number;
}

const HIT: CacheVerdict = Object.freeze({ kind: 'hit', stored: false, collapsed: false });

/** Builds the cache, bounded by entries and by bytes; the least recently used entry goes first. */
export function createResponseCache(
  config: Config['cache'],
  deps: Pick<Dependencies, 'now' | 'random' | 'waitUntil' | 'createSingleFlight'>,
): ResponseCache {
  const flights = deps.createSingleFlight();
  const stored = new LRUCache<string, CachedResponse>({
    max: config.maxEntries,
    maxSize: config.maxBytes,
    sizeCalculation: (response, key) => response.body.byteLength + key.length + ENTRY_OVERHEAD_BYTES,
  });

  async function loadAndStore(key: string, load: () => Promise<LoadedBody>): Promise<CachedResponse> {
    const { body, isEmpty } = await load();
    const etag = await etagOf(body);
    const storedAtMs = deps.now();
    const ttlMs = (isEmpty ? config.emptyTtlMs : config.ttlMs) * (1 - TTL_JITTER * deps.random());
    const response: CachedResponse = { body, etag, storedAtMs, freshUntilMs: storedAtMs + ttlMs };
    stored.set(key, response);
    return response;
  }

  return {
    read(key, load) {
      const held = stored.get(key);
      if (held !== undefined && deps.now() < held.freshUntilMs) return { response: held, verdict: HIT };

      const { promise, joined } = flights.run(key, () => loadAndStore(key, load));
      if (!joined) deps.waitUntil(promise.catch(() => undefined));
      return promise.then((response) => ({
        response,
        // A value larger than the whole cache is served, but not kept.
        verdict: { kind: 'miss', stored: !joined && stored.peek(key) === response, collapsed: joined },
      }));
    },
    get entries() {
      return stored.size;
    },
    get bytes() {
      return stored.calculatedSize;
    },
  };
}

async function etagOf(body: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body)).subarray(0, ETAG_BYTES);
  return `"${Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')}"`;
}
