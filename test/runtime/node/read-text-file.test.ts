import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config/config.ts';
import { readSettingFiles } from '../../../src/runtime/node/platform/read-setting-files.ts';
import { readTextFile, readTextFileSync } from '../../../src/runtime/node/platform/read-text-file.ts';
import { signRequest } from '../../../src/signing/sign-request.ts';
import { createTestService, TEST_ENVIRONMENT } from '../../support/test-service.ts';

/** The byte order mark in UTF-8. */
const MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
const URL_V5 = 'https://bff.example.test/v5/imagecaches';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'read-text-file-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, Buffer.concat([MARK, Buffer.from(text)]));
  return path;
}

it('drops a byte order mark, and nothing else', async () => {
  for (const text of ['', 'text', '{"a":1}', ' é 界\r\n', 'a\ufeffb', '\ufeffsecond']) {
    const path = await write('text', text);
    expect(await readTextFile(path)).toBe(text);
    expect(readTextFileSync(path)).toBe(text);
    await writeFile(path, text.replace(/^\ufeff/, ''));
    expect(await readTextFile(path)).toBe(text.replace(/^\ufeff/, ''));
  }
  await expect(readTextFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
});

it('is the only way in which text files are read', async () => {
  const root = new URL('../../../src/runtime/', import.meta.url).pathname;
  const readers: string[] = [];
  for (const file of await readdir(root, { recursive: true })) {
    if (!file.endsWith('.ts')) continue;
    // What the system tells is no file that somebody has written.
    if (file.endsWith('unacknowledged-bytes.ts')) continue;
    const text = await readFile(join(root, file), 'utf8');
    if (/readFile(?:Sync)?\([^)]*(?:utf-?8|latin1|ascii)/i.test(text)) readers.push(file);
  }
  expect(readers).toEqual([]);
});

it('lets every setting that may be in a file have a mark', async () => {
  const issuers = JSON.stringify({ issuers: [{ issuer: 'https://second.example.test', audiences: ['a'] }] });
  const values: Record<string, string> = {
    HUAWEICLOUD_SDK_AK: 'AKTESTPLANTED0000001',
    HUAWEICLOUD_SDK_SK: 'SKtestPlanted+not/a=real-secret-0000000001',
    HUAWEICLOUD_SDK_SECURITY_TOKEN: 'token',
    AUTH_ISSUERS: issuers,
    SDK_KEYS: JSON.stringify({ keys: [{ ...KEY, subject: 'billing' }] }),
    REDIS_URL: 'redis://127.0.0.1:6379',
  };
  const base = {
    CCE_ENDPOINT: 'https://cce.example.test',
    AUTH_ISSUER: 'https://login.example.test',
    AUTH_AUDIENCE: 'a',
  };
  const files: Record<string, string> = {};
  for (const [name, value] of Object.entries(values))
    files[`${name}_FILE`] = await write(name, `${value}\r\n`);
  const { environment, faults } = readSettingFiles({ ...base, ...files });
  expect(faults).toEqual([]);
  const fromFiles = parseConfig(environment);
  const plain = parseConfig({ ...base, ...values });
  expect(fromFiles.issuers).toEqual(plain.issuers);
  expect(fromFiles.sdkClients?.keys).toEqual(plain.sdkClients?.keys);
  expect(fromFiles.sharedStore?.url).toBe(plain.sharedStore?.url);
  expect(JSON.stringify(fromFiles)).not.toContain('\ufeff');
});

it.each([
  ['HUAWEICLOUD_SDK_AK_FILE', ''],
  ['CCE_AUTH_TOKEN_FILE', '\n'],
  ['HUAWEICLOUD_SDK_CREDENTIALS_FILE', '\ufeff\r\n'],
  ['HUAWEICLOUD_OIDC_ID_TOKEN_FILE', ' '],
  ['AUTH_ISSUERS_FILE', ''],
  ['REDIS_URL_FILE', ''],
])('an empty %s is a fault, and chooses no other source', async (name, text) => {
  const { environment, faults } = readSettingFiles({
    CCE_ENDPOINT: 'https://cce.example.test',
    AUTH_ISSUER: 'https://login.example.test',
    AUTH_AUDIENCE: 'a',
    [name]: await write('empty', text),
  });
  expect(faults).toEqual([{ setting: name, fault: 'names a file that is empty' }]);
  expect(() => parseConfig(environment, faults)).toThrow(`${name}: names a file that is empty`);
});

it('an empty file of the security token means that there is none', async () => {
  const { environment, faults } = readSettingFiles({
    ...TEST_ENVIRONMENT,
    HUAWEICLOUD_SDK_SECURITY_TOKEN_FILE: await write('empty', ''),
  });
  expect(faults).toEqual([]);
  expect(parseConfig(environment).target.credentials).toMatchObject({ securityToken: undefined });
});

it('lets keys of an issuer and of SDK clients be followed in files with a mark', async () => {
  const { key } = await createTestService();
  const jwks = await write('jwks.json', JSON.stringify({ keys: [key.publicJwk] }));
  const keys = await write('keys.json', JSON.stringify({ keys: [{ ...KEY, subject: 'billing' }] }));
  const { environment } = readSettingFiles({
    ...TEST_ENVIRONMENT,
    AUTH_JWKS_URL: undefined,
    AUTH_JWKS_FILE: jwks,
    SDK_KEYS_FILE: keys,
  });
  const service = await createTestService(environment as Record<string, string>, { readTextFile });
  expect((await service.get('/imagecaches')).status).toBe(200);
  const ask = async () => {
    const nowMs = service.clock.now();
    const { headers } = await signRequest({ method: 'GET', url: new URL(URL_V5), headers: {} }, KEY, {
      nowMs,
    });
    return (await service.app.request(URL_V5, { headers: { ...headers, host: 'bff.example.test' } })).status;
  };
  expect(await ask()).toBe(200);
  // The pair is taken out, by an editor that writes a mark.
  await write('keys.json', JSON.stringify({ keys: [] }));
  await service.clock.advance(1000);
  expect(await ask()).toBe(401);
});
