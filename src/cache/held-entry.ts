import type { TargetConfig } from '../config/config.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import type { CachedResponse, ListFilter } from './cached-response.ts';
import { EARLY_WINDOW_LOADS } from './early-refresh.ts';

/** A refresh that has not ended after this time counts as lost, and another may begin: 30 seconds. */
const REFRESH_LOST_MS = 30_000;

/** A response in the cache, with what is known about keeping it current. Loads note in it how they go. */
export interface HeldEntry {
  readonly response: CachedResponse;
  /** As it came with the body. */
  readonly filter: ListFilter | undefined;
  /** Time its load took. */
  readonly loadMs: number;
  /** Start of the early-refresh window. */
  readonly earlyFromMs: number;
  readonly staleWhileRevalidateUntilMs: number;
  readonly staleIfErrorUntilMs: number;
  /** Start of the last load, which may have failed. */
  loadBegunAtMs: number;
  /** Failed loads in a row. */
  failures: number;
  /** Until then no refresh begins. */
  pauseUntilMs: number;
  /** Until then a refresh is under way, unless it has ended. */
  refreshingUntilMs: number;
}

/** What an entry is made of. */
export interface EntryParts extends Pick<HeldEntry, 'response' | 'filter'> {
  /** Start of the load that gave it. */
  readonly begunAtMs: number;
}

export function createHeldEntry(
  { response, filter, begunAtMs }: EntryParts,
  lifetimes: Pick<TargetConfig['cache'], 'staleWhileRevalidateMs' | 'staleIfErrorMs'>,
): HeldEntry {
  const loadMs = response.storedAtMs - begunAtMs;
  const staleWhileRevalidateUntilMs = response.freshUntilMs + lifetimes.staleWhileRevalidateMs;
  return {
    response,
    filter,
    loadMs,
    earlyFromMs: response.freshUntilMs - EARLY_WINDOW_LOADS * loadMs,
    staleWhileRevalidateUntilMs,
    staleIfErrorUntilMs: staleWhileRevalidateUntilMs + lifetimes.staleIfErrorMs,
    loadBegunAtMs: begunAtMs,
    failures: 0,
    pauseUntilMs: 0,
    refreshingUntilMs: 0,
  };
}

/** Notes that a load of the entry's key begins. */
export function noteLoadBegun(entry: HeldEntry, nowMs: number): void {
  entry.loadBegunAtMs = nowMs;
  entry.refreshingUntilMs = nowMs + REFRESH_LOST_MS;
}

/** Notes that a load of the entry's key has failed: refreshes pause, longer after each failure in a row. */
export function noteLoadFailed(entry: HeldEntry, nowMs: number, random: number): void {
  entry.failures += 1;
  entry.pauseUntilMs = nowMs + pauseAfterFailures(entry.failures, random);
  entry.refreshingUntilMs = 0;
}
