import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

const DEFAULTS = parse(
  await readFile(new URL('../../deploy/helm/imagecaches-bff/values.yaml', import.meta.url), 'utf8'),
) as object;

/** The values that Helm compares with the chart's schema: those of a file over the defaults. */
export function withChartDefaults(values: object): object {
  return merge(DEFAULTS, values);
}

function merge(defaults: object, values: object): object {
  const merged: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(values)) {
    const old = merged[name];
    merged[name] = isMap(old) && isMap(value) ? merge(old, value) : value;
  }
  return merged;
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
