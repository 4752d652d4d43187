import { LRUCache } from 'lru-cache';
import type { TargetConfig } from '../config/config.ts';
import type { CacheOutcome } from '../observability/metrics.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import type { Platform } from '../platform/platform.ts';
import { whenReady } from '../platform/when-ready.ts';
import { UNFILTERED_KEY } from './cache-key.ts';
import { type CachedResponse, etagOf, type ListFilter, type LoadedBody } from './cached-response.ts';
import { createDerivedAnswers, type DerivedAnswers } from './derived-answers.ts';
import { EARLY_WINDOW_LOADS, isRefreshDue } from './early-refresh.ts';
import { createNameLoadBudget } from './name-load-budget.ts';
import {
  createSharedLoads,
  type SharedLevel,
  type SharedLoad,
  type SharedLoads,
  type Turn,
} from './shared-loads.ts';

/** A fresh life is shortened by up to this share at random, so that keys do not all expire together. */
export const TTL_JITTER = 0.1;
/** After upstream has refused the credential, data is served stale this long at most: 60 seconds. */
export const REFUSED_STALE_MS = 60_000;
/** A forced refresh loads a key again only when its last load began this long ago: 1 second. */
export const FORCED_REFRESH_MS = 1000;
/** A refresh that has not ended by then is taken for dead, and another may begin: 30 seconds. */
export const REFRESH_LOST_MS = 30_000;
/** Counted for each entry on top of its body and key: the object, its headers and the LRU's own links. */
const ENTRY_OVERHEAD_BYTES = 2048;

export interface CacheAnswer {
  readonly response: CachedResponse;
  /**
   * - `hit`: fresh. `derived`: taken from the fresh unfiltered list.
   * - `stale`: served at once, a refresh is under way or will be. `stale_error`: upstream gave nothing better.
   * - `miss`: loaded. `refreshed`: loaded although one was held. `collapsed`: waited for a load of another.
   * - `shared`: another instance had loaded it, or did while this one waited.
   */
  readonly outcome: CacheOutcome;
  /** Why the request went on to upstream (RFC 9211, section 2.2); undefined when it did not. */
  readonly forwarded: 'miss' | 'stale' | undefined;
  /** The value was put into the cache by this very request. */
  readonly stored: boolean;
}

export interface ResponseCacheOptions extends Readonly<TargetConfig['cache']> {
  /** Gets the value of a key from upstream. */
  readonly load: (key: string) => Promise<LoadedBody>;
  /** Does this say that upstream refuses the credential? Then data must not be served for long. */
  readonly isRefusal: (error: unknown) => boolean;
  /** Told what a load failed with when no caller is told. */
  readonly reportFailure: (error: unknown) => void;
  /** Where instances share what they load. */
  readonly shared?: SharedLevel;
  /** Runs each refresh that no caller waits for, for traces. It has to begin at once. */
  readonly aroundRefresh?: <Value>(refresh: () => Promise<Value>) => Promise<Value>;
}

export interface ReadOptions {
  /** The caller wants a value newer than the one held, and may ask for it. */
  readonly forceRefresh?: boolean;
}

export interface ResponseCache {
  /**
   * Answers from the cache, at once where it can, or loads, stores and answers. A load belongs to the cache:
   * it goes on when the caller leaves. A failed load is not stored; when no stale value may be served, it
   * rejects for everyone who waited for it.
   *
   * @param key a key made by cacheKeyFor
   */
  read(key: string, options?: ReadOptions): CacheAnswer | Promise<CacheAnswer>;
  /** Held entries. */
  readonly entries: number;
  /** Bytes they are counted with. */
  readonly bytes: number;
}

/** A value in the cache with what is known about keeping it current. */
interface HeldEntry {
  readonly response: CachedResponse;
  /** From then on a fresh value may be refreshed early. */
  readonly earlyFromMs: number;
  readonly loadMs: number;
  readonly staleWhileRevalidateUntilMs: number;
  readonly staleIfErrorUntilMs: number;
  /** For the unfiltered list. */
  readonly answers: DerivedAnswers | undefined;
  /** When its last load began; a failed one too. */
  loadBegunAtMs: number;
  /** Failed loads in a row. */
  failures: number;
  /** No refresh before. */
  pauseUntilMs: number;
  /** A refresh is under way, unless it was lost. */
  refreshingUntilMs: number;
}

