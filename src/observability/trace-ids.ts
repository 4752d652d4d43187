/** What finds the trace of a log line, in lower-case hexadecimal digits. */
export interface TraceIds {
  /** 32 digits. */
  readonly traceId: string;
  /** 16 digits; undefined where the span is not exported, or there is none of ours. */
  readonly spanId: string | undefined;
}

/** The request that something is done for: the first, where several wait for it. */
export interface Cause {
  readonly requestId: string;
  /** Of the caller, or of the span of the request. */
  readonly traceId: string | undefined;
}

/** W3C Trace Context, section 3.2: a version above 00 may go on after the flags. */
const TRACEPARENT =
  /^(?:00(?=.{53}$)|(?!00|ff)[\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})[\da-f]{16}-[\da-f]{2}(?:-|$)/;

/** The trace id of a `traceparent`; undefined when it is not well formed. */
export function traceIdOf(traceparent: string | null | undefined): string | undefined {
  return traceparent ? TRACEPARENT.exec(traceparent)?.[1] : undefined;
}
