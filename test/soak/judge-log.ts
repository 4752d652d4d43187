import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { findSecret } from './secrets.ts';
import type { Tally } from './tally.ts';

/** What there is to say here: of errors, upstream's faults, Redis, and key files that are seen half written. */
const EXPECTED_WARNINGS = [
  'request',
  'upstream call',
  'late upstream answer',
  'circuit breaker',
  'the shared store does not answer; going on without it',
  'the shared store does not work; going on without it',
  'the credential files are not usable: the last good credential stays in use',
];
/** Where upstream has refused one. */
const KEY_REFUSED = 'the vendor rejects the access key: it is left alone';
const JWT_START = 'eyJ';

/** Reads what a service has printed: only what there is to warn of, in JSON, with nothing secret in it. */
export async function judgeLog(
  file: string,
  { wasKeyRefused }: { readonly wasKeyRefused: boolean },
  tally: Tally,
): Promise<void> {
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const secret = findSecret(line) ?? (line.includes(JWT_START) ? 'a token' : undefined);
    if (secret !== undefined) tally.wrong(`${secret} in the log`);
    const isExpected =
      (line.startsWith('{"level":"warn"') &&
        EXPECTED_WARNINGS.some((message) => line.endsWith(`"msg":"${message}"}`))) ||
      (wasKeyRefused && line.startsWith('{"level":"error"') && line.endsWith(`"msg":"${KEY_REFUSED}"}`));
    if (!isExpected) tally.wrong(`printed: ${line}`);
  }
}
