import type { SharedEntries, SharedEntry } from '../fleet/entries.ts';
import type { Platform } from '../platform/platform.ts';
import type { LoadedBody } from './cached-response.ts';

/** The second level of the cache, as the first level is given it. */
export interface FleetLevel {
  readonly entries: SharedEntries;
  /** Called for each shared entry that no load can have given. */
  readonly reportInvalid: () => void;
  /** Longest wait for the load of another replica: milliseconds. */
  readonly waitMs: number;
}

/** A value that replicas share. */
export interface FleetSource {
  readonly sharedKey: string;
  /** Turns shared bytes back into what a load gave; undefined when no load can have given them. */
  revive(body: Uint8Array<ArrayBuffer>): LoadedBody | undefined;
}

/** Times of what another replica has loaded, by the elapsed time of this one: none but the last lies in the future. */
export interface FleetTimes {
  readonly begunAtMs: number;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
}

/** What another replica has loaded. */
export interface FleetLoad extends FleetTimes {
  readonly loaded: LoadedBody;
}

/** A value to be shared. Times are by the elapsed time of this replica. */
export type ValueToShare = SharedEntry;

/** The turn to load a value for all replicas. */
export interface Turn {
  /** Shares what was loaded, or nothing after a failure, and lets others load again. Never rejects. */
  readonly settle: (value?: ValueToShare) => Promise<void>;
}

/**
 * Reads and writes what replicas share. Every entry is revived before it is used. Replicas tell each other the time by
 * the wall clock; here it becomes elapsed time.
 */
export class FleetLoads {
  readonly #level: FleetLevel;
  readonly #platform: Pick<Platform, 'now' | 'elapsed'>;

  constructor(level: FleetLevel, platform: Pick<Platform, 'now' | 'elapsed'>) {
    this.#level = level;
    this.#platform = platform;
  }

  /**
   * What another replica has loaded, if `isWanted` accepts it; else the turn to load.
   *
   * @param isWanted asked first with the times alone: most of what is found by a refresh is what it is to replace
   */
  async take(
    source: FleetSource,
    isWanted: (load: FleetTimes & Partial<FleetLoad>) => boolean,
  ): Promise<FleetLoad | Turn> {
    const { entries, waitMs } = this.#level;
    const { elapsed } = this.#platform;
    let served: FleetLoad | undefined;
    const serves = (entry: SharedEntry): boolean => {
      const load = isWanted(this.#timesOf(entry)) ? this.#reviveOrDiscard(source, entry) : undefined;
      served = load !== undefined && isWanted(load) ? load : undefined;
      return served !== undefined;
    };
    const untilMs = elapsed() + waitMs;
    for (;;) {
      const found = await entries.lookUp(source.sharedKey, serves);
      if (found.state === 'ours') {
        const { settle } = found;
        return { settle: (value) => settle(value && this.#byWallClock(value)) };
      }
      if (served !== undefined) return served;
      // The turn of a replica that has stopped ends soon by itself; this bounds the wait in every other case. Checked
      // before the wait and not after it: however long that took, what it was for is looked up once more.
      if (elapsed() >= untilMs) return { settle: () => Promise.resolve() };
      if (found.state === 'taken') await found.changed;
    }
  }

  /** What another replica has loaded, however old. */
  async get(source: FleetSource): Promise<FleetLoad | undefined> {
    const entry = await this.#level.entries.get(source.sharedKey);
    return entry && this.#reviveOrDiscard(source, entry);
  }

  #reviveOrDiscard(source: FleetSource, entry: SharedEntry): FleetLoad | undefined {
    const loaded = source.revive(entry.body);
    if (loaded === undefined) {
      this.#level.entries.discard(source.sharedKey);
      this.#level.reportInvalid();
      return undefined;
    }
    return { loaded, ...this.#timesOf(entry) };
  }

  #timesOf(entry: SharedEntry): FleetTimes {
    const aheadMs = this.#wallAheadMs();
    const storedAtMs = Math.min(entry.storedAtMs - aheadMs, this.#platform.elapsed());
    return {
      begunAtMs: Math.min(entry.begunAtMs - aheadMs, storedAtMs),
      storedAtMs,
      freshUntilMs: entry.freshUntilMs - aheadMs,
    };
  }

  #byWallClock({ body, begunAtMs, storedAtMs, freshUntilMs }: ValueToShare): SharedEntry {
    const aheadMs = this.#wallAheadMs();
    return {
      body,
      begunAtMs: begunAtMs + aheadMs,
      storedAtMs: storedAtMs + aheadMs,
      freshUntilMs: freshUntilMs + aheadMs,
    };
  }

  #wallAheadMs(): number {
    return this.#platform.now() - this.#platform.elapsed();
  }
}
