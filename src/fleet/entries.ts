/** A list that replicas share: the bytes that are sent, with times by the wall clock of the replica that loaded it. */
export interface SharedEntry {
  readonly body: Uint8Array<ArrayBuffer>;
  /** Start of its load. */
  readonly begunAtMs: number;
  readonly storedAtMs: number;
  readonly freshUntilMs: number;
}

/** What was found under a key, and who loads the value otherwise. */
export type LookUp =
  | { readonly state: 'served' }
  | {
      readonly state: 'ours';
      /** Shares what was loaded, or nothing after a failure, and lets others load again. Never rejects. */
      readonly settle: (entry?: SharedEntry) => Promise<void>;
    }
  | {
      readonly state: 'taken';
      /** Resolves when another look is worthwhile. Never rejects. */
      readonly changed: Promise<void>;
    };

/**
 * The second level of the cache, behind the one in memory. It is optional: nothing in it rejects, and each wait has a
 * bound of its own (50 ms for Redis, 200 ms for KV); without it each replica works as if it were alone.
 *
 * Keys are those of toSharedKey; all resources of a target share one store.
 */
export interface SharedEntries {
  /**
   * Looks for an entry that serves. If there is no such entry, tries to take the turn to load the value for all
   * replicas; where replicas cannot agree, the turn is always ours.
   *
   * @param serves called with each well-formed entry that is found
   */
  lookUp(key: string, serves: (entry: SharedEntry) => boolean): Promise<LookUp>;
  /** The entry of a key, however old. */
  get(key: string): Promise<SharedEntry | undefined>;
  /** Removes an entry that this service cannot have put there. */
  discard(key: string): void;
  /**
   * Adds a listener for the keys that other replicas put, of every resource; absent where nobody tells. May be called
   * several times.
   */
  readonly onShared?: (listener: (key: string) => void) => void;
}
