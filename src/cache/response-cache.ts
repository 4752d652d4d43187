import { LRUCache } from 'lru-cache';
import type { TargetConfig } from '../config/config.ts';
import type { Cause } from '../observability/trace-ids.ts';
import type { Platform } from '../platform/platform.ts';
import type { Flight, SingleFlight } from '../platform/single-flight.ts';
import { WALL_AHEAD_MS } from '../time/wall-ahead.ts';
import { type CachedResponse, etagOf, type LoadedBody } from './cached-response.ts';
import { isRefreshDue } from './early-refresh.ts';
import {
  type FleetLevel,
  type FleetLoad,
  FleetLoads,
  type FleetSource,
  type FleetTimes,
} from './fleet-loads.ts';
import { createHeldEntry, type HeldEntry, noteLoadBegun, noteLoadEnded, pauseLoads } from './held-entry.ts';
import { NewestResponses } from './newest-responses.ts';

/** Largest share of a fresh life that is cut off at random, so that entries do not all expire together. */
const TTL_JITTER = 0.1;
/** Longest time that stale data is served once the vendor has rejected the credential: 60 seconds. */
const REJECTED_STALE_MS = 60_000;
/** Least time between the starts of two forced loads of a key: 1 second. */
const FORCED_REFRESH_MS = 1000;
/** Counted for each entry on top of body and key: the object, its headers and the links of the LRU. 2 KiB. */
const ENTRY_OVERHEAD_BYTES = 2048;

export interface ResponseCacheOptions extends Readonly<TargetConfig['cache']> {
  /** Tells whether a load failed because the vendor rejected the credential. Then data must not be served for long. */
  readonly isRejection: (error: unknown) => boolean;
  /** Tells whether a load failed after upstream was asked. */
  readonly wasSent: (error: unknown) => boolean;
  /** Receives the error of each load that no caller receives. */
  readonly reportFailure: (error: unknown) => void;
  /** The store that replicas share; absent where each instance is alone. */
  readonly shared?: FleetLevel;
  /** Runs each refresh that no caller waits for, for traces. Must begin it at once. */
  readonly aroundRefresh?: <Value>(refresh: () => Promise<Value>) => Promise<Value>;
  /** Called with each value that becomes known, before it is held, or where it is not. */
  readonly onNewest?: (source: EntrySource, newest: NewestValue) => void;
}

/** A value that became known: nothing is known of its key from a load that began later. */
export type NewestValue = Pick<HeldEntry, 'response' | 'filter'>;

export type CachePlatform = Pick<
  Platform,
  'now' | 'elapsed' | 'random' | 'waitUntil' | 'createSingleFlight' | 'digests'
>;

/** The origin of one entry: its key, and the ways to get its value. */
export interface EntrySource extends FleetSource {
  readonly key: string;
  /** The name that a list is filtered by; undefined: it is whole. */
  readonly name: string | undefined;
  /** The source of the entry that may stand in when this one cannot be loaded. */
  readonly standIn?: EntrySource | undefined;
  /**
   * Gets the value from upstream.
   *
   * @param onLate called with a value that comes after the load was given up
   */
  load(onLate: (loaded: LoadedBody) => void, cause?: Cause): Promise<LoadedBody>;
}

export interface LoadOptions {
  /** The value must be newer than what is held. */
  readonly isForced: boolean;
  /** The request that starts the load. */
  readonly cause: Cause | undefined;
}

/** Result of a load. */
export interface Loaded {
  readonly response: CachedResponse;
  /** True when another replica had asked upstream. */
  readonly isShared: boolean;
}

/**
 * Holds responses under opaque keys, within a number of entries and of bytes; the least recently used one goes first.
 *
 * An entry is fresh for `ttlMs`; then, for `staleWhileRevalidateMs`, it may be served at once while one refresh runs in
 * the background; then, for `staleIfErrorMs`, only when a load fails (RFC 5861). Failed refreshes of a key back off, so
 * that upstream calls follow a schedule and not the callers.
 *
 * This class holds these rules and does the loading. What a reader is answered with is decided by its user, ListCache.
 */
export class ResponseCache {
  readonly #options: ResponseCacheOptions;
  readonly #platform: CachePlatform;
  readonly #held: LRUCache<string, HeldEntry>;
  readonly #flights: SingleFlight;
  readonly #fleetLoads: FleetLoads | undefined;
  readonly #newestOfNames = new NewestResponses();
  /**
   * Start of the time in which the vendor rejects the credential, as far as the last loads tell, and the last rejection in
   * it. The same for all keys.
   */
  #rejected: { readonly sinceMs: number; lastMs: number } | undefined;

