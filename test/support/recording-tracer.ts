import { AsyncLocalStorage } from 'node:async_hooks';
import { traceIdOf } from '../../src/observability/trace-ids.ts';
import type { SpanOptions, Tracer } from '../../src/observability/tracing.ts';

export interface RecordedSpan {
  readonly name: string;
  readonly kind: SpanOptions['kind'];
  readonly attributes: Record<string, string | number | boolean>;
  /** What the caller's headers said, where they were handed over. */
  readonly traceparent: string | null | undefined;
  /** Undefined for one that begins a trace. */
  readonly parent: RecordedSpan | undefined;
  /** What it would have been a child of, had it not begun a trace. */
  readonly link: RecordedSpan | undefined;
  failure: string | undefined;
  isEnded: boolean;
}

export interface RecordingTracer {
  readonly tracer: Tracer;
  /** In the order in which they began. */
  readonly spans: RecordedSpan[];
}

/** Trace and span of every request that brings no trace of its own. */
export const RECORDED_TRACE_ID = 'a'.repeat(32);
export const RECORDED_SPAN_ID = 'b'.repeat(16);

/** A tracer without OpenTelemetry: it only writes down what the core asks of one. */
export function createRecordingTracer(): RecordingTracer {
  const spans: RecordedSpan[] = [];
  const active = new AsyncLocalStorage<RecordedSpan>();
  return {
    spans,
    tracer: {
      decide: () => ({ isSampled: true, traceId: RECORDED_TRACE_ID, isContinued: false }),
      inSpan<Result>(options: SpanOptions, work: Parameters<Tracer['inSpan']>[1]): Result {
        const current = options.parentHeaders === undefined ? active.getStore() : undefined;
        const span: RecordedSpan = {
          name: options.name,
          kind: options.kind,
          attributes: { ...options.attributes },
          traceparent: options.parentHeaders?.get('traceparent'),
          parent: options.beginsTrace === true ? undefined : current,
          link: options.beginsTrace === true ? current : undefined,
          failure: undefined,
          isEnded: false,
        };
        spans.push(span);
        const end = () => {
          span.isEnded = true;
        };
        const result = active.run(span, () =>
          work({
            ids: {
              traceId: traceIdOf(span.traceparent) ?? RECORDED_TRACE_ID,
              spanId: RECORDED_SPAN_ID,
            },
            setAttribute: (name, value) => {
              span.attributes[name] = value;
            },
            fail: (reason) => {
              span.failure = reason;
            },
          }),
        ) as Result;
        if (result instanceof Promise) result.then(end, end);
        else end();
        return result;
      },
    },
  };
}
