import { describe, expect, it } from 'vitest';
import { faultsOf, parsed } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('tracing', () => {
  it('traces nothing without an endpoint, and by the variables of OpenTelemetry with one', () => {
    expect(parsed({ OTEL_TRACES_SAMPLER: 'always_on' }).tracing).toBeUndefined();
    expect(parsed({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318/' }).tracing).toEqual({
      url: 'http://collector:4318/v1/traces',
      protocol: 'http/protobuf',
      sampler: 'parentbased_always_on',
      sampledShare: 1,
    });
    const all = {
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://collector.example.test/otlp',
      OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
      OTEL_TRACES_SAMPLER: 'traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.25',
    };
    expect(parsed(all).tracing).toEqual({
      url: 'https://collector.example.test/otlp/v1/traces',
      protocol: 'http/json',
      sampler: 'traceidratio',
      sampledShare: 0.25,
    });
    for (const [name, value] of [
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'grpc://collector:4317'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:password@collector:4318'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://collector:4318/?key=secret'],
      ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
      ['OTEL_TRACES_SAMPLER', 'jaeger_remote'],
      ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
      ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', 'http://collector:4318/v1/traces'],
    ] as const)
      expect(Object.keys(faultsOf({ ...TEST_ENVIRONMENT, [name]: value }))).toEqual([name]);
  });
});
