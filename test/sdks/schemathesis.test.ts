import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runFetching } from '../deploy-tools/run-fetching.ts';
import { endAll, type RunningProcess, startProcess } from '../runtime/node/running-process.ts';
import { freePort } from '../support/free-port.ts';

const run = promisify(execFile);
const BUILD = fileURLToPath(new URL('.build/schemathesis', import.meta.url));
const SCHEMATHESIS = 'schemathesis==4.32.5';
/** Of generated requests for each operation. */
const EXAMPLES = 100;

const running: RunningProcess[] = [];
let url: string;
let token: string;

beforeAll(async () => {
  await run('python3', ['-m', 'venv', BUILD]);
  await runFetching(join(BUILD, 'bin/pip'), ['install', '--quiet', SCHEMATHESIS]);
  const port = await freePort();
  const demo = startProcess('deploy/demo/demo.ts', ['--json', '--port', String(port)]);
  running.push(demo);
  const [line] = await demo.printed(/^\{"url".*\}$/m);
  ({ url, token } = JSON.parse(line) as { url: string; token: string });
});
afterAll(() => endAll(running));

it('schemathesis, with all its checks, finds nothing in the demo that the API document does not say', async () => {
  const { stdout } = await run(
    join(BUILD, 'bin/schemathesis'),
    [
      'run',
      `${new URL(url).origin}/openapi.json`,
      '--checks=all',
      `--header=Authorization: Bearer ${token}`,
      `--max-examples=${EXAMPLES}`,
      // The same requests each time, however slow the machine is.
      '--generation-deterministic',
      '--suppress-health-check=too_slow',
      '--request-timeout=120',
      '--no-color',
    ],
    { maxBuffer: 1 << 26, cwd: BUILD },
  ).catch((error: { stdout: string }) => error);
  expect(stdout).toContain('No issues found');
  // Something was asked: not an empty run.
  expect(Number(/(\d+) generated, \1 passed/.exec(stdout)?.[1])).toBeGreaterThan(100);
});
