import type { SharedEntries, SharedEntry } from '../fleet/entries.ts';
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

/** What another replica has loaded. */
export interface FleetLoad {
  readonly entry: SharedEntry;
  readonly loaded: LoadedBody;
}

/** The turn to load a value for all replicas. */
export interface Turn {
  /** Shares what was loaded, or nothing after a failure, and lets others load again. Never rejects. */
  readonly settle: (entry?: SharedEntry) => Promise<void>;
}

/** Reads what replicas share. Every entry is revived before it is used. */
export class FleetLoads {
  readonly #level: FleetLevel;
  readonly #now: () => number;

  constructor(level: FleetLevel, now: () => number) {
    this.#level = level;
    this.#now = now;
  }

  /** What another replica has loaded, if `isWanted` accepts it; else the turn to load. */
  async take(source: FleetSource, isWanted: (entry: SharedEntry) => boolean): Promise<FleetLoad | Turn> {
    const { entries, waitMs } = this.#level;
    let served: FleetLoad | undefined;
    const serves = (entry: SharedEntry): boolean => {
      served = isWanted(entry) ? this.#reviveOrDiscard(source, entry) : undefined;
      return served !== undefined;
    };
    const untilMs = this.#now() + waitMs;
    for (;;) {
      const found = await entries.lookUp(source.sharedKey, serves);
      if (found.state === 'ours') return found;
      if (served !== undefined) return served;
      if (found.state === 'taken') await found.changed;
      // The turn of a replica that has stopped ends soon by itself; this bounds the wait in every other case.
      if (this.#now() >= untilMs) return { settle: () => Promise.resolve() };
    }
  }

  /** The shared entry, however old. */
  async get(source: FleetSource): Promise<FleetLoad | undefined> {
    const entry = await this.#level.entries.get(source.sharedKey);
    return entry && this.#reviveOrDiscard(source, entry);
  }

  #reviveOrDiscard(source: FleetSource, entry: SharedEntry): FleetLoad | undefined {
    const loaded = source.revive(entry.body);
    if (loaded !== undefined) return { entry, loaded };
    this.#level.entries.discard(source.sharedKey);
    this.#level.reportInvalid();
    return undefined;
  }
}
