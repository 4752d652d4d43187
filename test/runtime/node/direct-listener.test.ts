import { createServer, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compress } from '../../../src/runtime/node/platform/compress.ts';
import { createDirectListener } from '../../../src/runtime/node/server/direct-listener.ts';
import { createTestService, vendorEntry, vendorList } from '../../support/test-service.ts';

interface Sent {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Record<string, string | string[]>;
}

interface Received {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Enough for a list that is worth compressing. */
const IMAGES = Array.from({ length: 30 }, (_, index) => `swr.cn-north-4.myhuaweicloud.com/team/web:${index}`);

/** One app behind two servers: one that looks for a direct way first, and one that only knows Hono. */
const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' }, { compress });
service.upstream = () => vendorList(vendorEntry('web-base', { images: IMAGES }), vendorEntry('db'));
const throughHono = getRequestListener(service.app.fetch, {
  hostname: '127.0.0.1',
  errorHandler: () => new Response('not a request', { status: 400 }),
});
const directly = createDirectListener(service.app.routes, { keepAliveTimeoutMs: 5000 });
let answeredDirectly = 0;
const servers: Server[] = [
  createServer({ joinDuplicateHeaders: true }, (incoming, outgoing) => {
    if (directly(incoming, outgoing)) answeredDirectly += 1;
    else void throughHono(incoming, outgoing);
  }),
  createServer({ joinDuplicateHeaders: true }, (incoming, outgoing) => void throughHono(incoming, outgoing)),
];

beforeAll(async () => {
  for (const server of servers)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
});
afterAll(async () => {
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
});

function send(
  server: Server,
  { method = 'GET', target = '/imagecaches', headers = {} }: Sent,
): Promise<Received> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path: target,
        headers: { host: 'a.test', 'x-request-id': 'the-same-for-both', ...headers },
      },
      (response) => {
        let body = '';
        response.setEncoding('latin1').on('data', (chunk) => {
          body += chunk;
        });
        response.on('end', () => {
          const { date: _date, ...others } = response.headers;
          resolve({ status: response.statusCode, headers: others, body });
        });
      },
    );
    sent.on('error', reject).end();
  });
}

/** The same from both, which it returns with whether the direct way was taken. */
async function sendToBoth(sent: Sent): Promise<Received & { readonly isDirect: boolean }> {
  const before = answeredDirectly;
  const direct = await send(servers[0] as Server, sent);
  const isDirect = answeredDirectly > before;
  const long = await send(servers[1] as Server, sent);
  expect(direct).toEqual(long);
  return { ...direct, isDirect };
}

const authorization = `Bearer ${await service.token({ exp: service.clock.now() / 1000 + 86_400 })}`;

describe('an answer by the direct way is the same as through Hono', () => {
  it('for a list, all headers and every byte', async () => {
    // The first is the miss.
    await send(servers[1] as Server, { headers: { authorization } });
    const answer = await sendToBoth({ headers: { authorization } });
    expect(answer).toMatchObject({ isDirect: true, status: 200 });
    expect(answer.headers).toMatchObject({
      'cache-status': expect.stringMatching(/^imagecaches; hit/),
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(answer.body)),
      'x-request-id': 'the-same-for-both',
    });
    expect(JSON.parse(answer.body)).toMatchObject({ image_caches: [{ name: 'web-base' }, { name: 'db' }] });
  });

  it('for a miss, which is a promise', async () => {
    const direct = await send(servers[0] as Server, { headers: { authorization } });
    await service.clock.advance(10_000_000);
    const missed = await send(servers[0] as Server, { headers: { authorization } });
    expect(missed.status).toBe(200);
    expect(missed.headers['cache-status']).toMatch(/fwd=(miss|stale); stored/);
    expect(missed.body).toBe(direct.body);
  });

  it.each<[name: string, sent: Sent, status: number, isDirect: boolean]>([
    ['HEAD', { method: 'HEAD', headers: { authorization } }, 200, true],
    ['a name', { target: '/imagecaches?name=db', headers: { authorization } }, 200, true],
    ['what the caller holds', { headers: { authorization, 'if-none-match': '*' } }, 304, true],
    ['brotli', { headers: { authorization, 'accept-encoding': 'gzip, br' } }, 200, true],
    ['the vendor path', { target: '/v5/imagecaches', headers: { authorization } }, 200, true],
    ['a bad query', { target: '/imagecaches?name=A', headers: { authorization } }, 400, true],
    ['no token', {}, 401, true],
    ['a bad token', { headers: { authorization: 'Bearer x' } }, 401, true],
    ['two tokens', { headers: { authorization: [authorization, authorization] } }, 401, true],
    ['the probe', { target: '/livez' }, 200, true],
    ['HEAD of the probe', { method: 'HEAD', target: '/livez' }, 200, true],
    ['HEAD without a token', { method: 'HEAD' }, 401, true],
    ['the API document', { target: '/openapi.json' }, 200, true],
    ['an escape in the query', { target: '/imagecaches?name=%64b', headers: { authorization } }, 200, false],
    ['an escape in the path', { target: '/image%63aches', headers: { authorization } }, 200, false],
    ['a dot segment', { target: '/x/../imagecaches', headers: { authorization } }, 200, false],
    ['an absolute target', { target: 'http://a.test/imagecaches', headers: { authorization } }, 200, false],
    ['another method', { method: 'POST' }, 405, false],
    ['another path', { target: '/imagecaches/' }, 404, false],
    ['a member of every object', { target: '/constructor' }, 404, false],
    ['a host with capitals', { headers: { host: 'A.test', authorization } }, 200, false],
    ['a host that is none', { headers: { host: 'a b' } }, 400, false],
  ])('for %s', async (_name, sent, status, isDirect) => {
    expect(await sendToBoth(sent)).toMatchObject({ status, isDirect });
  });

  it('for whatever is asked', async () => {
    const piece = fc.constantFrom(
      ...[
        '/',
        '.',
        '..',
        'imagecaches',
        'v5',
        'livez',
        '?',
        '&',
        'name',
        '=',
        'a',
        'A',
        '%61',
        '%',
        '+',
        '#',
        ';',
      ],
      ...['\\', '"', '~', '_', '-', ':', '@', '//', 'http:', 'a.test'],
    );
    const target = fc.array(piece, { maxLength: 8 }).map((pieces) => `/${pieces.join('')}`);
    const host = fc.constantFrom(
      'a.test',
      'a.test:8080',
      'a.test:80',
      'a.test:',
      'A',
      '[::1]:8080',
      '127.1',
      'a_b',
      'a@b',
    );
    await fc.assert(
      fc.asyncProperty(target, host, fc.constantFrom('GET', 'HEAD', 'OPTIONS'), async (path, at, method) => {
        await sendToBoth({ target: path, method, headers: { host: at, authorization } });
      }),
      { numRuns: 300 },
    );
  });
});

describe('the direct way', () => {
  it('is closed where middleware has a say in the answers', async () => {
    const { app } = await createTestService({ CORS_ORIGINS: 'https://app.example.com' });
    expect(app.routes).toEqual({});
  });
});
