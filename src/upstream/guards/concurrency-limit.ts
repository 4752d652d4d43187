/** The place of a call among those under way. */
export interface Lease {
  readonly begunAtMs: number;
}

export interface ConcurrencyLimitOptions {
  /** Maximum number of calls at once; Infinity: calls are only counted. */
  readonly max: number;
  /**
   * Time after which a place that was not returned counts as free, in milliseconds; longer than any call can take.
   * Cloudflare Workers may drop a request with everything it awaits, and then no `finally` runs.
   */
  readonly leaseMs: number;
  /** Called for each place that is taken (1) or free again (-1). */
  readonly onChange?: (change: 1 | -1) => void;
}

export interface ConcurrencyLimit {
  /**
   * Takes a place; undefined when all are taken. Calls do not queue, since a queue only turns overload into waiting
   * (Google, Site Reliability Engineering, "Addressing Cascading Failures").
   */
  tryEnter(nowMs: number): Lease | undefined;
  /** Returns the place. Returning it again, or after the lease has ended, changes nothing. */
  leave(lease: Lease): void;
  /** Number of places taken. */
  inFlight(nowMs: number): number;
  /** Age of the newest place that is still taken, in milliseconds; Infinity when no place is taken. */
  newestAgeMs(nowMs: number): number;
}

/** Limits the number of calls under way at once: a bulkhead. */
export function createConcurrencyLimit({
  max,
  leaseMs,
  onChange,
}: ConcurrencyLimitOptions): ConcurrencyLimit {
  /** In the order in which they began. */
  const leases = new Set<Lease>();

  function leave(lease: Lease): void {
    if (leases.delete(lease)) onChange?.(-1);
  }

  function inFlight(nowMs: number): number {
    for (const lease of leases) {
      if (nowMs - lease.begunAtMs < leaseMs) break;
      leave(lease);
    }
    return leases.size;
  }

  return {
    tryEnter(nowMs) {
      if (inFlight(nowMs) >= max) return undefined;
      const lease: Lease = { begunAtMs: nowMs };
      leases.add(lease);
      onChange?.(1);
      return lease;
    },
    leave,
    inFlight,
    newestAgeMs(nowMs) {
      let newestMs = Number.NEGATIVE_INFINITY;
      for (const { begunAtMs } of leases) newestMs = begunAtMs;
      return nowMs - newestMs;
    },
  };
}
