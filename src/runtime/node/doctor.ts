/**
 * `npm run doctor [-- --json] [--token-file FILE]`, in the image `node src/runtime/node/doctor.ts`: examines the
 * settings of the environment and all that they need, says what is wrong and how to fix it. Nothing is changed, but for
 * keys in Redis on which its commands are tried, for 2 seconds. Exit codes: 0 all is well, or there are warnings; 1
 * something failed; 64 wrong usage.
 */
import { parseArgs } from 'node:util';
import { examine } from './doctor/examine.ts';
import { createReport, summarise } from './doctor/report.ts';

const USAGE = 'Usage: npm run doctor [-- --json] [--token-file FILE]\n';
const EX_USAGE = 64;

/** Undefined: there is nothing more to do. */
function readArguments(): { readonly isJson: boolean; readonly tokenFile: string | undefined } | undefined {
  try {
    const { values } = parseArgs({
      options: { json: { type: 'boolean' }, 'token-file': { type: 'string' }, help: { type: 'boolean' } },
    });
    if (values.help !== true) return { isJson: values.json === true, tokenFile: values['token-file'] };
    process.stdout.write(USAGE);
  } catch {
    process.stderr.write(`Unknown argument.\n${USAGE}`);
    process.exitCode = EX_USAGE;
  }
  return undefined;
}

async function main(): Promise<void> {
  const wanted = readArguments();
  if (wanted === undefined) return;
  const { stdout, env } = process;
  const isTerminal = stdout.isTTY === true && !wanted.isJson;
  const report = createReport({
    write: wanted.isJson ? () => undefined : (text) => stdout.write(text),
    isTerminal,
    hasColour: isTerminal && (env.NO_COLOR ?? '') === '',
  });
  const findings = await examine(env, report, wanted.tokenFile);
  const { isWell, text } = summarise(findings);
  stdout.write(wanted.isJson ? `${JSON.stringify({ ok: isWell, findings }, null, 2)}\n` : `\n${text}\n`);
  process.exitCode = isWell ? 0 : 1;
}

await main();
