import type { TraceIds } from './trace-ids.ts';

/** What a span may be given: values of ours or checked by us, never a header, a body, or a path or query as sent. */
export interface ActiveSpan {
  /** For log lines. */
  readonly ids: TraceIds;
  setAttribute(name: string, value: string | number | boolean): void;
  /** Marks it as failed, with a status or a fixed word of ours, which becomes `error.type`. */
  fail(reason: string): void;
}

export type SpanAttributes = Readonly<Record<string, string | number | boolean>>;

/** Of the spans of a request and of the calls that are made for it: the `requestId` of log lines. */
export const REQUEST_ID_ATTRIBUTE = 'imagecaches.request_id';

export interface SpanOptions {
  readonly name: string;
  /** `server` for a request of a caller, `client` for a call upstream, `internal` for what nobody waits for. */
  readonly kind: 'server' | 'client' | 'internal';
  /** Continues the caller's trace (W3C Trace Context) when these headers carry one. */
  readonly parentHeaders?: { get(name: string): string | null };
  /** Begins a trace of its own, linked to the span that the work would otherwise have been a child of. */
  readonly beginsTrace?: boolean;
  readonly attributes?: SpanAttributes;
  /** A decision of this tracer on the same headers, so that it is not drawn a second time. */
  readonly decision?: TraceDecision | undefined;
}

/** Whether a request will be traced. */
export interface TraceDecision {
  readonly isSampled: boolean;
  readonly traceId: string;
  /** The trace is the caller's; else it begins with the request. */
  readonly isContinued: boolean;
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
