import { AsyncLocalStorage } from 'node:async_hooks';
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

/** A tracer without OpenTelemetry: it only writes down what the core asks of one. */
export function createRecordingTracer(): RecordingTracer {
  const spans: RecordedSpan[] = [];
  const active = new AsyncLocalStorage<RecordedSpan>();
  return {
    spans,
    tracer: {
      decide: () => ({ isSampled: true, traceId: undefined }),
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
