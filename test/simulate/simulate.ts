/**
 * `npm run simulate [-- --json] [--measure] [--per-core N] [--seed N] [--write]`: upstream calls, memory and CPU of fleets
 * of many sizes. The cache is the service's own code on a simulated clock. `--measure` first measures how many requests
 * a second one core of this machine answers; `--write` puts the table into docs/sizing.md.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { DEFAULT_PER_CORE, DEFAULT_SEED } from './defaults.ts';
import { measureCore } from './measure-core.ts';
import { placeTable, simulateTable, toMarkdown } from './table.ts';

const SIZING = new URL('../../docs/sizing.md', import.meta.url);

const { values } = parseArgs({
  options: {
    json: { type: 'boolean' },
    measure: { type: 'boolean' },
    write: { type: 'boolean' },
    'per-core': { type: 'string' },
    seed: { type: 'string' },
  },
});
const perCore = values.measure ? await measureCore() : Number(values['per-core'] ?? DEFAULT_PER_CORE);
const seed = Number(values.seed ?? DEFAULT_SEED);
if (!(perCore > 0) || !Number.isSafeInteger(seed)) throw new Error('--per-core and --seed take numbers');
const rows = await simulateTable({ perCore, seed });
if (values.write) await writeFile(SIZING, placeTable(await readFile(SIZING, 'utf8'), toMarkdown(rows)));
else if (values.json) process.stdout.write(`${JSON.stringify({ perCore, seed, rows }, null, 2)}\n`);
else process.stdout.write(`${Math.round(perCore)} requests a second for each core\n\n${toMarkdown(rows)}`);
