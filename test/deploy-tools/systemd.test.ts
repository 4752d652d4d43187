import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { parseEnv, promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';

const run = promisify(execFile);
const UNIT = fileURLToPath(new URL('../../deploy/systemd/imagecaches-bff.service', import.meta.url));
const EXAMPLE = new URL('../../deploy/systemd/environment.example', import.meta.url);

describe('the systemd unit', () => {
  it('is understood by systemd', async () => {
    const { stdout, stderr } = await run('systemd-analyze', ['verify', '--recursive-errors=no', UNIT]).catch(
      (error: { stdout: string; stderr: string }) => error,
    );
    // The program is not installed here, which is the only thing it may say.
    const complaints = `${stdout}${stderr}`
      .split('\n')
      .filter((line) => line !== '' && !line.includes('/usr/bin/node'));
    expect(complaints).toEqual([]);
  });

  it('leaves little exposed', async () => {
    const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--threshold=15', UNIT]);
    expect(stdout).toMatch(/Overall exposure level for imagecaches-bff\.service: 1\.\d OK/);
  });

  it('gives the drain its time, and does not restart for a bad configuration', async () => {
    const text = await readFile(UNIT, 'utf8');
    const { shutdown } = parseConfig({
      ...parseEnv(await readFile(EXAMPLE, 'utf8')),
      HUAWEICLOUD_SDK_AK: 'AK',
      HUAWEICLOUD_SDK_SK: 'SK',
    });
    const [, stopSeconds] = /^TimeoutStopSec=(\d+)$/m.exec(text) ?? [];
    expect(Number(stopSeconds) * 1000).toBe(shutdown.delayMs + shutdown.graceMs + 5000);
    expect(text).toMatch(/^RestartPreventExitStatus=78$/m);
  });
});
