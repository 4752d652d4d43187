import type { UpstreamErrorKind } from '../vendor/upstream-error.ts';

/** How a request was answered from or through the cache. */
export type CacheOutcome =
  | 'hit'
  | 'derived'
  | 'stale'
  | 'stale_error'
  | 'miss'
  | 'collapsed'
  | 'refreshed'
  | 'shared';

export type BreakerState = 'closed' | 'open' | 'half_open';

/** What is done with the store that instances share. */
export type SharedOperation = 'look_up' | 'get' | 'share' | 'limits' | 'keys';

/** `skipped`: not tried, since the store does not answer, or does not work. */
export type SharedResult = 'ok' | 'timeout' | 'error' | 'skipped';

/** First words of Redis's errors that say how the server is. No other word of its errors leaves the service. */
export type RedisWord =
  | 'OOM'
  | 'READONLY'
  | 'NOPERM'
  | 'NOAUTH'
  | 'WRONGPASS'
  | 'LOADING'
  | 'MASTERDOWN'
  | 'MOVED'
  | 'ASK'
  | 'CLUSTERDOWN'
  | 'CROSSSLOT'
  | 'MISCONF'
  | 'NOREPLICAS'
  | 'BUSY'
  | 'DENIED'
  | 'ERR';

/** What the shared store forbids and is done without. */
export type SharedLack = 'scripting' | 'channels';

/**
 * Why the shared store is left alone: a word of Redis; `unreachable`: no connection; `timeout`: too late; `location`: the
 * URL is not valid; `other`: a fault of ours. Or what is done without.
 */
export type SharedFault = RedisWord | 'unreachable' | 'timeout' | 'location' | 'other' | SharedLack;

/** The whole list that a target holds, as the source of numbers. */
export interface ReportedList {
  /** Of the label; undefined where it is not known. */
  readonly region: string | undefined;
  readonly now: () => number;
  readonly elapsed: () => number;
  /** See ListCache. */
  readonly cache: {
    peekWholeList(
      leastMs: number,
    ): { readonly body: Uint8Array<ArrayBuffer>; readonly ageMs: number } | undefined;
    refreshWholeList(maxAgeMs: number): void;
  };
}

/** What one target reports. */
export interface TargetMetrics {
  /** A list was served, `ageMs` after it was stored. */
  cacheAnswered(outcome: CacheOutcome, ageMs: number): void;
  /** One attempt upstream ended. */
  upstreamAnswered(result: 'ok' | UpstreamErrorKind, durationMs: number): void;
  /** A second attempt was made. */
  upstreamRetried(): void;
  /** Calls under way changed by 1 or -1. */
  upstreamInFlight(change: 1 | -1): void;
  /** The circuit breaker changed its state. */
  breakerChanged(state: BreakerState): void;
  /** Entries that break the model by this member, or are none (`entry`), were left out of a list. */
  entriesDropped(member: string, count: number): void;
  /** The vendor's clock minus ours, as a rejection of our date shows it; also where it is not corrected. */
  clockSkewMeasured(skewMs: number): void;
  /** A credential came into use; `expiresAtMs` is undefined when it does not expire. */
  credentialLoaded(expiresAtMs: number | undefined): void;
  /** The shared store held an entry that no load can have given; it was dropped. */
  sharedEntryRejected(): void;
  /** A source of the gauges of held lists, read at each scrape; the caches of a target are added up. */
  observeCache(read: () => { readonly entries: number; readonly bytes: number }): void;
  /** The source of the gauges of what is in the list, read at each scrape, which may refresh it. */
  observeList(list: ReportedList): void;
}

/**
 * What the core reports, in units of its own code; a runtime turns it into metrics. Labels come from closed
 * sets only: nothing that a caller or upstream can choose may become one.
 */
export interface Metrics {
  /** A request was answered. `route` is a pattern, `method` one of the known methods or OTHER. */
  requestAnswered(route: string, method: string, status: number, durationMs: number): void;
  /** The shared store was used, or should have been. */
  sharedStoreUsed(operation: SharedOperation, result: SharedResult): void;
  /** The shared store began to work or stopped, for these reasons, or works without what it forbids. */
  sharedStoreChanged(isUp: boolean, faults: readonly SharedFault[]): void;
  /**
   * The metrics of one target, which are kept apart from those of others.
   *
   * @param target becomes the label `target`; undefined where there is only one target, whose series have no such label
   */
  forTarget(target: string | undefined): TargetMetrics;
}

const ignore = () => undefined;

/** For runtimes and tests without metrics. */
export const NO_METRICS: Metrics & TargetMetrics = Object.freeze({
  requestAnswered: ignore,
  sharedStoreUsed: ignore,
  sharedStoreChanged: ignore,
  forTarget: () => NO_METRICS,
  cacheAnswered: ignore,
  upstreamAnswered: ignore,
  upstreamRetried: ignore,
  upstreamInFlight: ignore,
  breakerChanged: ignore,
  entriesDropped: ignore,
  clockSkewMeasured: ignore,
  credentialLoaded: ignore,
  sharedEntryRejected: ignore,
  observeCache: ignore,
  observeList: ignore,
});
