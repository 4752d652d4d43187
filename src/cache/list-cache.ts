import type { CacheOutcome } from '../observability/metrics.ts';
import type { Flight } from '../platform/single-flight.ts';
import type { BodyDigest, CachedResponse, ListFilter } from './cached-response.ts';
import { DerivedAnswers } from './derived-answers.ts';
import type { HeldEntry } from './held-entry.ts';
import { checkListKey, parseSharedKey, toCacheKey } from './list-key.ts';
import { type ListResource, ListSource } from './list-source.ts';
import { NameLoadBudget } from './name-load-budget.ts';
import {
  type CachePlatform,
  type Loaded,
  ResponseCache,
  type ResponseCacheOptions,
} from './response-cache.ts';

export interface CacheAnswer {
  readonly response: CachedResponse;
  /**
   * - `hit`: fresh. `derived`: cut out of the fresh whole list.
   * - `stale`: served at once, a refresh is under way or will be. `stale_error`: upstream gave nothing better.
   * - `miss`: loaded. `refreshed`: loaded although one was held. `collapsed`: waited for the load of another request.
   * - `shared`: another replica had loaded it, or did while this one waited.
   */
  readonly outcome: CacheOutcome;
  /** Why the request went on to upstream (RFC 9211, section 2.2); undefined when it did not. */
  readonly forwarded: 'miss' | 'stale' | undefined;
  /** True when this very request put the value into the cache. */
  readonly stored: boolean;
}

export interface ListCacheOptions extends ResponseCacheOptions, ListResource {}

export interface ReadOptions {
  /** The caller wants a value newer than the one held, and is allowed to ask for it. Default: false. */
  readonly forceRefresh?: boolean;
}

/** Builds the cache of one resource of one target. */
export function createListCache(options: ListCacheOptions, platform: CachePlatform): ListCache {
  return new ListCache(options, platform);
}

/**
 * The lists of one resource: the whole one, and those filtered by a name. A fresh whole list answers every name; when
 * too many names are loaded one by one, the whole list is loaded instead.
 */
export class ListCache {
  readonly #options: ListCacheOptions;
  readonly #now: () => number;
  readonly #sha256: BodyDigest | undefined;
  readonly #cache: ResponseCache;
  readonly #wholeList: ListSource;
  readonly #nameLoads: NameLoadBudget;
  /** By whole list, which they end with. */
  readonly #answers = new WeakMap<CachedResponse, DerivedAnswers>();

  /** @throws TypeError when the names of target and resource cannot be part of a key */
  constructor(options: ListCacheOptions, platform: CachePlatform) {
    const { target, resource } = options;
    checkListKey({ target, resource });
    this.#options = options;
    this.#now = platform.now;
    this.#sha256 = platform.digests?.sha256;
    this.#cache = new ResponseCache(options, platform);
    this.#wholeList = new ListSource(options, undefined);
    this.#nameLoads = new NameLoadBudget(options.ttlMs);
    options.shared?.entries.onShared?.((sharedKey) => {
      const key = parseSharedKey(sharedKey);
      if (key.resource !== resource) return;
      const adopted = this.#cache.adoptNewer(this.#sourceOf(key.name));
      platform.waitUntil(adopted.catch(options.reportFailure));
    });
  }

  /** Held lists. */
  get entries(): number {
    return this.#cache.entries;
  }

  /** Bytes that held lists are counted with. */
  get bytes(): number {
    return this.#cache.bytes;
  }

  /**
   * Answers from what is held, where it may, else loads, stores and answers. A load goes on when the caller leaves; a
   * failed one stores nothing.
   *
   * @param name undefined: the whole list
   * @returns rejects with what the load failed with, for all who waited for it, when nothing stale may be served
   */
  async read(name: string | undefined, { forceRefresh = false }: ReadOptions = {}): Promise<CacheAnswer> {
    const source = this.#sourceOf(name);
    const entry = this.#cache.get(source.key);
    const isForced = forceRefresh && this.#cache.mayForce(entry);
    const answer = isForced ? undefined : this.#readHeld(source, entry);
    if (answer !== undefined) return answer;
    // While loads of this key pause, its callers do not make calls either.
    if (entry !== undefined && this.#cache.isPaused(entry)) {
      const stale = this.#findStale(name, entry);
      if (stale !== undefined) return answerOf('stale_error', await stale);
    }
    return this.#load(source, entry, isForced);
  }