  constructor(options: ResponseCacheOptions, platform: CachePlatform) {
    this.#options = options;
    this.#platform = platform;
    this.#flights = platform.createSingleFlight();
    this.#fleetLoads = options.shared && new FleetLoads(options.shared, platform);
    this.#held = new LRUCache({
      max: options.maxEntries,
      maxSize: options.maxBytes,
      // A body with a filter counts twice, for the answers that are cut out of it.
      sizeCalculation: ({ response, filter }, key) =>
        response.body.byteLength * (filter === undefined ? 1 : 2) + key.length + ENTRY_OVERHEAD_BYTES,
    });
  }

  /** What loads that began after this time have said of names, as far as it is remembered. */
  namesSince(begunAtMs: number): [name: string, response: CachedResponse][] {
    return this.#newestOfNames.since(begunAtMs);
  }

  /** Held entries. */
  get entries(): number {
    return this.#held.size;
  }

  /** Bytes that held entries are counted with. */
  get bytes(): number {
    return this.#held.calculatedSize;
  }

  /** The entry of a key, which becomes the most recently used one. */
  get(key: string): HeldEntry | undefined {
    return this.#held.get(key);
  }

  /** The entry of a key. */
  peek(key: string): HeldEntry | undefined {
    return this.#held.peek(key);
  }

  isFresh(entry: HeldEntry): boolean {
    return this.#platform.elapsed() < entry.response.freshUntilMs && !this.#hasTimeBeenLost(entry);
  }

  /** True in the early-refresh window of a fresh entry, where each reader draws whether it refreshes the entry. */
  isEndNear(entry: HeldEntry): boolean {
    return this.#platform.elapsed() >= entry.earlyFromMs;
  }

  /** Draws whether this reader refreshes a fresh entry early. Draws nothing outside the window. */
  drawEarlyRefresh(entry: HeldEntry): boolean {
    if (!this.isEndNear(entry)) return false;
    const leftMs = entry.response.freshUntilMs - this.#platform.elapsed();
    return isRefreshDue(leftMs, entry.loadMs, this.#platform.random());
  }

  /** Whether an entry that is no longer fresh may be served at once, while a refresh runs. */
  mayServeStale(entry: HeldEntry): boolean {
    if (!this.#allowsStale() || this.#hasTimeBeenLost(entry)) return false;
    return this.#platform.elapsed() < entry.staleWhileRevalidateUntilMs;
  }

  /** Whether an entry may be served because upstream gives nothing better. */
  mayServeOnError({ response }: HeldEntry): boolean {
    return this.#allowsStale() && !this.isOver(response);
  }

  /** Whether a response may no longer be served at once: a load has to be tried first. */
  mustBeLoaded({ freshUntilMs }: Pick<CachedResponse, 'freshUntilMs'>): boolean {
    return this.#platform.elapsed() >= freshUntilMs + this.#options.staleWhileRevalidateMs;
  }

  /** Whether a response may be served no more, whatever upstream gives. */
  isOver({ freshUntilMs }: Pick<CachedResponse, 'freshUntilMs'>): boolean {
    const { staleWhileRevalidateMs, staleIfErrorMs } = this.#options;
    return this.#platform.elapsed() >= freshUntilMs + staleWhileRevalidateMs + staleIfErrorMs;
  }

  /**
   * Whether an entry may be reported, as the source of numbers: as long as it may be served, and in any case for so long
   * after it was stored, but never when the credential is rejected for good.
   */
  mayReport(entry: HeldEntry, leastMs: number): boolean {
    return this.#allowsStale() && (!this.isOver(entry.response) || this.ageMs(entry) < leastMs);
  }

  /** Time since an entry was stored, with the time that the machine was suspended. */
  ageMs(entry: HeldEntry): number {
    const lostMs = this.#hasTimeBeenLost(entry) ? this.#wallAheadMs() - entry.wallAheadMs : 0;
    return this.#platform.elapsed() - entry.response.storedAtMs + lostMs;
  }

  /** Whether loads of the entry's key pause after failures. */
  isPaused(entry: HeldEntry): boolean {
    return this.#platform.elapsed() < entry.pauseUntilMs;
  }

  /** Whether a forced read may load: loads do not pause, and the last one began long enough ago. */
  mayForce(entry: HeldEntry): boolean {
    return !this.isPaused(entry) && this.#platform.elapsed() - entry.loadBegunAtMs >= FORCED_REFRESH_MS;
  }

  /** True when no refresh of the key would begin now: it pauses, or one is under way. */
  isRefreshHeldBack(key: string): boolean {
    const entry = this.#held.peek(key);
    // The second mark saves joining a flight that nobody would wait for.
    return (
      entry !== undefined && (this.isPaused(entry) || this.#platform.elapsed() < entry.refreshingUntilMs)
    );
  }

  /**
   * Refreshes an entry in the background, unless that is held back.
   *
   * @returns true when a load was started
   */
  refresh(source: EntrySource, cause?: Cause): boolean {
    if (this.isRefreshHeldBack(source.key)) return false;
    const { aroundRefresh, reportFailure } = this.#options;
    const work = () => this.#loadAndStore(source, { isForced: false, cause });
    const { promise, joined } = this.#fly(
      source,
      aroundRefresh === undefined ? work : () => aroundRefresh(work),
    );
    if (!joined) promise.catch(reportFailure);
    return !joined;
  }

  /**
   * Starts the load of an entry or joins the one under way. A load belongs to the cache: it goes on when the caller
   * leaves. A failed one stores nothing.
   */
  load(source: EntrySource, options: LoadOptions): Flight<Loaded> {
    return this.#fly(source, () => this.#loadAndStore(source, options));
  }

  /**
   * Takes in what another replica has shared since, before a reader asks for it: in place of what is held of the key. What is
   * said of a name that is not held is remembered, since the whole list, or one that is under way, may say what is older.
   */
  async adoptNewer(source: EntrySource): Promise<void> {
    if (source.name === undefined && !this.#held.has(source.key)) return;
    const found = await this.#fleetLoads?.get(source);
    if (found === undefined || found.begunAtMs <= this.#heldBegunAtMs(source)) return;
    if (this.#held.has(source.key)) await this.#adopt(source, found);
    else this.#note(source, { response: await this.#toSharedResponse(found), filter: undefined });
  }

  /**
   * Where nothing is held of a key, takes in what another replica has shared, fresh or not, unless the credential is
   * rejected.
   */
  async adoptAbsent(source: EntrySource): Promise<void> {
    if (this.#rejected === undefined) await this.#adoptAfterFailure(source);
  }

  #allowsStale(): boolean {
    const rejected = this.#rejected;
    return rejected === undefined || this.#platform.elapsed() - rejected.sinceMs < REJECTED_STALE_MS;
  }

  /** The machine was suspended, or its wall clock set forward, since the entry was stored: how old it is is not known. */
  #hasTimeBeenLost(entry: HeldEntry): boolean {
    const aheadMs = this.#wallAheadMs();
    // A clock that is set back must not hide that it runs ahead later.
    entry.wallAheadMs = Math.min(entry.wallAheadMs, aheadMs);
    return aheadMs - entry.wallAheadMs > WALL_AHEAD_MS;
  }

  #wallAheadMs(): number {
    return this.#platform.now() - this.#platform.elapsed();
  }

  /** The entry that answers a source's readers and whose pauses hold for them. */
  #guardOf({ key, standIn }: EntrySource): HeldEntry | undefined {
    return this.#held.peek(key) ?? (standIn && this.#held.peek(standIn.key));
  }

  /** When the load began that gave the newest data that answers a source's readers. */
  #heldBegunAtMs({ key, standIn }: EntrySource): number {
    const begunAtMs = (each: string): number =>
      this.#held.peek(each)?.response.begunAtMs ?? Number.NEGATIVE_INFINITY;
    return Math.max(begunAtMs(key), begunAtMs(standIn?.key ?? key));
  }

  #fly(source: EntrySource, work: () => Promise<Loaded>): Flight<Loaded> {
    const flight = this.#flights.run(source.key, work);
    if (!flight.joined) this.#platform.waitUntil(flight.promise.catch(() => undefined));
    return flight;
  }

  async #loadAndStore(source: EntrySource, { isForced, cause }: LoadOptions): Promise<Loaded> {
    const { elapsed, random, waitUntil } = this.#platform;
    const { isRejection, wasSent } = this.#options;
    const previous = this.#held.peek(source.key);
    const askedAtMs = elapsed();
    if (previous !== undefined) noteLoadBegun(previous, askedAtMs);
    // Asked after each wait: what is held may be newer by then.
    const isWanted = (load: FleetTimes & Partial<FleetLoad>): boolean =>
      isForced
        ? askedAtMs - load.begunAtMs < FORCED_REFRESH_MS && load.begunAtMs >= this.#heldBegunAtMs(source)
        : elapsed() < this.#freshUntilMs(load) && load.begunAtMs > this.#heldBegunAtMs(source);
    const turn = this.#fleetLoads && (await this.#fleetLoads.take(source, isWanted));
    if (turn !== undefined && 'loaded' in turn)
      return { response: await this.#adopt(source, turn), isShared: true };
    const begunAtMs = elapsed();
    try {
      const loaded = await source.load(
        (late) => waitUntil(this.#holdLate(source, late, begunAtMs).catch(this.#options.reportFailure)),
        cause,
      );
      const response = await this.#toResponse(source, loaded, begunAtMs);
      this.#rejected = undefined;
      if (turn !== undefined) waitUntil(turn.settle(response));
      return { response: this.#holdNewest(source, response, loaded), isShared: false };
    } catch (error) {
      if (turn !== undefined) waitUntil(turn.settle());
      if (previous !== undefined) noteLoadEnded(previous);
      const guard = this.#guardOf(source) ?? previous;
      if (guard !== undefined)
        pauseLoads(guard, { nowMs: elapsed(), random: random(), wasSent: wasSent(error) });
      if (isRejection(error)) this.#noteRejection();
      else await this.#adoptAfterFailure(source);
      throw error;
    }
  }

  #noteRejection(): void {
    const nowMs = this.#platform.elapsed();
    this.#rejected ??= { sinceMs: nowMs, lastMs: nowMs };
    this.#rejected.lastMs = nowMs;
  }

  /** Holds what came after its load had been given up. */
  async #holdLate(source: EntrySource, loaded: LoadedBody, begunAtMs: number): Promise<void> {
    const response = await this.#toResponse(source, loaded, begunAtMs);
    this.#noteAccepted(begunAtMs);
    this.#holdNewest(source, response, loaded);
  }

  /** A load that began before a rejection says nothing of the time after it. */
  #noteAccepted(begunAtMs: number): void {
    if (this.#rejected !== undefined && begunAtMs > this.#rejected.lastMs) this.#rejected = undefined;
  }

  /** Holds what another replica has loaded, with its times, but never for longer than a load of this one. */
  async #adopt(source: EntrySource, load: FleetLoad): Promise<CachedResponse> {
    const response = await this.#toSharedResponse(load);
    this.#noteAccepted(load.begunAtMs);
    return this.#holdNewest(source, response, load.loaded);
  }

  /**
   * After a failure, holds what other replicas have loaded, or this one before its restart, to be served as stale. Not
   * after a rejection: then nothing may be added to what is held.
   */
  async #adoptAfterFailure(source: EntrySource): Promise<void> {
    if (this.#fleetLoads === undefined) return;
    for (const wanted of source.standIn === undefined ? [source] : [source, source.standIn]) {
      if (this.#held.has(wanted.key)) return;
      const found = await this.#fleetLoads.get(wanted);
      if (found !== undefined && !this.isOver({ freshUntilMs: this.#freshUntilMs(found) })) {
        await this.#adopt(wanted, found);
        return;
      }
    }
  }

  async #toSharedResponse(load: FleetLoad): Promise<CachedResponse> {
    const { begunAtMs, storedAtMs } = load;
    const { body } = load.loaded;
    const etag = await etagOf(body, this.#platform.digests?.sha256);
    return { body, etag, begunAtMs, storedAtMs, freshUntilMs: this.#freshUntilMs(load) };
  }

  /** At the most, as long as it is not known what was loaded. */
  #freshUntilMs({ loaded, storedAtMs, freshUntilMs }: FleetTimes & Partial<FleetLoad>): number {
    const ttlMs = loaded === undefined ? Number.POSITIVE_INFINITY : this.#ttlMs(loaded.isEmpty);
    return Math.min(freshUntilMs, storedAtMs + ttlMs);
  }

  async #toResponse(
    { key }: EntrySource,
    { body, isEmpty }: LoadedBody,
    begunAtMs: number,
  ): Promise<CachedResponse> {
    const held = this.#held.peek(key)?.response;
    const etag = held?.body === body ? held.etag : await etagOf(body, this.#platform.digests?.sha256);
    const storedAtMs = this.#platform.elapsed();
    const ttlMs = this.#ttlMs(isEmpty) * (1 - TTL_JITTER * this.#platform.random());
    return { body, etag, begunAtMs, storedAtMs, freshUntilMs: storedAtMs + ttlMs };
  }

  #ttlMs(isEmpty: boolean): number {
    return isEmpty ? this.#options.emptyTtlMs : this.#options.ttlMs;
  }

  /**
   * Holds what was loaded, unless something is known of its key from a load that began later: then that is held.
   *
   * @returns what is held then
   */
  #holdNewest(source: EntrySource, response: CachedResponse, { filter }: LoadedBody): CachedResponse {
    const held = this.#held.peek(source.key);
    const known = held?.response ?? this.#newestOfNames.get(source.name);
    const isOutdated = known !== undefined && known.begunAtMs > response.begunAtMs;
    if (held !== undefined && isOutdated) return held.response;
    const newest = isOutdated ? known : response;
    const parts = { response: newest, filter, wallAheadMs: this.#wallAheadMs() };
    this.#note(source, parts);
    this.#held.set(source.key, createHeldEntry(parts, this.#options));
    return newest;
  }

  /** A value becomes known. */
  #note(source: EntrySource, newest: NewestValue): void {
    const known = this.#newestOfNames.get(source.name);
    if (known !== undefined && known.begunAtMs > newest.response.begunAtMs) return;
    this.#newestOfNames.set(source.name, newest.response);
    this.#options.onNewest?.(source, newest);
  }
}
