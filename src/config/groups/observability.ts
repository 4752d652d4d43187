import * as z from 'zod/mini';
import { endpoint } from '../forms.ts';
import { givenWithout, type SettingGroup, type SettingValues } from '../read-settings.ts';
import { choice, type SettingRows } from '../setting.ts';
import { HTTP_URL_RULE, isHttpUrl } from '../urls.ts';

const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Those of OpenTelemetry's SDK configuration that need no further settings of their own. */
const TRACE_SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;

const ROWS = {
  LOG_LEVEL: choice(LOG_LEVELS, 'info'),
  OTEL_EXPORTER_OTLP_ENDPOINT: {
    form: endpoint(isHttpUrl),
    rule: HTTP_URL_RULE,
    example: 'http://otel-collector:4318',
  },
  OTEL_EXPORTER_OTLP_PROTOCOL: choice(['http/protobuf', 'http/json'], 'http/protobuf'),
  OTEL_TRACES_SAMPLER: choice(TRACE_SAMPLERS, 'parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: {
    form: z
      .pipe(z.string().check(z.regex(/^\d(?:\.\d{1,15})?$/)), z.transform(Number))
      .check(z.refine((share) => share <= 1)),
    rule: 'a number from 0 to 1',
    example: '0.25',
    default: '1',
  },
} satisfies SettingRows;

/** Traces over OTLP, by the variables of OpenTelemetry. */
export interface TracingConfig {
  /** With /v1/traces. */
  readonly url: string;
  readonly protocol: 'http/protobuf' | 'http/json';
  readonly sampler: (typeof TRACE_SAMPLERS)[number];
  /** For the samplers with a ratio: the share of traces that is kept, from 0 to 1. */
  readonly sampledShare: number;
}

export interface ObservabilityPart {
  readonly logLevel: (typeof LOG_LEVELS)[number];
  /** Undefined: nothing is traced. */
  readonly tracing: TracingConfig | undefined;
}

const OF_TRACES = ['OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_TRACES_SAMPLER', 'OTEL_TRACES_SAMPLER_ARG'] as const;
const UNTRACED = 'nothing is traced without OTEL_EXPORTER_OTLP_ENDPOINT';

/** What is logged and traced. */
export const observabilityGroup: SettingGroup<typeof ROWS, ObservabilityPart> = {
  rows: ROWS,
  // Ignoring one of these would be worse than refusing it.
  unsupported: ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'],
  findIdle: (settings) => {
    if (!settings.isGiven('OTEL_EXPORTER_OTLP_ENDPOINT')) return givenWithout(OF_TRACES, settings, UNTRACED);
    const hasRatio = settings.values.OTEL_TRACES_SAMPLER.endsWith('traceidratio');
    return hasRatio
      ? []
      : givenWithout(['OTEL_TRACES_SAMPLER_ARG'], settings, 'only samplers with a ratio read it');
  },
  toConfig: ({ values }) => ({ logLevel: values.LOG_LEVEL, tracing: toTracing(values) }),
};

function toTracing(values: SettingValues<typeof ROWS>): TracingConfig | undefined {
  if (values.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return undefined;
  return {
    url: `${values.OTEL_EXPORTER_OTLP_ENDPOINT}/v1/traces`,
    protocol: values.OTEL_EXPORTER_OTLP_PROTOCOL,
    sampler: values.OTEL_TRACES_SAMPLER,
    sampledShare: values.OTEL_TRACES_SAMPLER_ARG,
  };
}
