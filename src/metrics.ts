import type { UpstreamErrorKind } from './upstream/upstream-error.ts';

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
export type SharedOperation = 'look_up' | 'get' | 'share' | 'limits';

/** `skipped`: not tried, since the store does not answer. */
export type SharedResult = 'ok' | 'timeout' | 'error' | 'skipped';

/**
 * What the core reports, in units of its own code; a runtime turns it into metrics. Labels come from closed
 * sets only: nothing that a caller or upstream can choose may become one.
 */
export interface Metrics {
  /** A request was answered. `route` is a pattern, `method` one of the known methods or OTHER. */
  requestAnswered(route: string, method: string, status: number, durationMs: number): void;
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
  /** Entries that break the model were left out of a list. */
  entriesDropped(count: number): void;
  /** The vendor's clock minus ours, as corrected for. */
  clockSkewMeasured(skewMs: number): void;
  /** A credential came into use; `expiresAtMs` is undefined when it does not expire. */
  credentialLoaded(expiresAtMs: number | undefined): void;
  /** The store that instances share was used, or should have been. */
  sharedStoreUsed(operation: SharedOperation, result: SharedResult): void;
  /** It answers, or does so no longer. */
  sharedStoreChanged(isUp: boolean): void;
  /** It held an entry that is none of this service's; the entry was dropped. */
  sharedEntryRejected(): void;
  /** Sources of gauges, read at each scrape. */
  observeCache(read: () => { readonly entries: number; readonly bytes: number }): void;
}

const ignore = () => undefined;

/** For runtimes and tests without metrics. */
export const NO_METRICS: Metrics = Object.freeze({
  requestAnswered: ignore,
  cacheAnswered: ignore,
  upstreamAnswered: ignore,
  upstreamRetried: ignore,
  upstreamInFlight: ignore,
  breakerChanged: ignore,
  entriesDropped: ignore,
  clockSkewMeasured: ignore,
  credentialLoaded: ignore,
  sharedStoreUsed: ignore,
  sharedStoreChanged: ignore,
  sharedEntryRejected: ignore,
  observeCache: ignore,
});
