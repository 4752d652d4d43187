import { type UnusedSetting, unusedSettings } from '../../../config/config.ts';
import type { SettingsWithFiles } from './read-setting-files.ts';

/** What OpenTelemetry's exporter reads for itself, see createNodeTracing and createOtlpAgent. */
const EXPORTER_ENDS = [
  'HEADERS',
  'TIMEOUT',
  'COMPRESSION',
  'CERTIFICATE',
  'CLIENT_CERTIFICATE',
  'CLIENT_KEY',
];
const OF_OPENTELEMETRY = [
  'OTEL_SERVICE_NAME',
  'OTEL_RESOURCE_ATTRIBUTES',
  ...EXPORTER_ENDS.flatMap((end) => [`OTEL_EXPORTER_OTLP_${end}`, `OTEL_EXPORTER_OTLP_TRACES_${end}`]),
];
const COLLECTOR = 'OTEL_EXPORTER_OTLP_ENDPOINT';

/** The settings that are set and have no effect on Node. */
export function findUnusedSettings({ environment, faults }: SettingsWithFiles): readonly UnusedSetting[] {
  const isTraced = (environment[COLLECTOR] ?? '').trim() !== '';
  const whyUnread = (name: string) =>
    !isTraced && OF_OPENTELEMETRY.includes(name) ? `nothing is traced without ${COLLECTOR}` : undefined;
  return unusedSettings(environment, { others: OF_OPENTELEMETRY, whyUnread }, faults);
}

/** One line for people: names and reasons, no value. */
export function describeUnused({ setting, reason }: UnusedSetting): string {
  return `${setting} has no effect: ${reason}`;
}
