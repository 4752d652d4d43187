import type { TargetConfig } from '../config/config.ts';
import { pauseAfterFailures } from '../outbound/backoff.ts';
import type { CachedResponse, ListFilter } from './cached-response.ts';
import { EARLY_WINDOW_LOADS } from './early-refresh.ts';

/** A refresh that has not ended after this time counts as lost, and another may begin: 30 seconds. */
export const REFRESH_LOST_MS = 30_000;
/** After a load that could not be sent the next one begins no earlier than this: 1 second. */
const NOT_SENT_PAUSE_MS = 1000;

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
  /** Start of the last load, which may have failed. */
  loadBegunAtMs: number;
  /** How far the wall clock was ahead of elapsed time when it was stored, or less when that was seen since. */
  wallAheadMs: number;
  /** Failed loads in a row. */
  failures: number;
  /** Until then no refresh begins. */
  pauseUntilMs: number;
  /** Until then a refresh is under way, unless it has ended. */
  refreshingUntilMs: number;
}

/** What an entry is made of. */
export type EntryParts = Pick<HeldEntry, 'response' | 'filter' | 'wallAheadMs'>;

export function createHeldEntry(
  { response, filter, wallAheadMs }: EntryParts,
  { staleWhileRevalidateMs }: Pick<TargetConfig['cache'], 'staleWhileRevalidateMs'>,
): HeldEntry {
  const loadMs = response.storedAtMs - response.begunAtMs;
  return {
    response,
    filter,
    loadMs,
    wallAheadMs,
    earlyFromMs: response.freshUntilMs - EARLY_WINDOW_LOADS * loadMs,
    staleWhileRevalidateUntilMs: response.freshUntilMs + staleWhileRevalidateMs,
    loadBegunAtMs: response.begunAtMs,
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

/** Notes that the load of the entry's key has ended without a value. */
export function noteLoadEnded(entry: HeldEntry): void {
  entry.refreshingUntilMs = 0;
}

/** A load that gave no value. */
export interface FailedLoad {
  readonly nowMs: number;
  /** From 0 (inclusive) to 1 (exclusive), for jitter. */
  readonly random: number;
  /** False where upstream was not asked: that is no failure of it, and lengthens no pause. */
  readonly wasSent: boolean;
}

/** Makes refreshes of the entry's key pause, for longer after each failure in a row. */
export function pauseLoads(entry: HeldEntry, { nowMs, random, wasSent }: FailedLoad): void {
  if (wasSent) entry.failures += 1;
  const pauseMs = wasSent ? pauseAfterFailures(entry.failures, random) : NOT_SENT_PAUSE_MS;
  entry.pauseUntilMs = Math.max(wasSent ? 0 : entry.pauseUntilMs, nowMs + pauseMs);
}
