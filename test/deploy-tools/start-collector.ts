import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type OtlpBody, type ReceivedSpan, spansOf } from '../runtime/node/otlp-receiver.ts';
import { type RunningProcess, watchProcess } from '../runtime/node/running-process.ts';
import { freePort } from '../support/free-port.ts';

export interface Collector extends RunningProcess {
  /** For OTEL_EXPORTER_OTLP_ENDPOINT. */
  readonly url: string;
  /** Resolves with all spans when there are so many of requests with ids that begin so. */
  received(count: number, prefix: string): Promise<readonly ReceivedSpan[]>;
  /** Spans of its receiver by its own metrics. */
  counts(): Promise<{ readonly accepted: number; readonly refused: number }>;
}

export interface CollectorOptions {
  readonly program: string;
  /** It writes spans and its configuration there. */
  readonly folder: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Of its receiver, beside the address. */
  readonly receiver?: Readonly<Record<string, unknown>>;
}

/** Starts a collector that takes OTLP over HTTP on loopback and writes all spans to a file. */
export async function startCollector(options: CollectorOptions): Promise<Collector> {
  const { program, folder, receiver = {} } = options;
  const port = options.port ?? (await freePort());
  const metricsPort = await freePort();
  const written = join(folder, 'spans.jsonl');
  const metrics = { pull: { exporter: { prometheus: { host: '127.0.0.1', port: metricsPort } } } };
  const config = join(folder, `collector-${metricsPort}.yaml`);
  await writeFile(
    config,
    stringify({
      receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${port}`, ...receiver } } } },
      exporters: { file: { path: written, append: true, flush_interval: '20ms' } },
      service: {
        telemetry: { metrics: { readers: [metrics] } },
        pipelines: { traces: { receivers: ['otlp'], exporters: ['file'] } },
      },
    }),
  );
  const started = await runCollector(program, config);
  /** Those of collectors that ran before it in the same folder, too. */
  const spans = async () => {
    const lines = (await readFile(written, 'utf8')).split('\n');
    // What comes after the last newline is being written.
    return lines.slice(0, -1).flatMap((line) => spansOf(JSON.parse(line) as OtlpBody));
  };
  return {
    ...started,
    url: `http://127.0.0.1:${port}`,
    received: async (count, prefix) => {
      for (;;) {
        const all = await spans();
        if (countRequests(all, prefix) >= count) return all;
      }
    },
    counts: async () => {
      const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
      const sum = (metric: string) =>
        [...text.matchAll(new RegExp(`^${metric}\\{.*\\} (\\S+)$`, 'gm'))]
          .map(([, value]) => Number(value))
          .reduce((total, value) => total + value, 0);
      return {
        accepted: sum('otelcol_receiver_accepted_spans'),
        refused: sum('otelcol_receiver_refused_spans') + sum('otelcol_receiver_failed_spans'),
      };
    },
  };
}

/** How many spans of requests there are with ids that begin so. */
export function countRequests(spans: readonly ReceivedSpan[], prefix: string): number {
  return spans.filter(
    ({ kind, attributes }) => kind === 2 && String(attributes['imagecaches.request_id']).startsWith(prefix),
  ).length;
}

/** Starts a collector with a configuration file, and resolves when it takes spans. */
export async function runCollector(program: string, config: string): Promise<RunningProcess> {
  const started = watchProcess(spawn(program, ['--config', config], { stdio: ['ignore', 'pipe', 'pipe'] }));
  await started.printed(/Everything is ready/);
  return started;
}
