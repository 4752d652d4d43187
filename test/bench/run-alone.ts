import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { renderSections, type Section } from './report.ts';
import { separateCpus } from './servers.ts';

/** What every part of the bench is asked with. */
export interface MeasureOptions {
  /** Shorter and less exact. */
  readonly quick: boolean;
  /** For files of the servers; the caller deletes it. */
  readonly folder: string;
  /** An API gateway to compare with, where there is one. */
  readonly krakend?: { readonly binary: string; readonly version: string };
}

/**
 * Measures and prints one part of the bench when its module is what was started, and does nothing when it is imported:
 * `node <module> [--quick] [--krakend <binary> --krakend-version <version>]`.
 *
 * @param module its `import.meta.url`
 */
export async function runAlone(
  module: string,
  measure: (options: MeasureOptions) => Promise<Section>,
): Promise<void> {
  if (process.argv[1] !== fileURLToPath(module)) return;
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      krakend: { type: 'string' },
      'krakend-version': { type: 'string', default: '' },
    },
  });
  await separateCpus();
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-bench-'));
  try {
    const { quick, krakend: binary, 'krakend-version': version } = values;
    const section = await measure({ quick, folder, ...(binary && { krakend: { binary, version } }) });
    process.stdout.write(`${renderSections([section])}\n`);
  } finally {
    await rm(folder, { recursive: true });
  }
}
