import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
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
      /^export CLOUD_SDK_AK=(\w{20})\nexport CLOUD_SDK_SK=([\w-]{40})\n/.exec(added.stdout) ?? [];
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

  it('prints all that a client needs, for a shell and as a Kubernetes Secret, with the same values', async () => {
    const file = join(folder, 'printed.json');
    const place = ['--url', 'https://bff.example.test:8443/', '--region', 'ap-southeast-3'];
    const added = await keys('add', 'Team A / billing', '--file', file, ...place);
    const [shell = '', secret = ''] = added.stdout.split('---\n');
    const [pair] = parseLocalKeys(await readFile(file, 'utf8')) as {
      accessKeyId: string;
      secretAccessKey: string;
    }[];
    const wanted = {
      CLOUD_SDK_AK: pair?.accessKeyId,
      CLOUD_SDK_SK: pair?.secretAccessKey,
      HUAWEICLOUD_SDK_AK: pair?.accessKeyId,
      HUAWEICLOUD_SDK_SK: pair?.secretAccessKey,
      HUAWEICLOUD_SDK_REGION_CCE_AP_SOUTHEAST_3: 'https://bff.example.test:8443',
      HUAWEICLOUD_SDK_IAM_ENDPOINT: 'https://bff.example.test:8443',
    };
    const { stdout } = await run('/bin/sh', ['-c', `${shell}env`], { env: {} });
    const set = stdout.split('\n').filter((line) => line.includes('CLOUD_'));
    expect(Object.fromEntries(set.map((line) => line.split('=')))).toEqual(wanted);
    expect(parse(secret)).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'imagecaches-team-a-billing' },
      type: 'Opaque',
      stringData: wanted,
    });
  });

  it('prints one of the two alone, for what reads it, and names the place that the service is known by', async () => {
    const file = join(folder, 'one-form.json');
    process.env.SDK_PUBLIC_HOST = 'public.example.test';
    process.env.CCE_REGION = 'eu-west-101';
    const shell = await keys('add', 'a', '--file', file, '--format', 'shell');
    const secret = await keys('add', 'b'.repeat(100), '--file', file, '--format', 'kubernetes');
    delete process.env.SDK_PUBLIC_HOST;
    delete process.env.CCE_REGION;
    expect(shell.stdout).toMatch(/^(export [A-Z0-9_]+=\S+\n){6}$/);
    expect(shell.stdout).toContain('_CCE_EU_WEST_101=https://public.example.test\n');
    expect(parse(secret.stdout).metadata.name).toHaveLength(63);
    const unknown = await keys('add', 'c', '--file', file);
    expect(unknown.stdout).toContain('_CCE_CN_NORTH_4=https://imagecaches.example.com\n');
    expect(unknown.stderr).toContain('give it with --url');
    expect(shell.stderr).not.toContain('--url');
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
      ['add', 'a', '--url', 'http://bff.example.test'],
      ['add', 'a', '--url', 'https://bff.example.test/path'],
      ['add', 'a', '--url', 'https://bff.example.test/?query'],
      // A URL takes them in its host, a shell would run them.
      ['add', 'a', '--url', 'https://a$(id).example.test'],
      ['add', 'a', '--url', "https://a';b.example.test"],
      ['add', 'a', '--region', 'x; rm'],
      ['add', 'a', '--format', 'ini'],
      [],
    ]) {
      const refused = await keys(...args, ...(args.includes('--what') ? [] : ['--file', other]));
      expect(refused.code, args.join(' ')).toBe(64);
    }
    await expect(stat(other)).rejects.toThrow('ENOENT');
  });
});
