import { createFleetSimulation, type FleetOutcome, type FleetWorkload } from './fleet.ts';

const RATES = [100, 1000, 10_000, 100_000];
const REPLICAS = [1, 3, 50, 500];
const NAMES = [1, 100, 10_000];
const TTLS_SECONDS = [30, 300];

export interface Row extends Omit<FleetWorkload, 'seed'>, FleetOutcome {
  /** Of CPU, for all replicas together. */
  readonly cores: number;
}

/**
 * @param perCore requests a second that one core answers
 * @param seed the same seed gives the same table
 */
export async function simulateTable({
  perCore,
  seed,
}: {
  readonly perCore: number;
  readonly seed: number;
}): Promise<Row[]> {
  const simulate = createFleetSimulation();
  const rows: Row[] = [];
  for (const ttlSeconds of TTLS_SECONDS)
    for (const requestsPerSecond of RATES)
      for (const replicas of REPLICAS)
        for (const names of NAMES) {
          const workload = { ttlSeconds, requestsPerSecond, replicas, names };
          const outcome = await simulate({ ...workload, seed });
          rows.push({ ...workload, ...outcome, cores: requestsPerSecond / perCore });
        }
  return rows;
}

const COLUMNS: readonly (readonly [string, (row: Row) => string])[] = [
  ['TTL', ({ ttlSeconds }) => `${ttlSeconds} s`],
  ['requests/s', ({ requestsPerSecond }) => group(requestsPerSecond)],
  ['replicas', ({ replicas }) => String(replicas)],
  ['names', ({ names }) => group(names)],
  ['calls/min', ({ upstreamCallsPerMinute }) => significant(upstreamCallsPerMinute)],
  ['with Redis', ({ sharedUpstreamCallsPerMinute }) => significant(sharedUpstreamCallsPerMinute)],
  ['at once', ({ atOnceShare }) => `${Math.floor(atOnceShare * 1000) / 10} %`],
  ['cache each', ({ cacheBytesPerReplica }) => `${Math.round(cacheBytesPerReplica / 1024)} KiB`],
  ['cores in all', ({ cores }) => significant(cores)],
];

/** A Markdown table, with its columns as wide as their cells. */
export function toMarkdown(rows: readonly Row[]): string {
  const cells = [COLUMNS.map(([title]) => title), ...rows.map((row) => COLUMNS.map(([, cell]) => cell(row)))];
  const widths = COLUMNS.map((_, column) =>
    Math.max(...cells.map((line) => (line[column] as string).length)),
  );
  const toLine = (line: readonly string[]) =>
    `| ${line.map((cell, column) => cell.padStart(widths[column] as number)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => `${'-'.repeat(width - 1)}:`).join(' | ')} |`;
  const [head = [], ...body] = cells;
  return `${[toLine(head), rule, ...body.map(toLine)].join('\n')}\n`;
}

const BEGIN = '<!-- the table of npm run simulate -->';
const END = '<!-- its end -->';

/** The page with another table between the marks. */
export function placeTable(page: string, table: string): string {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error('the page has no marks for the table');
  return `${before}${BEGIN}\n\n${table}\n${END}${after}`;
}

function group(value: number): string {
  return value.toLocaleString('en');
}

/** Two significant digits: it is a simulation. */
function significant(value: number): string {
  return Number(value.toPrecision(2)).toLocaleString('en', { maximumFractionDigits: 3 });
}
