/** A list that instances share: the very bytes that are sent, with its times by the clock of who loaded it. */
export interface SharedEntry {
  readonly body: Uint8Array<ArrayBuffer>;
  /** When its load began. */
  readonly begunAtMs: number;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
}

/** What was found for a key, and who loads it if that does not serve. */
export type LookUp =
  | { readonly state: 'served' }
  | {
      readonly state: 'ours';
      /** Shares what was loaded, or nothing after a failure, and lets others load again. Never rejects. */
      readonly settle: (entry?: SharedEntry) => Promise<void>;
    }
  | {
      readonly state: 'taken';
      /** Resolves when it is worth while to look again. Never rejects. */
      readonly changed: Promise<void>;
    };

/**
 * The second level of the cache, behind the one in memory: shared by instances, and not relied on. Nothing in it
 * rejects, and nothing waits longer than a bound of its own (50 ms for Redis, 200 ms for KV): without it each instance is
 * as it would be alone.
 */
export interface SharedEntries {
  /**
   * Looks for an entry that serves. When none does, tries to take the turn to load the key, for all instances; where
   * instances cannot agree, the turn is always ours.
   *
   * @param serves asked with each entry of the right form that is found
   */
  lookUp(key: string, serves: (entry: SharedEntry) => boolean): Promise<LookUp>;
  /** What is held, however old. */
  get(key: string): Promise<SharedEntry | undefined>;
  /** Removes an entry that is not what this service puts there. */
  discard(key: string): void;
  /** Tells of each key that another instance has put anew; absent where nobody would tell. */
  readonly onShared?: (listener: (key: string) => void) => void;
}