  /**
   * The answer that `read` would give at once: with nothing to load, to refresh, to derive or to draw. It changes
   * nothing but the order in which entries were used.
   *
   * @param name undefined: the whole list
   * @returns undefined when `read` has to be asked
   */
  peek(name: string | undefined): CacheAnswer | undefined {
    const cache = this.#cache;
    const entry = cache.get(this.#keyOf(name));
    if (name !== undefined) {
      const list = this.#findFreshList(entry);
      if (list !== undefined) {
        const derived = cache.isEndNear(list) ? undefined : this.#answers.get(list.response)?.peek(name);
        return derived && answerOf('derived', derived);
      }
    }
    if (entry === undefined) return undefined;
    if (cache.isFresh(entry)) return cache.isEndNear(entry) ? undefined : answerOf('hit', entry.response);
    if (cache.mayServeStale(entry))
      return this.#isRefreshHeldBack(name) ? answerOf('stale', entry.response) : undefined;
    if (!cache.isPaused(entry)) return undefined;
    const stale = this.#peekStale(name, entry);
    return stale && answerOf('stale_error', stale);
  }

  /** Answers from what is held, if it may; undefined when upstream has to be asked first. */
  #readHeld(
    source: ListSource,
    entry: HeldEntry | undefined,
  ): CacheAnswer | Promise<CacheAnswer> | undefined {
    const cache = this.#cache;
    if (source.name !== undefined) {
      const list = this.#findFreshList(entry);
      if (list !== undefined) {
        if (cache.drawEarlyRefresh(list)) this.#refresh(this.#wholeList);
        return this.#readDerived(list, source.name);
      }
    }
    if (entry === undefined) return undefined;
    if (cache.isFresh(entry)) {
      if (cache.drawEarlyRefresh(entry)) this.#refresh(source);
      return answerOf('hit', entry.response);
    }
    if (!cache.mayServeStale(entry)) return undefined;
    this.#refresh(source);
    return answerOf('stale', entry.response);
  }

  async #readDerived(list: HeldList, name: string): Promise<CacheAnswer> {
    return answerOf('derived', await this.#answersOf(list).derive(name));
  }

