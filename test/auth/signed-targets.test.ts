import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createHttpServer } from '../../src/runtime/node/server/http-server.ts';
import { signRequest } from '../../src/signing/sign-request.ts';
import { createTestService, type TestService, vendorEntry, vendorList } from '../support/test-service.ts';

const HOST = 'bff.example.test';
const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };
const NAMES = ['cache-1', 'cache-2', 'cache-3'];

let service: TestService;
let server: ReturnType<typeof createHttpServer>;

beforeAll(async () => {
  service = await createTestService({
    SDK_KEYS: JSON.stringify({ keys: [{ ...KEY, subject: 'billing' }] }),
    RATE_LIMIT_PER_MINUTE: '0',
  });
  service.upstream = ({ url }) => {
    const wanted = url.searchParams.get('name');
    return vendorList(...NAMES.filter((name) => (wanted ?? name) === name).map((name) => vendorEntry(name)));
  };
  server = createHttpServer(
    service.app,
    { hostname: HOST, isDraining: () => false, maxConnections: 10 },
    {
      logger: service.logger,
      metrics: { requestAnswered: () => undefined } as never,
      elapsed: service.clock.elapsed,
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => server.close());

/** Signed for one path and query, sent with another target, byte for byte. */
async function send(signed: string, target: string): Promise<{ status: number; names: string[] }> {
  const url = new URL(`https://${HOST}${signed}`);
  const { headers } = await signRequest({ method: 'GET', url, headers: {} }, KEY, {
    nowMs: service.clock.now(),
  });
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const lines = Object.entries({ host: HOST, ...headers, connection: 'close' });
  socket.write(
    Buffer.from(
      `GET ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
      'latin1',
    ),
  );
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk as Buffer);
  const [head = '', body = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n');
  const status = Number(head.split(' ')[1]);
  const names =
    status === 200 ? (JSON.parse(body).image_caches ?? []).map((entry: { name: string }) => entry.name) : [];
  return { status, names };
}

const LIST = '/v5/imagecaches';

describe('what a signature is verified over is what is used', () => {
  it.each([
    `${LIST}#?name=cache-3`,
    `${LIST}#`,
    `${LIST}?#name=cache-3`,
    `${LIST}?#?name=cache-3`,
    `${LIST}#x?name=cache-3#y`,
    `http://${HOST}${LIST}#?name=cache-3`,
    `/v5/%69magecaches#?name=cache-3`,
  ])('a target with a fragment is refused: %s', async (target) => {
    expect((await send(LIST, target)).status).toBe(400);
  });

  it.each([
    `${LIST}?name=cache-3`,
    `${LIST}%3Fname=cache-3`,
    `${LIST}%23?name=cache-3`,
    `${LIST}?%23&name=cache-3`,
    `${LIST}?\tname=cache-3`,
    `${LIST}?\\name=cache-3`,
    `${LIST}\\?name=cache-3`,
    `${LIST};name=cache-3`,
    `${LIST}?&name=cache-3`,
    `${LIST}??name=cache-3`,
    `${LIST}?n\u00e4me=cache-3`,
    `/v5//imagecaches`,
    `/v5/imagecaches/%2e%2e?name=cache-3`,
    `/v5/x/../imagecaches?name=cache-3`,
    `/v5/x/%2e%2E/imagecaches?name=cache-3`,
    `\\v5\\imagecaches`,
    `http://${HOST}${LIST}?name=cache-3`,
    `http://${HOST}?name=cache-3${LIST}`,
    `http://user@${HOST}${LIST}?name=cache-3`,
    `https:///v5/imagecaches?name=cache-3`,
    '*',
    `${LIST}\u00ff`,
  ])('a signature over the whole list never gives a filtered one: %j', async (target) => {
    const { status, names } = await send(LIST, target);
    expect([400, 401, 404]).toContain(status);
    expect(names).toEqual([]);
  });

  it.each([
    LIST,
    `${LIST}?`,
    `${LIST}?&`,
    '/v5/%69magecaches',
    '/v5/x/../imagecaches',
    '/v5/./imagecaches',
    '/v5/%2e/imagecaches',
    `http://${HOST}${LIST}`,
  ])('other spellings of the signed path are the signed path: %s', async (target) => {
    expect(await send(LIST, target)).toEqual({ status: 200, names: NAMES });
  });

  it.each([
    [`${LIST}?name=cache-3`, 200],
    [`${LIST}?n%61me=cache%2D3`, 200],
    [`${LIST}?name=cache-3&`, 200],
    [`${LIST}?name=cache-3#`, 400],
    [`${LIST}#?name=cache-3`, 400],
    [`${LIST}?name=cache-3#&name=cache-2`, 400],
    [`${LIST}?name=cache-2#?name=cache-3`, 400],
    [`${LIST}?name=cache-2`, 401],
    [LIST, 401],
    [`${LIST}?name=cache-3&name=cache-3`, 401],
    [`${LIST}?name=cache+3`, 401],
  ])('signed for one name, sent as %s: %i', async (target, status) => {
    const answer = await send(`${LIST}?name=cache-3`, target);
    expect(answer).toEqual({ status, names: status === 200 ? ['cache-3'] : [] });
  });
});

describe('a plain path', () => {
  it.each(['/imagecaches', '/v5/imagecaches', '/v3/projects?name=cn-north-4'])(
    '%s with a fragment is a bad request, whoever asks',
    async (path) => {
      for (const authorization of [`Bearer ${await service.token()}`, ''])
        for (const fragment of ['#', '#?name=cache-3'])
          expect((await service.app.request(path + fragment, { headers: { authorization } })).status).toBe(
            400,
          );
    },
  );
});
