import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedExport {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export interface ReceivedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** 1 internal, 2 server, 3 client (opentelemetry/proto/trace/v1/trace.proto). */
  readonly kind: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** 0 unset, 1 ok, 2 error. */
  readonly status: number;
  readonly links: readonly string[];
  readonly resource: Readonly<Record<string, unknown>>;
  /** Of the resource, and of the scope. */
  readonly schemaUrls: readonly (string | undefined)[];
}

export interface OtlpReceiver {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  readonly exports: readonly ReceivedExport[];
  /** The spans of all exports, which have to be JSON. */
  spans(): ReceivedSpan[];
  /** Resolves when so many exports have arrived. */
  arrived(count: number): Promise<void>;
  /** How an export is answered from now on; 200 at first. */
  answer: (response: ServerResponse) => void;
  stop(): Promise<void>;
}

interface OtlpAttribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

/** The JSON of an export, from the service or as a collector writes it. */
export interface OtlpBody {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly OtlpAttribute[] };
    readonly schemaUrl?: string;
    readonly scopeSpans: readonly {
      readonly schemaUrl?: string;
      readonly spans: readonly {
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly name: string;
        readonly kind: number;
        readonly attributes: readonly OtlpAttribute[];
        readonly status?: { readonly code?: number };
        readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
      }[];
    }[];
  }[];
}

/** A collector that keeps all that it is sent. */
export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const received: ReceivedExport[] = [];
  const waiters = new Set<() => void>();
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      received.push({ path: request.url ?? '', headers: request.headers, body: Buffer.concat(chunks) });
      receiver.answer(response);
      for (const look of waiters) look();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: OtlpReceiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exports: received,
    spans: () => received.flatMap(({ body }) => spansOf(JSON.parse(body.toString('utf8')) as OtlpBody)),
    arrived: (count) =>
      new Promise((resolve) => {
        const look = () => {
          if (received.length < count) return;
          waiters.delete(look);
          resolve();
        };
        waiters.add(look);
        look();
      }),
    answer: (response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return receiver;
}

export function spansOf({ resourceSpans }: OtlpBody): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, schemaUrl, scopeSpans }) =>
    scopeSpans.flatMap(({ spans, schemaUrl: schemaUrlOfScope }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        // Absent, or empty.
        parentSpanId: span.parentSpanId || undefined,
        name: span.name,
        kind: span.kind,
        attributes: valuesOf(span.attributes),
        status: span.status?.code ?? 0,
        links: (span.links ?? []).map(({ traceId, spanId }) => `${traceId} ${spanId}`),
        resource: valuesOf(resource.attributes),
        schemaUrls: [schemaUrl, schemaUrlOfScope],
      })),
    ),
  );
}

function valuesOf(attributes: readonly OtlpAttribute[]): Record<string, unknown> {
  return Object.fromEntries(
    // A collector writes whole numbers as strings, as JSON of Protocol Buffers does.
    attributes.map(({ key, value }) => [
      key,
      'intValue' in value ? Number(value.intValue) : Object.values(value)[0],
    ]),
  );
}
