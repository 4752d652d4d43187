/** Loaded only when traces are wanted: see start-service.ts. Nothing of it is registered for the whole process. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { randomUUID } from 'node:crypto';
import {
  type Tracer as ApiTracer,
  type Context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { ExportResultCode, parseTraceParent, TRACE_PARENT_HEADER } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  type IdGenerator,
  ParentBasedSampler,
  RandomIdGenerator,
  type Sampler,
  SamplingDecision,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import type { TracingConfig } from '../../../config/config.ts';
import { describeError } from '../../../observability/describe-error.ts';
import type { Logger } from '../../../observability/logger.ts';
import type { ActiveSpan, SpanOptions, Tracer } from '../../../observability/tracing.ts';
import type { Outbound } from '../platform/platform.ts';
import { createOtlpAgent } from './otlp-agent.ts';

const SERVICE_NAME = 'imagecaches-bff';
/** The version of the semantic conventions that names and attributes follow. */
const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.45.0';

/** What is left is sent within this time when the service stops: 2 seconds. Then it is given up. */
export const FLUSH_TIMEOUT_MS = 2000;

export interface NodeTracing {
  readonly tracer: Tracer;
  /** Sends what is left, for 2 seconds at most. Never rejects. */
  readonly stop: () => Promise<void>;
}

/**
 * Traces over OTLP/HTTP. Spans wait in a queue of 2048 and go out in batches, every 5 seconds or when 512 are
 * there; what does not fit is dropped, so a collector that is slow or down costs no request anything.
 *
 * OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES and the further OTEL_EXPORTER_OTLP_ variables (headers, timeout,
 * compression) are read by OpenTelemetry itself, from the environment; see createOtlpAgent for certificates. Its own
 * diagnostics quote settings and peers, so they are left off, which is their default; see `reporting` for what is said
 * instead.
 *
 * @param version of this service
 * @param outbound how connections leave
 */
export async function createNodeTracing(
  config: TracingConfig,
  version: string,
  logger: Logger,
  outbound: Outbound,
): Promise<NodeTracing> {
  let lastStatus: number | undefined;
  const answered = (status: number) => {
    lastStatus = status;
  };
  const exporter = reporting(
    await createExporter(config, outbound, logger, answered),
    logger,
    () => lastStatus,
  );
  const sampler = createSampler(config);
  const ids = new DecidedIds();
  const provider = new TracerProvider({
    resource: defaultResource()
      .merge(
        resourceFromAttributes(
          {
            'service.name': SERVICE_NAME,
            'service.version': version,
            'service.instance.id': randomUUID(),
          },
          { schemaUrl: SCHEMA_URL },
        ),
      )
      .merge(detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] })),
    sampler,
    idGenerator: ids,
    spanProcessors: [new BatchSpanProcessor({ exporter })],
  });
  return {
    tracer: createTracer(provider.getTracer(SERVICE_NAME, version, { schemaUrl: SCHEMA_URL }), sampler, ids),
    stop: () => stopWithin(FLUSH_TIMEOUT_MS, provider, logger),
  };
}

/** Only the exporter that is wanted is loaded. */
async function createExporter(
  { protocol, url }: TracingConfig,
  outbound: Outbound,
  logger: Logger,
  answered: (status: number) => void,
): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter({
    url,
    httpAgentOptions: (scheme) => createOtlpAgent(scheme, outbound, process.env, logger, answered),
  });
}

/** From version 3 on the SDK leaves OTEL_TRACES_SAMPLER to its caller. */
function createSampler({ sampler, sampledShare }: TracingConfig): Sampler {
  const root = sampler.endsWith('always_on')
    ? new AlwaysOnSampler()
    : sampler.endsWith('always_off')
      ? new AlwaysOffSampler()
      : new TraceIdRatioBasedSampler(sampledShare);
  return sampler.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root;
}

/**
 * Says once when exporting begins to fail, and once when it goes again. The error's text is the collector's
 * and may quote our headers: only its name, its code and a status are logged.
 *
 * @param lastStatus that of the last answer
 */
