/** What one key has used of a limit since it was last told. */
export interface Use {
  readonly key: string;
  /** The time that the uses take to come back. */
  readonly addedMs: number;
}

/** The uses of limits that instances add up. */
export interface SharedUse {
  /**
   * Adds to what all instances have used.
   *
   * @param limitMs no key is counted further than this into the future
   * @returns for each, in how many milliseconds all that was used will have come back; undefined when that is not
   *   known. Never rejects.
   */
  add(uses: readonly Use[], limitMs: number): Promise<readonly (number | undefined)[]>;
}
