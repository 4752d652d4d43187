/**
 * `npm run soak [-- --minutes N] [--quick] [--seed N] [--json]`: the service at full rate while upstream misbehaves at
 * random, its keys and those of the token issuer rotate, callers come with new and with expired tokens, and Redis is
 * killed, started and frozen. Every answer has to be right or an error that the situation calls for, and nothing may
 * grow. Prints a table, and ends with 1 when something was wrong.
 */
import { printReport } from './print-report.ts';
import { runSoak } from './run-soak.ts';
import { readOptions, type SoakOptions, USAGE } from './soak-options.ts';

async function main(): Promise<void> {
  let options: SoakOptions;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}`);
    process.exitCode = 64;
    return;
  }
  // At once, so that a run that is cut short can be repeated.
  process.stderr.write(`seed ${options.seed}\n`);
  const report = await runSoak(options);
  if (options.isJson) process.stdout.write(`${JSON.stringify(report)}\n`);
  else printReport(report);
  if (!report.isGood) process.exitCode = 1;
}

await main();
