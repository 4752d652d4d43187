/** A call's place among those under way. */
export interface Lease {
  readonly begunAtMs: number;
}

export interface ConcurrencyLimitOptions {
  /** Calls at once; Infinity: only count them. */
  readonly max: number;
  /**
   * A place that was not given back by then counts as free, in milliseconds. It must not be shorter than a call
   * can take. Cloudflare Workers may drop a request with all that it awaits, and then no `finally` runs.
   */
  readonly leaseMs: number;
  /** Told of each place that is taken (1) or free again (-1). */
  readonly onChange?: (change: 1 | -1) => void;
}

export interface ConcurrencyLimit {
  /**
   * Takes a place, or answers undefined at once when there is none: nobody queues (Google, Site Reliability
   * Engineering, "Addressing Cascading Failures": a queue only turns overload into waiting).
   */
  tryEnter(nowMs: number): Lease | undefined;
  /** Gives the place back. Doing it again, or after the lease has run out, changes nothing. */
  leave(lease: Lease): void;
  /** Places that are taken. */
  inFlight(nowMs: number): number;
  /** Milliseconds since the last place was taken that is still taken; Infinity when none is. */
  newestAgeMs(nowMs: number): number;
}

/** Bounds how many calls are under way at once: a bulkhead. */
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
      // Either way: a clock that was set back must not make a lost place last.
      if (Math.abs(nowMs - lease.begunAtMs) < leaseMs) break;
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
