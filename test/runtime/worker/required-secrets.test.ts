import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** A platform that has no Worker yet, and takes none. */
let api: Server;
let url: string;
let folder: string;
let uploads: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'imagecaches-wrangler-'));
  api = createServer((request, response) => {
    if (request.method !== 'GET') uploads.push(String(request.url));
    const isSubdomain = request.url?.endsWith('/subdomain');
    response.statusCode = isSubdomain ? 200 : 404;
    response.setHeader('content-type', 'application/json');
    const none = {
      success: false,
      errors: [{ code: 10090, message: 'not found' }],
      messages: [],
      result: null,
    };
    const subdomain = { success: true, errors: [], messages: [], result: { subdomain: 'example' } };
    request.resume().on('end', () => response.end(JSON.stringify(isSubdomain ? subdomain : none)));
  });
  await new Promise<void>((resolve) => api.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(api.address() as AddressInfo).port}`;
});
afterAll(async () => {
  api.closeAllConnections();
  await new Promise((resolve) => api.close(resolve));
  await rm(folder, { recursive: true });
});

async function deploy(...args: string[]): Promise<string> {
  uploads = [];
  const environment = {
    PATH: process.env.PATH,
    HOME: folder,
    CI: 'true',
    WRANGLER_SEND_METRICS: 'false',
    CLOUDFLARE_API_BASE_URL: url,
    CLOUDFLARE_API_TOKEN: 'x',
    CLOUDFLARE_ACCOUNT_ID: '0123456789abcdef0123456789abcdef',
  };
  return new Promise((resolve) =>
    execFile(
      join(ROOT, 'node_modules/.bin/wrangler'),
      ['deploy', ...args],
      { cwd: ROOT, env: environment },
      (_error, stdout, stderr) => resolve(stdout + stderr),
    ),
  );
}

it.each([['--env='], ['--env=staging'], ['--env=production']])(
  'a deployment without the secrets fails before anything is uploaded: %s',
  async (environment) => {
    expect(await deploy(environment)).toContain(
      'The following required secrets have not been set: HUAWEICLOUD_SDK_AK, HUAWEICLOUD_SDK_SK',
    );
    expect(uploads).toEqual([]);
  },
);

it('a deployment that brings the secrets is uploaded', async () => {
  const file = join(folder, 'secrets');
  await writeFile(file, 'HUAWEICLOUD_SDK_AK=a\nHUAWEICLOUD_SDK_SK=b\n');
  await deploy('--env=production', `--secrets-file=${file}`);
  expect(uploads).not.toEqual([]);
});