  /** Loads a list and answers with it, or with something stale when that fails. */
  async #load(source: ListSource, entry: HeldEntry | undefined, isForced: boolean): Promise<CacheAnswer> {
    const toLoad = this.#chooseLoad(source);
    const { promise, joined } = this.#startLoad(toLoad, isForced);
    let response: CachedResponse;
    let isShared: boolean;
    try {
      ({ response, isShared } = await promise);
      if (toLoad !== source) response = await this.#answerFromLoadedList(source);
    } catch (error) {
      // What another replica has loaded may have come meanwhile.
      const stale = await this.#findStale(source.name, this.#cache.peek(source.key) ?? entry);
      if (stale === undefined) throw error;
      if (!joined) this.#options.reportFailure(error);
      return { ...answerOf('stale_error', stale), forwarded: 'stale' };
    }
    if (isShared) return answerOf('shared', response);
    return {
      response,
      outcome: joined ? 'collapsed' : entry === undefined ? 'miss' : 'refreshed',
      forwarded: entry === undefined ? 'miss' : 'stale',
      // A value larger than the whole cache is served, but not held.
      stored: !joined && this.#cache.peek(source.key)?.response === response,
    };
  }

  /** The answer to a name from the whole list that was loaded for it. */
  async #answerFromLoadedList(source: ListSource): Promise<CachedResponse> {
    const list = this.#cache.peek(this.#wholeList.key);
    if (source.name !== undefined && isWholeList(list)) return this.#answersOf(list).derive(source.name);
    // The list is too large to be held, so it answers nothing: the name is loaded by itself.
    this.#nameLoads.renew();
    return (await this.#startLoad(source, false).promise).response;
  }

  #startLoad(source: ListSource, isForced: boolean): Flight<Loaded> {
    const flight = this.#cache.load(source, isForced);
    if (!flight.joined) this.#countLoad(source);
    return flight;
  }

  #refresh(source: ListSource): void {
    const toLoad = this.#chooseLoad(source);
    if (this.#cache.refresh(toLoad)) this.#countLoad(toLoad);
  }

  /** Whether `#refresh` of this name would start nothing. */
  #isRefreshHeldBack(name: string | undefined): boolean {
    const isListDue = name !== undefined && this.#nameLoads.isSpent(this.#now());
    return this.#cache.isRefreshHeldBack(isListDue ? this.#wholeList.key : this.#keyOf(name));
  }

  /** What to load for a list: itself, or the whole list when too many names were loaded one by one. */
  #chooseLoad(source: ListSource): ListSource {
    if (source.name === undefined) return source;
    const nowMs = this.#now();
    this.#nameLoads.begin(nowMs);
    return this.#nameLoads.isSpent(nowMs) ? this.#wholeList : source;
  }

  #countLoad(source: ListSource): void {
    if (source.name !== undefined) this.#nameLoads.spend();
  }

  /** The fresh whole list that answers a name, unless what is held of the name itself is fresh and newer. */
  #findFreshList(ofName: HeldEntry | undefined): HeldList | undefined {
    const list = this.#cache.get(this.#wholeList.key);
    if (!isWholeList(list) || !this.#cache.isFresh(list)) return undefined;
    const isOlder =
      ofName !== undefined &&
      this.#cache.isFresh(ofName) &&
      ofName.response.storedAtMs >= list.response.storedAtMs;
    return isOlder ? undefined : list;
  }

  /** What may be served when upstream gives nothing better: the entry, or for a name what the stale list has of it. */
  #findStale(
    name: string | undefined,
    entry: HeldEntry | undefined,
  ): CachedResponse | Promise<CachedResponse> | undefined {
    if (entry !== undefined && this.#cache.mayServeOnError(entry)) return entry.response;
    if (name === undefined) return undefined;
    const list = this.#findStaleList();
    return list && this.#answersOf(list).derive(name);
  }

  /** The same, if it needs no derivation. */
  #peekStale(name: string | undefined, entry: HeldEntry): CachedResponse | undefined {
    if (this.#cache.mayServeOnError(entry)) return entry.response;
    if (name === undefined) return undefined;
    const list = this.#findStaleList();
    return list && this.#answers.get(list.response)?.peek(name);
  }

  #findStaleList(): HeldList | undefined {
    const list = this.#cache.get(this.#wholeList.key);
    return isWholeList(list) && this.#cache.mayServeOnError(list) ? list : undefined;
  }

  #answersOf(list: HeldList): DerivedAnswers {
    const known = this.#answers.get(list.response);
    if (known !== undefined) return known;
    const answers = new DerivedAnswers(list.response, list.filter, this.#sha256);
    this.#answers.set(list.response, answers);
    return answers;
  }

  #keyOf(name: string | undefined): string {
    const { target, resource } = this.#options;
    return name === undefined ? this.#wholeList.key : toCacheKey({ target, resource, name });
  }

  #sourceOf(name: string | undefined): ListSource {
    return name === undefined ? this.#wholeList : new ListSource(this.#options, name, this.#wholeList);
  }
}

/** A whole list that can answer names. */
interface HeldList extends HeldEntry {
  readonly filter: ListFilter;
}

function isWholeList(entry: HeldEntry | undefined): entry is HeldList {
  return entry?.filter !== undefined;
}

/** An answer for which upstream was not asked. */
function answerOf(outcome: CacheOutcome, response: CachedResponse): CacheAnswer {
  return { response, outcome, forwarded: undefined, stored: false };
}
