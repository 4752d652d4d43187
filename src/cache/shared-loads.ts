import type { SharedEntries, SharedEntry } from '../fleet/entries.ts';
import type { LoadedBody } from './cached-response.ts';

/** The second level of the cache, as the first one is given it. */
export interface SharedLevel {
  readonly entries: SharedEntries;
  /** Makes of shared bytes what a load would have given; undefined when no load can have given them. */
  readonly revive: (key: string, body: Uint8Array<ArrayBuffer>) => LoadedBody | undefined;
  /** Told of each entry that could not be revived. */
  readonly reportInvalid: () => void;
  /** How long the load of another instance is waited for at most: milliseconds. */
  readonly waitMs: number;
}

/** What another instance has loaded. */
export interface SharedLoad {
  readonly entry: SharedEntry;
  readonly loaded: LoadedBody;
}

/** The turn to load a key. */
export interface Turn {
  /** Shares what was loaded, or nothing after a failure, and lets others load again. Never rejects. */
  readonly settle: (entry?: SharedEntry) => Promise<void>;
}

export interface SharedLoads {
  /** What another instance has loaded and is wanted, or else the turn to load. */
  take(key: string, isWanted: (entry: SharedEntry) => boolean): Promise<SharedLoad | Turn>;
  /** What is held, however old; an entry that is no such thing is dropped. */
  get(key: string): Promise<SharedLoad | undefined>;
}

/** Reads what instances share, and believes none of it before it was revived. */
export function createSharedLoads(
  { entries, revive, reportInvalid, waitMs }: SharedLevel,
  now: () => number,
): SharedLoads {
  function reviveOrDiscard(key: string, entry: SharedEntry): SharedLoad | undefined {
    const loaded = revive(key, entry.body);
    if (loaded !== undefined) return { entry, loaded };
    entries.discard(key);
    reportInvalid();
    return undefined;
  }

  return {
    async take(key, isWanted) {
      let served: SharedLoad | undefined;
      const serves = (entry: SharedEntry): boolean => {
        served = isWanted(entry) ? reviveOrDiscard(key, entry) : undefined;
        return served !== undefined;
      };
      const untilMs = now() + waitMs;
      for (;;) {
        const found = await entries.lookUp(key, serves);
        if (found.state === 'ours') return found;
        if (served !== undefined) return served;
        if (found.state === 'taken') await found.changed;
        // An instance that was stopped while it loaded holds its turn for a moment only; this is the bound for all else.
        if (now() >= untilMs) return { settle: () => Promise.resolve() };
      }
    },
    async get(key) {
      const entry = await entries.get(key);
      return entry && reviveOrDiscard(key, entry);
    },
  };
}
