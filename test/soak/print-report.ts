import { CONNECTIONS } from './load-services.ts';
import type { Resources } from './resources.ts';
import type { SoakReport } from './run-soak.ts';

const NAME_WIDTH = 52;
const MIB = 1_048_576;

const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;

const FORMS: Readonly<Record<keyof Resources, readonly [string, (value: number) => string]>> = {
  rssBytes: ['resident memory', mib],
  heapBytes: ['heap in use', mib],
  externalBytes: ['memory outside the heap', mib],
  handles: ['handles', String],
  openFiles: ['open files', String],
};

type Row = readonly [string, string | number];

/** The report as a table, and what was wrong. */
export function printReport(report: SoakReport): void {
  const requests = Object.values(report.answers).reduce((sum, count) => sum + count, 0);
  const rows: Row[] = [
    ['seed', report.seed],
    ['seconds under load', report.loadSeconds],
    ['connections', CONNECTIONS],
    ['requests', `${requests} (${Math.round(requests / report.loadSeconds)} a second)`],
    ['of them while upstream had no fault', report.calmAnswers],
    ...Object.entries(report.answers).map(([kind, count]): Row => [`  ${kind}`, count]),
    ['calls of upstream', report.upstreamCalls],
    ['lists that upstream had', report.listChanges + 1],
    ['access keys rotated', `${report.accessKeyRotations}, ${report.accessKeyRefusals} after a refusal`],
    ['signing keys rotated', `${report.signingKeyRotations}, fetched ${report.keySetLoads} times`],
    ["callers' tokens", report.callerTokens],
    [
      'Redis',
      report.redis === undefined
        ? 'skipped: not installed'
        : `restarted ${report.redis.restarts} times, frozen ${report.redis.freezes} times`,
    ],
    ['stalls of this machine', report.stalls],
    ...report.services.flatMap(({ name, afterWarmUp, atTheEnd, peakRssBytes, redisOperations }): Row[] => [
      [`${name}: uses of Redis`, describeCounts(redisOperations)],
      ...(Object.keys(FORMS) as (keyof Resources)[]).map((key): Row => {
        const [what, form] = FORMS[key];
        return [`${name}: ${what}`, `${form(afterWarmUp[key])}, at the end ${form(atTheEnd[key])}`];
      }),
      [`${name}: most resident memory`, mib(peakRssBytes)],
    ]),
    ['may grow by', describeBounds(report.maxGrowth)],
  ];
  for (const [name, value] of rows) process.stdout.write(`${name.padEnd(NAME_WIDTH)}${value}\n`);
  for (const [fault, { count, firstSeconds, lastSeconds }] of Object.entries(report.faults)) {
    const times =
      count === 1 ? `at ${firstSeconds} s` : `${count} times, ${firstSeconds} s to ${lastSeconds} s`;
    process.stdout.write(`WRONG: ${fault} (${times})\n`);
  }
}

function describeCounts(counts: Readonly<Record<string, number>>): string {
  const texts = Object.entries(counts).map(([kind, count]) => `${kind} ${count}`);
  return texts.length === 0 ? 'none' : texts.sort().join(', ');
}

function describeBounds(bounds: Resources): string {
  return (Object.keys(FORMS) as (keyof Resources)[])
    .map((key) => `${FORMS[key][0]} ${FORMS[key][1](bounds[key])}`)
    .join(', ');
}
