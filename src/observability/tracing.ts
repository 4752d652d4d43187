/** What a span may be given: values of ours, never a header, a body or a URL with a query. */
export interface ActiveSpan {
  setAttribute(name: string, value: string | number | boolean): void;
  /** Marks it as failed, with a fixed word of ours, which becomes `error.type`. */
  fail(reason: string): void;
}

export interface SpanOptions {
  readonly name: string;
  /** `server` for a request of a caller, `client` for a call upstream, `internal` for what nobody waits for. */
  readonly kind: 'server' | 'client' | 'internal';
  /** Continues the caller's trace (W3C Trace Context) when these headers carry one. */
  readonly parentHeaders?: { get(name: string): string | null };
  /** Begins a trace of its own, linked to the span that the work would otherwise have been a child of. */
  readonly beginsTrace?: boolean;
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  /** A decision of this tracer on the same headers, so that it is not drawn a second time. */
  readonly decision?: TraceDecision | undefined;
}

/** Whether a request will be traced. */
export interface TraceDecision {
  readonly isSampled: boolean;
  /** The id of the trace that it begins; undefined where it continues the caller's. */
  readonly traceId: string | undefined;
}

/**
 * Traces, where a runtime has them. The core calls it only when there is one, so nothing is spent without.
 * The trace context is accepted from callers and never sent on to the vendor.
 */
export interface Tracer {
  /** Decides whether a request with these headers will be traced. Starts nothing. */
  decide(parentHeaders: { get(name: string): string | null }): TraceDecision;
  /**
   * Runs the work inside a span that ends with it, as its parent for whatever the work starts. The work begins
   * before this returns, and what it returns is returned.
   */
  inSpan<Result>(options: SpanOptions, work: (span: ActiveSpan) => Result): Result;
}