function reporting(
  exporter: SpanExporter,
  logger: Logger,
  lastStatus: () => number | undefined,
): SpanExporter {
  let isFailing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const hasFailed = result.code !== ExportResultCode.SUCCESS;
        if (hasFailed && !isFailing) {
          const { code, name } = (result.error ?? {}) as { code?: unknown; name?: unknown };
          // Of an answer that was tried again in vain the exporter's error does not say the status.
          const status =
            typeof code === 'number' ? code : name === 'OTLPExporterError' ? lastStatus() : undefined;
          logger.warn({ status, error: describeError(result.error) }, 'traces cannot be exported');
        }
        if (!hasFailed && isFailing) logger.info({}, 'traces are exported again');
        isFailing = hasFailed;
        done(result);
      });
    },
    forceFlush: async () => exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

/** Random ids, but for a trace whose id was decided on before: samplers decide by it. */
class DecidedIds implements IdGenerator {
  readonly #random = new RandomIdGenerator();
  /** The id of the next trace that begins. */
  decided: string | undefined;

  generateTraceId(): string {
    const traceId = this.decided ?? this.#random.generateTraceId();
    this.decided = undefined;
    return traceId;
  }

  generateSpanId(): string {
    return this.#random.generateSpanId();
  }
}

/** The context is our own storage and not the API's global one: two services fit into one process. */
function createTracer(tracer: ApiTracer, sampler: Sampler, ids: DecidedIds): Tracer {
  const contexts = new AsyncLocalStorage<Context>();
  return {
    decide(parentHeaders) {
      const context = remoteContext(parentHeaders);
      const parent = trace.getSpanContext(context);
      const traceId = parent?.traceId ?? ids.generateTraceId();
      // None of the samplers looks at the name, the kind or the attributes.
      const { decision } = sampler.shouldSample(context, traceId, '', SpanKind.SERVER, {}, []);
      return {
        isSampled: decision === SamplingDecision.RECORD_AND_SAMPLED,
        traceId,
        isContinued: parent !== undefined,
      };
    },
    inSpan<Result>(options: SpanOptions, work: (span: ActiveSpan) => Result): Result {
      const active = contexts.getStore() ?? ROOT_CONTEXT;
      const parent = options.parentHeaders ? remoteContext(options.parentHeaders) : active;
      const cause = options.beginsTrace === true ? trace.getSpanContext(parent) : undefined;
      const context = options.beginsTrace === true ? ROOT_CONTEXT : parent;
      // Taken by startSpan, which waits for nothing.
      ids.decided = options.decision?.isContinued === false ? options.decision.traceId : undefined;
      const span = tracer.startSpan(
        options.name,
        {
          kind: SPAN_KINDS[options.kind],
          ...(options.attributes && { attributes: { ...options.attributes } }),
          ...(cause && { links: [{ context: cause }] }),
        },
        context,
      );
      return contexts.run(trace.setSpan(context, span), () => endAfter(span, () => work(activeSpan(span))));
    },
  };
}

const SPAN_KINDS = {
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  internal: SpanKind.INTERNAL,
} as const;

/**
 * The caller's `traceparent`, if it is well formed. `tracestate` and `baggage` are free text of the caller, and
 * since nothing is sent on, nobody would read them: they are left alone.
 */
function remoteContext(headers: NonNullable<SpanOptions['parentHeaders']>): Context {
  const header = headers.get(TRACE_PARENT_HEADER);
  const spanContext = header === null ? null : parseTraceParent(header);
  return spanContext === null
    ? ROOT_CONTEXT
    : trace.setSpanContext(ROOT_CONTEXT, { ...spanContext, isRemote: true });
}

function activeSpan(span: Span): ActiveSpan {
  const { traceId, spanId } = span.spanContext();
  return {
    ids: { traceId, spanId: span.isRecording() ? spanId : undefined },
    setAttribute(name, value) {
      span.setAttribute(name, value);
    },
    fail(reason) {
      span.setAttribute('error.type', reason);
      span.setStatus({ code: SpanStatusCode.ERROR });
    },
  };
}

function endAfter<Result>(span: Span, work: () => Result): Result {
  let isPending = false;
  const end = () => span.end();
  try {
    const result = work();
    if (result instanceof Promise) {
      isPending = true;
      result.then(end, end);
    }
    return result;
  } finally {
    if (!isPending) end();
  }
}

async function stopWithin(timeoutMs: number, provider: TracerProvider, logger: Logger): Promise<void> {
  const timeout = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => timeout.resolve('late'), timeoutMs);
  // A failure is in the log already.
  const stopped = provider.shutdown().catch(() => undefined);
  if ((await Promise.race([stopped, timeout.promise])) === 'late')
    logger.warn({ timeoutMs }, 'the last traces were not exported in time');
  clearTimeout(timer);
}
