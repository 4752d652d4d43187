/** What one key has used of a limit since it was last reported. */
export interface Use {
  readonly key: string;
  /** Time after which the uses have come back. */
  readonly addedMs: number;
}

/** Uses of limits, added up over all replicas. */
export interface SharedUse {
  /**
   * Adds to the uses of all replicas.
   *
   * @param limitMs furthest point in the future that a key is counted to, from now
   * @returns for each use, in the same order, the milliseconds until all uses of its key have come back; undefined when
   *   that is not known. Never rejects.
   */
  add(uses: readonly Use[], limitMs: number): Promise<readonly (number | undefined)[]>;
}
