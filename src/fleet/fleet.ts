import type { SharedEntries } from './entries.ts';
import type { KeyProofs } from './key-proofs.ts';
import type { SharedUse } from './use.ts';

export interface SharedEntriesOptions {
  /** The start of every key, see createNamespace. A function, since digests may be asynchronous. */
  readonly namespace: () => Promise<string>;
  /** Time that entries are kept after they were fresh: milliseconds. */
  readonly keepStaleMs: number;
  /** Called for each stored entry that cannot be read; it is dropped. */
  readonly reportInvalid?: () => void;
}

/** The store that replicas share, as a runtime opens it. */
export interface Fleet {
  /** The lists of one target. */
  openEntries(options: SharedEntriesOptions): SharedEntries;
  /** The uses of limits; absent where each instance counts alone. */
  readonly openUse?: (namespace: () => Promise<string>) => SharedUse;
  /** What replicas know of keys; absent where each instance knows for itself. */
  readonly openKeyProofs?: (namespace: () => Promise<string>) => KeyProofs;
  /**
   * Resolves when the store has answered for the first time, when it cannot be reached, and after 2 seconds. Never
   * rejects.
   */
  readonly reached?: Promise<void>;
}
