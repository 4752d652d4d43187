/**
 * How the service grows: hits and memory by names and entries, memory for each cached list, and callers who all miss at
 * once. `node test/bench/growth.ts [--quick]` prints the tables.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureGrowthCallers } from './growth-callers.ts';
import { type GrowthHitsOptions, measureGrowthHits } from './growth-hits.ts';
import { measureGrowthMemory } from './growth-memory.ts';
import { renderSections, type Section } from './report.ts';
import { separateCpus } from './servers.ts';

/** Hits and memory, memory of lists, and cold callers: a table of each. */
export async function measureGrowth({ quick, folder }: GrowthHitsOptions): Promise<Section[]> {
  return [
    await measureGrowthHits({ quick, folder }),
    await measureGrowthMemory(),
    await measureGrowthCallers({ quick }),
  ];
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' } } });
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-growth-'));
  try {
    await separateCpus();
    console.log(renderSections(await measureGrowth({ quick: values.quick === true, folder })));
  } finally {
    await rm(folder, { recursive: true });
  }
}