/** What a load came to. */
interface Loaded {
  readonly response: CachedResponse;
  /** Another instance had asked upstream. */
  readonly isShared: boolean;
}

/**
 * Builds the cache, bounded by entries and by bytes; the least recently used entry goes first.
 *
 * A value is fresh for `ttlMs`; then, for `staleWhileRevalidateMs`, served at once while one refresh runs in the
 * background; then, for `staleIfErrorMs`, served only when a load fails (RFC 5861). Failed refreshes of a key
 * back off, so that upstream calls follow a schedule and not the callers.
 */
export function createResponseCache(
  options: ResponseCacheOptions,
  deps: Pick<Platform, 'now' | 'random' | 'waitUntil' | 'createSingleFlight' | 'digests'>,
): ResponseCache {
  const flights = deps.createSingleFlight();
  const sha256 = deps.digests?.sha256;
  const held = new LRUCache<string, HeldEntry>({
    max: options.maxEntries,
    maxSize: options.maxBytes,
    // The list is counted twice, for the answers that are taken from it.
    sizeCalculation: ({ response, answers }, key) =>
      response.body.byteLength * (answers === undefined ? 1 : 2) + key.length + ENTRY_OVERHEAD_BYTES,
  });
  /** Since when upstream refuses the credential, as far as the last loads tell. It is the same for all keys. */
  let refusedSinceMs: number | undefined;
  const nameLoads = createNameLoadBudget(options.ttlMs);
  const sharedLoads = options.shared && createSharedLoads(options.shared, deps.now);

  const isFresh = (entry: HeldEntry): boolean => deps.now() < entry.response.freshUntilMs;

  const mayServeStale = (): boolean =>
    refusedSinceMs === undefined || deps.now() - refusedSinceMs < REFUSED_STALE_MS;

  async function loadAndStore(key: string, isForced: boolean): Promise<Loaded> {
    const askedAtMs = deps.now();
    const previous = held.peek(key);
    if (previous !== undefined) {
      previous.loadBegunAtMs = askedAtMs;
      previous.refreshingUntilMs = askedAtMs + REFRESH_LOST_MS;
    }
    const turn = sharedLoads && (await takeTurn(sharedLoads, key, isForced, askedAtMs, previous));
    if (turn !== undefined && 'loaded' in turn) return { response: await adopt(key, turn), isShared: true };
    const begunAtMs = deps.now();
    try {
      const loaded = await options.load(key);
      const response = await toResponse(loaded);
      refusedSinceMs = undefined;
      held.set(key, toEntry(response, loaded.filter, begunAtMs));
      if (turn !== undefined) deps.waitUntil(turn.settle({ ...response, begunAtMs }));
      return { response, isShared: false };
    } catch (error) {
      if (turn !== undefined) deps.waitUntil(turn.settle());
      if (previous !== undefined) {
        previous.failures += 1;
        previous.pauseUntilMs = deps.now() + pauseAfterFailures(previous.failures, deps.random());
        previous.refreshingUntilMs = 0;
      }
      if (options.isRefusal(error)) refusedSinceMs ??= deps.now();
      else await adoptForWantOfBetter(key);
      throw error;
    }
  }

  function takeTurn(
    { take }: SharedLoads,
    key: string,
    isForced: boolean,
    askedAtMs: number,
    previous: HeldEntry | undefined,
  ): Promise<SharedLoad | Turn> {
    return take(key, ({ begunAtMs, storedAtMs, freshUntilMs }) =>
      isForced
        ? askedAtMs - begunAtMs < FORCED_REFRESH_MS
        : deps.now() < freshUntilMs && storedAtMs > (previous?.response.storedAtMs ?? 0),
    );
  }

  /** Keeps what another instance has loaded. Its times count, but never for longer than they would count here. */
  async function adopt(key: string, { entry, loaded }: SharedLoad): Promise<CachedResponse> {
    const { body, isEmpty, filter } = loaded;
    const etag = await etagOf(body, sha256);
    const storedAtMs = Math.min(entry.storedAtMs, deps.now());
    const ttlMs = isEmpty ? options.emptyTtlMs : options.ttlMs;
    const freshUntilMs = Math.min(entry.freshUntilMs, storedAtMs + ttlMs);
    const response = { body, etag, storedAtMs, freshUntilMs };
    if (refusedSinceMs !== undefined && storedAtMs > refusedSinceMs) refusedSinceMs = undefined;
    held.set(key, toEntry(response, filter, Math.min(entry.begunAtMs, storedAtMs)));
    return response;
  }

  /**
   * Upstream gives nothing: then what other instances have loaded, or this one before its restart, serves as stale.
   * Not when the credential is refused: what is held may not grow then.
   */
  async function adoptForWantOfBetter(key: string): Promise<void> {
    if (sharedLoads === undefined) return;
    for (const wanted of key === UNFILTERED_KEY ? [key] : [key, UNFILTERED_KEY]) {
      if (held.has(wanted)) return;
      const found = await sharedLoads.get(wanted);
      if (found !== undefined) {
        await adopt(wanted, found);
        return;
      }
    }
  }

  /** Another instance has put a key anew: what is held of it is replaced before anybody asks. */
  async function adoptNewer(key: string): Promise<void> {
    if (!held.has(key)) return;
    const found = await sharedLoads?.get(key);
    const previous = held.peek(key);
    if (found === undefined || previous === undefined) return;
    if (found.entry.storedAtMs > previous.response.storedAtMs) await adopt(key, found);
  }

  async function toResponse({ body, isEmpty }: LoadedBody): Promise<CachedResponse> {
    const etag = await etagOf(body, sha256);
    const storedAtMs = deps.now();
    const ttlMs = (isEmpty ? options.emptyTtlMs : options.ttlMs) * (1 - TTL_JITTER * deps.random());
    return { body, etag, storedAtMs, freshUntilMs: storedAtMs + ttlMs };
  }

  function toEntry(response: CachedResponse, filter: ListFilter | undefined, begunAtMs: number): HeldEntry {
    const loadMs = response.storedAtMs - begunAtMs;
    const staleWhileRevalidateUntilMs = response.freshUntilMs + options.staleWhileRevalidateMs;
    return {
      response,
      earlyFromMs: response.freshUntilMs - EARLY_WINDOW_LOADS * loadMs,
      loadMs,
      staleWhileRevalidateUntilMs,
      staleIfErrorUntilMs: staleWhileRevalidateUntilMs + options.staleIfErrorMs,
      answers: filter === undefined ? undefined : createDerivedAnswers(response, filter, sha256),
      loadBegunAtMs: begunAtMs,
      failures: 0,
      pauseUntilMs: 0,
      refreshingUntilMs: 0,
    };
  }

  /** Starts the load of a key or joins the one under way, and sees that it outlives the request. */
  function startLoad(
    key: string,
    { isForced = false, around }: { isForced?: boolean; around?: ResponseCacheOptions['aroundRefresh'] } = {},
  ) {
    const load = () => loadAndStore(key, isForced);
    const flight = flights.run(key, around === undefined ? load : () => around(load));
    if (!flight.joined && key !== UNFILTERED_KEY) nameLoads.spend();
    if (!flight.joined) deps.waitUntil(flight.promise.catch(() => undefined));
    return flight;
  }

  /** The key whose load answers this key: the list, when too many names were loaded one by one. */
  function keyToLoad(key: string): string {
    return key !== UNFILTERED_KEY && nameLoads.isSpent(deps.now()) ? UNFILTERED_KEY : key;
  }

  function refreshInBackground(key: string, entry: HeldEntry): void {
    const nowMs = deps.now();
    const loadedKey = keyToLoad(key);
    const loadedEntry = loadedKey === key ? entry : held.peek(loadedKey);
    // The second mark stands in for the flight where flights are not shared.
    if (
      loadedEntry !== undefined &&
      (nowMs < loadedEntry.pauseUntilMs || nowMs < loadedEntry.refreshingUntilMs)
    )
      return;
    const { promise, joined } = startLoad(loadedKey, { around: options.aroundRefresh });
    if (!joined) promise.catch(options.reportFailure);
  }

  /** Loads the key, or the whole list when too many names were loaded one by one. */
  async function loadFor(key: string, entry: HeldEntry | undefined, isForced: boolean): Promise<CacheAnswer> {
    const loadedKey = keyToLoad(key);
    const { promise, joined } = startLoad(loadedKey, { isForced });
    let response: CachedResponse;
    let isShared: boolean;
    try {
      ({ response, isShared } = await promise);
      if (loadedKey !== key)
        response = await (held.peek(loadedKey)?.answers?.derive(key) ?? loadAfterAll(key));
    } catch (error) {
      // Another instance's may have come meanwhile.
      const stale = await staleAnswer(key, held.peek(key) ?? entry, 'stale');
      if (stale === undefined) throw error;
      if (!joined) options.reportFailure(error);
      return stale;
    }
    if (isShared) return atOnce('shared', response);
    return {
      response,
      outcome: joined ? 'collapsed' : entry === undefined ? 'miss' : 'refreshed',
      forwarded: entry === undefined ? 'miss' : 'stale',
      // A value larger than the whole cache is served, but not kept.
      stored: !joined && held.peek(key)?.response === response,
    };
  }

  /** A list too large to keep answers nothing: then a name is loaded by itself. */
  async function loadAfterAll(name: string): Promise<CachedResponse> {
    nameLoads.renew();
    return (await startLoad(name).promise).response;
  }

  /** What may be served for want of something better: the entry, or for a name what the stale list has of it. */
  function staleAnswer(
    key: string,
    entry: HeldEntry | undefined,
    forwarded: 'stale' | undefined,
  ): CacheAnswer | Promise<CacheAnswer> | undefined {
    if (!mayServeStale()) return undefined;
    const answer = (response: CachedResponse): CacheAnswer => ({
      response,
      outcome: 'stale_error',
      forwarded,
      stored: false,
    });
    if (entry !== undefined && deps.now() < entry.staleIfErrorUntilMs) return answer(entry.response);
    const list = key === UNFILTERED_KEY ? undefined : held.get(UNFILTERED_KEY);
    if (list?.answers === undefined || deps.now() >= list.staleIfErrorUntilMs) return undefined;
    return whenReady(list.answers.derive(key), answer);
  }

  /** What is held answers at once, if it may; undefined when upstream has to be asked first. */
  function readHeld(
    key: string,
    entry: HeldEntry | undefined,
  ): CacheAnswer | Promise<CacheAnswer> | undefined {
    if (key !== UNFILTERED_KEY) {
      const derived = readFromList(key, entry);
      if (derived !== undefined) return derived;
    }
    if (entry === undefined) return undefined;
    if (isFresh(entry)) {
      refreshIfDue(key, entry);
      return atOnce('hit', entry.response);
    }
    if (!mayServeStale() || deps.now() >= entry.staleWhileRevalidateUntilMs) return undefined;
    refreshInBackground(key, entry);
    return atOnce('stale', entry.response);
  }

  /** The answer to a name from the fresh unfiltered list, unless what is held of the name itself is newer. */
  function readFromList(
    name: string,
    entry: HeldEntry | undefined,
  ): CacheAnswer | Promise<CacheAnswer> | undefined {
    const list = held.get(UNFILTERED_KEY);
    if (list?.answers === undefined || !isFresh(list)) return undefined;
    if (entry !== undefined && isFresh(entry) && entry.response.storedAtMs >= list.response.storedAtMs)
      return undefined;
    refreshIfDue(UNFILTERED_KEY, list);
    return whenReady(list.answers.derive(name), (response) => atOnce('derived', response));
  }

  function refreshIfDue(key: string, entry: HeldEntry): void {
    const nowMs = deps.now();
    if (nowMs < entry.earlyFromMs) return;
    if (isRefreshDue(entry.response.freshUntilMs - nowMs, entry.loadMs, deps.random()))
      refreshInBackground(key, entry);
  }

  options.shared?.entries.onShared?.((key) => deps.waitUntil(adoptNewer(key).catch(options.reportFailure)));

  return {
    read(key, { forceRefresh = false } = {}) {
      const entry = held.get(key);
      const nowMs = deps.now();
      const forced =
        forceRefresh && (entry === undefined || nowMs - entry.loadBegunAtMs >= FORCED_REFRESH_MS);
      const answer = forced ? undefined : readHeld(key, entry);
      if (answer !== undefined) return answer;
      // While refreshes of this key back off, its callers do not make calls either.
      if (entry !== undefined && nowMs < entry.pauseUntilMs) {
        const stale = staleAnswer(key, entry, undefined);
        if (stale !== undefined) return stale;
      }
      return loadFor(key, entry, forced);
    },
    get entries() {
      return held.size;
    },
    get bytes() {
      return held.calculatedSize;
    },
  };
}

function atOnce(outcome: CacheOutcome, response: CachedResponse): CacheAnswer {
  return { response, outcome, forwarded: undefined, stored: false };
}
