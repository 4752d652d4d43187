import type { CacheOutcome } from '../observability/metrics.ts';
import type { Cause } from '../observability/trace-ids.ts';
import type { Flight } from '../platform/single-flight.ts';
import type { BodyDigest, CachedResponse, ListFilter } from './cached-response.ts';
import { DerivedAnswers } from './derived-answers.ts';
import { type HeldEntry, REFRESH_LOST_MS } from './held-entry.ts';
import { checkListKey, parseSharedKey, toCacheKey } from './list-key.ts';
import { type ListResource, ListSource } from './list-source.ts';
import { NameLoadBudget } from './name-load-budget.ts';
import {
  type CachePlatform,
  type Loaded,
  type LoadOptions,
  type NewestValue,
  ResponseCache,
  type ResponseCacheOptions,
} from './response-cache.ts';

const NOTHING_NEWER: ReadonlyMap<string, CachedResponse> = new Map();

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
  /** The request that reads, for the log lines and spans of what it starts. */
  readonly cause?: Cause;
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
  readonly #elapsed: () => number;
  readonly #waitUntil: CachePlatform['waitUntil'];
  readonly #sha256: BodyDigest | undefined;
  readonly #cache: ResponseCache;
  readonly #wholeList: ListSource;
  readonly #nameLoads: NameLoadBudget;
  /** The last load that callers wait for. It is lost at `untilMs`, since a cancelled request may never end it. */
  #awaited: { readonly name: string | undefined; readonly untilMs: number } | undefined;
  /** By whole list, which they end with. */
  readonly #answers = new WeakMap<CachedResponse, DerivedAnswers>();

  /** @throws TypeError when the names of target and resource cannot be part of a key */
  constructor(options: ListCacheOptions, platform: CachePlatform) {
    const { target, resource } = options;
    checkListKey({ target, resource });
    this.#options = options;
    this.#elapsed = platform.elapsed;
    this.#waitUntil = platform.waitUntil;
    this.#sha256 = platform.digests?.sha256;
    this.#cache = new ResponseCache(
      { ...options, onNewest: ({ name }, newest) => this.#supersede(name, newest) },
      platform,
    );
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
  async read(
    name: string | undefined,
    { forceRefresh = false, cause }: ReadOptions = {},
  ): Promise<CacheAnswer> {
    const source = this.#sourceOf(name);
    const current = this.#findCurrent(source);
    const isForced = forceRefresh && this.#mayForce(source, current);
    if (current !== undefined && !isForced) {
      const outcome = this.#serve(current, cause);
      if (outcome !== undefined) return this.#answer(outcome, await this.#respond(current, name));
    }
    return this.#load(source, current, { isForced, cause });
  }

  /**
   * The answer that `read` would give at once: with nothing to load, to refresh, to derive or to draw. It changes
   * nothing but the order in which entries were used.
   *
   * @param name undefined: the whole list
   * @returns undefined when `read` has to be asked
   */
  peek(name: string | undefined): CacheAnswer | undefined {
    const own = this.#cache.get(this.#keyOf(name));
    const list = name === undefined ? undefined : this.#findNewerList(name, own);
    const entry = list ?? own;
    if (entry === undefined) return undefined;
    const newer = list && this.newerThan(list.response).get(name as string);
    const held = { entry, isDerived: list !== undefined, newer };
    const outcome = this.#peekOutcome(held, list === undefined ? name : undefined);
    if (outcome === undefined) return undefined;
    const response =
      list === undefined ? entry.response : this.#answers.get(list.response)?.peek(name as string);
    return response && this.#answer(outcome, response);
  }

  /**
   * The whole list as the source of numbers, and its age in milliseconds. It changes nothing, not even the order in which
   * entries were used.
   *
   * @param leastMs it is reported for so long in any case, also where callers are no longer given it
   * @returns undefined when none is held
   */
  peekWholeList(
    leastMs: number,
  ): { readonly body: Uint8Array<ArrayBuffer>; readonly ageMs: number } | undefined {
    const entry = this.#cache.peek(this.#wholeList.key);
    if (entry === undefined || !this.#cache.mayReport(entry, leastMs)) return undefined;
    return { body: entry.response.body, ageMs: this.#cache.ageMs(entry) };
  }

  /**
   * Brings the whole list up to date in the background if it is older than `maxAgeMs`, fresh or not: from what another
   * replica has shared, else by one load, unless loads pause or one is under way. Where none is held nothing is loaded, and
   * what is shared is taken over.
   */
  refreshWholeList(maxAgeMs: number): void {
    this.#waitUntil(this.#bringUpToDate(maxAgeMs).catch(this.#options.reportFailure));
  }

  async #bringUpToDate(maxAgeMs: number): Promise<void> {
    const list = this.#wholeList;
    await this.#cache.adoptAbsent(list);
    await this.#cache.adoptNewer(list);
    const entry = this.#cache.peek(list.key);
    if (entry !== undefined && this.#cache.ageMs(entry) > maxAgeMs) this.#cache.refresh(list);
  }

  /**
   * What `#serve` would say, where it would start and draw nothing.
   *
   * @param name of what a refresh would load
   */
  #peekOutcome(
    held: Pick<Current, 'entry' | 'isDerived' | 'newer'>,
    name: string | undefined,
  ): CacheOutcome | undefined {
    const outcome = this.#outcomeByTime(held);
    if (outcome === 'stale') return this.#isRefreshHeldBack(name) ? outcome : undefined;
    if (outcome === 'stale_error') return outcome;
    return this.#cache.isEndNear(held.entry) ? undefined : outcome;
  }

  /** What newer loads have said of names, by name, where this whole list says something else. It counts more than the list. */
  newerThan(list: CachedResponse): ReadonlyMap<string, CachedResponse> {
    return this.#answers.get(list)?.newer ?? NOTHING_NEWER;
  }

  /** How what is held may be served at once, if it may. A refresh that is due begins. */
  #serve(current: Current, cause: Cause | undefined): CacheOutcome | undefined {
    const { entry, source } = current;
    const outcome = this.#outcomeByTime(current);
    const isFresh = outcome === 'hit' || outcome === 'derived';
    if (outcome === 'stale' || (isFresh && this.#cache.drawEarlyRefresh(entry))) this.#refresh(source, cause);
    return outcome;
  }

  /** How what is held may be served at once by its times and pauses, if it may. Starts nothing. */
  #outcomeByTime({
    entry,
    isDerived,
    newer,
  }: Pick<Current, 'entry' | 'isDerived' | 'newer'>): CacheOutcome | undefined {
    const cache = this.#cache;
    // What is said of the name has times of its own, whatever those of the list are that it is kept with.
    const isFresh = newer === undefined || this.#elapsed() < newer.freshUntilMs;
    if (isFresh && cache.isFresh(entry)) return isDerived ? 'derived' : 'hit';
    if ((newer === undefined || !cache.mustBeLoaded(newer)) && cache.mayServeStale(entry)) return 'stale';
    // While loads of this entry pause, its callers do not make calls either.
    return cache.isPaused(entry) && cache.mayServeOnError(entry) ? 'stale_error' : undefined;
  }

  /** An answer from what is held. What a newer load has said of a name may be fresh where the list is not. */
  #answer(outcome: CacheOutcome, response: CachedResponse): CacheAnswer {
    const isFresh = outcome === 'stale' && this.#elapsed() < response.freshUntilMs;
    return answerOf(isFresh ? 'derived' : outcome, response);
  }

  /** The answer to a name, or for undefined the whole list, from what is held. */
  #respond(
    { entry, isDerived }: Current,
    name: string | undefined,
  ): CachedResponse | Promise<CachedResponse> {
    return isDerived && name !== undefined && isWholeList(entry)
      ? this.#answersOf(entry).derive(name)
      : entry.response;
  }

  /** Loads a list and answers with it, or with something stale when that fails. */
  async #load(source: ListSource, current: Current | undefined, options: LoadOptions): Promise<CacheAnswer> {
    const { isForced, cause } = options;
    // What an older list answers is kept current by loads of that list.
    const isOfList = !isForced && current?.isDerived === true;
    const toLoad = isOfList ? this.#wholeList : this.#chooseLoad(source, current === undefined);
    let { promise, joined } = this.#startLoad(toLoad, options);
    let loaded: Loaded;
    let derived: CachedResponse | undefined;
    try {
      loaded = await promise;
      const newer = await this.#answerIfNewer(source, loaded.response, cause);
      if (newer !== undefined) return newer;
      if (toLoad !== source) {
        derived = await this.#deriveFromLoadedList(source);
        if (derived === undefined) {
          ({ promise, joined } = this.#loadByItself(source, cause));
          loaded = await promise;
        } else loaded = { ...loaded, response: derived };
      }
    } catch (error) {
      // What another replica has loaded may have come meanwhile.
      const stale = this.#findCurrent(source) ?? current;
      if (stale === undefined || !this.#cache.mayServeOnError(stale.entry)) throw error;
      const response = await this.#respond(stale, source.name);
      // What a newer load has said of the name may be over before the list that it is kept with.
      if (this.#cache.isOver(response)) throw error;
      if (!joined) this.#options.reportFailure(error);
      const answer = answerOf('stale_error', response);
      return this.#options.wasSent(error) ? { ...answer, forwarded: 'stale' } : answer;
    }
    const { response, isShared } = loaded;
    if (isShared) return answerOf('shared', response);
    return {
      response,
      outcome: joined ? 'collapsed' : current === undefined ? 'miss' : 'refreshed',
      forwarded: current === undefined ? 'miss' : 'stale',
      // A value larger than the whole cache is served, but not held.
      stored: !joined && derived === undefined && this.#cache.peek(source.key)?.response === response,
    };
  }

  /** Answers like a reader who comes now, if what is known by now comes from a load that began after that of `loaded`. */
  async #answerIfNewer(
    source: ListSource,
    loaded: CachedResponse,
    cause: Cause | undefined,
  ): Promise<CacheAnswer | undefined> {
    const current = this.#findCurrent(source);
    if (current === undefined) return undefined;
    const list = current.entry.response;
    const known = (source.name !== undefined && this.newerThan(list).get(source.name)) || list;
    const outcome = known.begunAtMs > loaded.begunAtMs ? this.#serve(current, cause) : undefined;
    return outcome && this.#answer(outcome, await this.#respond(current, source.name));
  }

  /**
   * The answer to a name from the whole list that was loaded for it; undefined when that is too large to be held, or when
   * the answer is that of a newer load, kept with the list, and no longer fresh.
   */
  async #deriveFromLoadedList({ name }: ListSource): Promise<CachedResponse | undefined> {
    const list = this.#cache.peek(this.#wholeList.key);
    if (name === undefined || !isWholeList(list)) return undefined;
    const newer = this.newerThan(list.response).get(name);
    if (newer !== undefined && this.#elapsed() >= newer.freshUntilMs) return undefined;
    return this.#answersOf(list).derive(name);
  }

  /** Loads a name after the whole list answered nothing. */
  #loadByItself(source: ListSource, cause: Cause | undefined): Flight<Loaded> {
    this.#nameLoads.renew();
    return this.#startLoad(source, { isForced: false, cause });
  }

  #startLoad(source: ListSource, options: LoadOptions): Flight<Loaded> {
    const flight = this.#cache.load(source, options);
    if (flight.joined) return flight;
    const awaited = { name: source.name, untilMs: this.#elapsed() + REFRESH_LOST_MS };
    const end = (): void => {
      if (this.#awaited === awaited) this.#awaited = undefined;
    };
    if (source.name !== undefined) this.#nameLoads.spend();
    this.#awaited = awaited;
    flight.promise.then(end, end);
    return flight;
  }

  #refresh(source: ListSource, cause: Cause | undefined): void {
    const toLoad = this.#chooseLoad(source);
    if (this.#cache.refresh(toLoad, cause) && toLoad.name !== undefined) this.#nameLoads.spend();
  }

  /** Whether `#refresh` of this name would start nothing. */
  #isRefreshHeldBack(name: string | undefined): boolean {
    const isListDue = name !== undefined && this.#nameLoads.isSpent(this.#elapsed());
    return this.#cache.isRefreshHeldBack(isListDue ? this.#wholeList.key : this.#keyOf(name));
  }

  /**
   * What to load for a list: itself, or the whole list when too many names were loaded one by one.
   *
   * @param isCold nothing is held that answers: then one load of the whole list answers all who wait for several names
   */
  #chooseLoad(source: ListSource, isCold = false): ListSource {
    if (source.name === undefined) return source;
    const nowMs = this.#elapsed();
    this.#nameLoads.begin(nowMs);
    const awaited = isCold ? this.#awaited : undefined;
    const isOneOfSeveral = awaited !== undefined && awaited.name !== source.name && nowMs < awaited.untilMs;
    return isOneOfSeveral || this.#nameLoads.isSpent(nowMs) ? this.#wholeList : source;
  }

  /** Whether a caller may force a load: of what would be loaded, and of what is served otherwise. */
  #mayForce(source: ListSource, current: Current | undefined): boolean {
    const loaded = this.#cache.peek(this.#chooseLoad(source).key);
    return [current?.entry, loaded].every((entry) => entry === undefined || this.#cache.mayForce(entry));
  }

  /** The newest of what is held that answers a list. What is older answers nothing, however fresh it is. */
  #findCurrent(source: ListSource): Current | undefined {
    const own = this.#cache.get(source.key);
    const list = source.name === undefined ? undefined : this.#findNewerList(source.name, own);
    if (list === undefined) return own && { entry: own, source, isDerived: false, newer: undefined };
    const newer = this.newerThan(list.response).get(source.name as string);
    return { entry: list, source: this.#wholeList, isDerived: true, newer };
  }

  /** The whole list, unless a newer load has said something else of the name itself. */
  #findNewerList(name: string, own: HeldEntry | undefined): (HeldEntry & WholeList) | undefined {
    const list = this.#cache.get(this.#wholeList.key);
    if (!isWholeList(list)) return undefined;
    if (own === undefined || this.#cache.isOver(own.response)) {
      // What the list says of the name counts no more than what replaces it.
      const newer = this.newerThan(list.response).get(name);
      return newer !== undefined && this.#cache.isOver(newer) ? undefined : list;
    }
    return own.response.begunAtMs > list.response.begunAtMs ? undefined : list;
  }

  /** What was loaded of a name replaces what a list says of it whose load began earlier, also when that list comes later. */
  #supersede(name: string | undefined, newest: NewestValue): void {
    const { response } = newest;
    if (name === undefined) {
      if (!isWholeList(newest)) return;
      for (const [each, ofName] of this.#cache.namesSince(response.begunAtMs))
        this.#answersOf(newest).supersede(each, ofName);
      return;
    }
    const list = this.#cache.peek(this.#wholeList.key);
    if (isWholeList(list) && response.begunAtMs > list.response.begunAtMs)
      this.#answersOf(list).supersede(name, response);
  }

  #answersOf(list: WholeList): DerivedAnswers {
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

/** What answers a list at present. */
interface Current {
  readonly entry: HeldEntry;
  /** Of the entry. */
  readonly source: ListSource;
  /** The entry is the whole list, and the answer is cut out of it. */
  readonly isDerived: boolean;
  /** What a newer load has said of the name, which is answered in place of what the list says. */
  readonly newer: CachedResponse | undefined;
}

/** A whole list that can answer names. */
type WholeList = NewestValue & { readonly filter: ListFilter };

function isWholeList<Value extends NewestValue>(entry: Value | undefined): entry is Value & WholeList {
  return entry?.filter !== undefined;
}

/** An answer for which upstream was not asked. */
function answerOf(outcome: CacheOutcome, response: CachedResponse): CacheAnswer {
  return { response, outcome, forwarded: undefined, stored: false };
}
