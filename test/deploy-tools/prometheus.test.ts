import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const run = promisify(execFile);
const FOLDER = fileURLToPath(new URL('../../deploy/prometheus/', import.meta.url));

it('Prometheus takes the rules, and each alert fires when it should and not when it should not', async () => {
  const checked = await run('promtool', ['check', 'rules', 'alerts.yaml'], { cwd: FOLDER });
  expect(checked.stdout).toMatch(/SUCCESS: \d+ rules found/);
  const tested = await run('promtool', ['test', 'rules', 'alerts.test.yaml'], { cwd: FOLDER });
  expect(tested.stdout + tested.stderr).toContain('SUCCESS');
});
