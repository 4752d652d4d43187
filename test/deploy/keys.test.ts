import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseLocalKeys } from '../../src/config/documents/local-keys.ts';

const SCRIPT = fileURLToPath(new URL('../../src/runtime/node/keys.ts', import.meta.url));
const run = promisify(execFile);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagecaches-keys-'));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function keys(...args: string[]) {
  try {
    return { code: 0, ...(await run(process.execPath, [SCRIPT, ...args])) };
  } catch (error) {
    return error as { code: number; stdout: string; stderr: string };
  }
}

describe('the keys command', () => {
  it('adds a pair that the service takes, shows its secret once, and takes it out again', async () => {
    const file = join(folder, 'keys.json');
    const added = await keys('add', 'billing', '--file', file, '--expires', '2027-01-31T00:00:00Z');
    expect(added.code).toBe(0);
    const [, id, secret] =
      /^HUAWEICLOUD_SDK_AK=(\w{20})\nHUAWEICLOUD_SDK_SK=([\w-]{40})\n$/.exec(added.stdout) ?? [];
    expect(parseLocalKeys(await readFile(file, 'utf8'))).toEqual([
      {
        accessKeyId: id,
        secretAccessKey: secret,
        subject: 'billing',
        expiresAtMs: Date.UTC(2027, 0, 31),
      },
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await keys(
      'add',
      'other',
      '--file',
      file,
      '--scope',
      'imagecaches:read',
      '--scope',
      'imagecaches:refresh',
    );
    const listed = await keys('list', '--file', file);
    expect(listed.stdout).toContain(`${id}\tbilling\t2027-01-31T00:00:00Z\n`);
    expect(listed.stdout).toContain('\tother\timagecaches:read imagecaches:refresh\tdoes not expire\n');
    expect(listed.stdout + listed.stderr + added.stderr).not.toContain(secret);
    expect((await keys('remove', id as string, '--file', file)).code).toBe(0);
    expect((await keys('list', '--file', file)).stdout).not.toContain(id);
  });

  it('changes nothing when asked for nonsense', async () => {
    const file = join(folder, 'broken.json');
    await writeFile(file, '{"keys":[{"secretAccessKey":"planted"}]}');
    const broken = await keys('add', 'a', '--file', file);
    expect([broken.code, broken.stdout]).toEqual([65, '']);
    expect(broken.stderr).toContain('accessKeyId must be');
    expect(broken.stderr).not.toContain('planted');
    expect(await readFile(file, 'utf8')).toContain('planted');
    const other = join(folder, 'other.json');
    for (const args of [
      ['add'],
      ['drop', 'a'],
      ['add', 'a', '--expires', 'soon'],
      ['add', 'a', '--what'],
      [],
    ]) {
      const refused = await keys(...args, ...(args.includes('--what') ? [] : ['--file', other]));
      expect(refused.code, args.join(' ')).toBe(64);
    }
    await expect(stat(other)).rejects.toThrow('ENOENT');
  });
});
