import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { BodyTooLargeError, readBody } from '../../../src/outbound/read-body.ts';
import type { FetchedResponse, FetchInit } from '../../../src/platform/fetch.ts';
import { createNodeFetch } from '../../../src/runtime/node/platform/fetch.ts';

const folder = mkdtempSync(join(tmpdir(), 'imagecaches-fetch-'));
const servers: Server[] = [];
afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  rmSync(folder, { recursive: true });
});

async function serve(server: Server): Promise<number> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** Fetches three times, with all garbage collected in between; a process of its own, since trust is read at its start. */
const SOURCE = new URL('../../../src/', import.meta.url);
const SCRIPT = `
  import { createNodeFetch } from '${new URL('runtime/node/platform/fetch.ts', SOURCE)}';
  import { readBody } from '${new URL('outbound/read-body.ts', SOURCE)}';
  const opened = [];
  const { fetch, close } = createNodeFetch(5000, (begin) => opened.push(begin));
  for (let call = 0; call < 3; call += 1) {
    await readBody(await fetch(process.argv[1], { redirect: 'manual' }), 100);
    await new Promise((resolve) => setImmediate(resolve));
    globalThis.gc();
  }
  await close();
  console.log(opened.join(' '));
`;

async function connectionsOf(url: string, certificate = ''): Promise<string> {
  const args = ['--expose-gc', '--input-type=module', '-e', SCRIPT, url];
  const env = { PATH: process.env.PATH ?? '', NODE_EXTRA_CA_CERTS: certificate };
  return (await promisify(execFile)(process.execPath, args, { env })).stdout.trim();
}

describe('connections to the vendor', () => {
  it('are used again', async () => {
    const port = await serve(createHttpServer((_request, response) => response.end('ok')));
    expect(await connectionsOf(`http://127.0.0.1:${port}/`)).toBe('plain');
  });

  it('resume the TLS session when they have to be opened anew', async () => {
    execFileSync(
      'openssl',
      'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1'.split(
        ' ',
      ),
      { cwd: folder, stdio: 'ignore' },
    );
    const [cert, key] = ['cert.pem', 'key.pem'].map((name) => readFileSync(join(folder, name)));
    const server = createHttpsServer({ cert, key } as object, (_request, response) => {
      response.setHeader('connection', 'close').end('ok');
    });
    const port = await serve(server as unknown as Server);
    expect(await connectionsOf(`https://127.0.0.1:${port}/`, join(folder, 'cert.pem'))).toBe(
      'new_session resumed_session resumed_session',
    );
  });
});

describe('a connection that the server closes', () => {
  /** Why a fetch had no answer; `answered` when it had one. */
  async function outcomesOf(requests: (count: number, response: ServerResponse) => void, times: number) {
    let count = 0;
    const server = createHttpServer((_request, response) => {
      count += 1;
      requests(count, response);
    });
    const url = `http://127.0.0.1:${await serve(server)}/`;
    const { fetch, close } = createNodeFetch(5000);
    const outcomes: unknown[] = [];
    for (let call = 0; call < times; call += 1) {
      try {
        await readBody(await fetch(url, { redirect: 'manual' }), 100);
        outcomes.push('answered');
      } catch (error) {
        outcomes.push((error as { noAnswer?: unknown }).noAnswer);
      }
      // The connection is idle a turn later.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await close();
    return outcomes;
  }

  it('is told apart when it was used before', async () => {
    // Every second request comes over the connection of the one before.
    const outcomes = await outcomesOf((count, response) => {
      if (count % 2 === 0) response.socket?.destroy();
      else response.end('ok');
    }, 6);
    expect(outcomes).toEqual(Array(3).fill(['answered', 'reused_connection']).flat());
  });

  it('is nothing of the kind when it is new, or has begun to answer', async () => {
    expect(await outcomesOf((_count, response) => response.socket?.destroy(), 2)).toEqual([
      undefined,
      undefined,
    ]);
    const outcomes = await outcomesOf((count, response) => {
      if (count === 1) response.end('ok');
      else {
        response.writeHead(200, { 'content-length': 10 }).write('o');
        setImmediate(() => response.socket?.destroy());
      }
    }, 2);
    expect(outcomes).toEqual(['answered', undefined]);
  });
});

describe('an answer', () => {
  const TEXT = 'a list';
  const { fetch, close } = createNodeFetch(5000);
  afterAll(close);
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  const url = serve(createHttpServer((request, response) => answer(request, response))).then(
    (port) => `http://127.0.0.1:${port}/`,
  );
  const ask = async (init: Partial<FetchInit> = {}) => fetch(await url, { redirect: 'manual', ...init });
  const textOf = async (response: FetchedResponse) =>
    new TextDecoder().decode(await readBody(response, 1000));

  it.each<[coding: string, bytes: Buffer]>([
    ['gzip', gzipSync(TEXT)],
    ['X-GZIP', gzipSync(TEXT)],
    ['deflate', deflateSync(TEXT)],
    ['br', brotliCompressSync(TEXT)],
    ['gzip, br', brotliCompressSync(gzipSync(TEXT))],
    ['identity', Buffer.from(TEXT)],
    ['of tomorrow', Buffer.from(TEXT)],
  ])('in the coding %s is understood, though it was not asked for', async (coding, bytes) => {
    answer = (request, response) => {
      expect(request.headers).not.toHaveProperty('accept-encoding');
      response.setHeader('content-encoding', coding).end(bytes);
    };
    expect(await textOf(await ask())).toBe(TEXT);
  });

  it.each([
    ['gzip', 6],
    ['br', 3000],
    ['identity', 6],
  ])(
    'in %s, %i times, is a fault before anything is decoded, and ends its connection',
    async (coding, times) => {
      const closed = Promise.withResolvers<void>();
      answer = (_request, response) => {
        response.on('close', closed.resolve);
        response.setHeader('content-encoding', Array(times).fill(coding).join(',')).write(TEXT);
      };
      const response = await ask();
      // The status counts all the same: it may be a rejection.
      expect(response.status).toBe(200);
      await expect(textOf(response)).rejects.toThrow(BodyTooLargeError);
      await closed.promise;
    },
  );

  it('in 5 codings is read', async () => {
    let bytes: Buffer = Buffer.from(TEXT);
    for (let count = 0; count < 5; count += 1) bytes = gzipSync(bytes);
    answer = (_request, response) =>
      response.setHeader('content-encoding', Array(5).fill('gzip').join(', ')).end(bytes);
    expect(await textOf(await ask())).toBe(TEXT);
  });

  it('that is cut in its coding fails', async () => {
    answer = (_request, response) =>
      response.setHeader('content-encoding', 'gzip').end(gzipSync('x'.repeat(500)).subarray(0, 20));
    await expect(textOf(await ask())).rejects.toThrow();
  });

  it('is no redirect that is followed', async () => {
    let requests = 0;
    answer = (_request, response) => {
      requests += 1;
      response.writeHead(302, { location: '/elsewhere' }).end('moved');
    };
    const response = await ask();
    expect(response.status).toBe(302);
    expect(response.headers.get('location')).toBe('/elsewhere');
    expect(await textOf(response)).toBe('moved');
    expect(requests).toBe(1);
  });

  it('has its headers, a repeated one as a list, and none as null', async () => {
    answer = (_request, response) =>
      response.writeHead(200, { 'x-one': '1', 'x-two': ['a', 'b'] as unknown as string }).end();
    const { headers } = await ask();
    expect([headers.get('x-one'), headers.get('x-two'), headers.get('x-none')]).toEqual(['1', 'a, b', null]);
  });

  it('is to what was sent: method, headers and body', async () => {
    answer = async (request, response) => {
      let body = '';
      for await (const chunk of request) body += chunk;
      const { 'user-agent': agent, 'x-a': a } = request.headers;
      response.end(JSON.stringify([request.method, agent, a, body]));
    };
    const sent = { method: 'PUT', headers: { 'x-a': 'b' }, body: '{}' };
    expect(JSON.parse(await textOf(await ask(sent)))).toEqual(['PUT', 'imagecaches-bff', 'b', '{}']);
  });

  it.each([
    ['as it is', 'identity'],
    ['in a coding', 'gzip'],
  ])('that is cancelled %s ends its connection, and nothing else', async (_name, coding) => {
    const closed = Promise.withResolvers<void>();
    answer = (_request, response) => {
      response.setHeader('content-encoding', coding);
      response.on('close', closed.resolve).write(coding === 'gzip' ? gzipSync(TEXT).subarray(0, 12) : TEXT);
    };
    const response = await ask();
    await response.body?.cancel();
    await closed.promise;
    answer = (_request, other) => other.end(TEXT);
    expect(await textOf(await ask())).toBe(TEXT);
  });

  it.each([
    ['all there', 'identity', Buffer.from(TEXT)],
    ['empty', 'identity', Buffer.alloc(0)],
    ['in a coding', 'gzip', gzipSync(TEXT)],
  ])('that is %s can be cancelled, or left', async (_name, coding, bytes) => {
    const broken: unknown[] = [];
    const note = (error: unknown) => void broken.push(error);
    process.on('uncaughtException', note);
    try {
      answer = (_request, response) => response.writeHead(404, { 'content-encoding': coding }).end(bytes);
      await (await ask()).body?.cancel();
      answer = (_request, response) => {
        response.writeHead(200, { 'content-encoding': coding, 'content-length': 1000 }).write(bytes);
        response.flushHeaders();
        setImmediate(() => response.destroy());
      };
      await ask();
      // Its events have come by the time that another answer is here.
      answer = (_request, response) => response.end(TEXT);
      for (let call = 0; call < 3; call += 1) expect(await textOf(await ask())).toBe(TEXT);
    } finally {
      process.off('uncaughtException', note);
    }
    expect(broken).toEqual([]);
  });

  it('that is too long ends its connection too', async () => {
    const closed = Promise.withResolvers<void>();
    answer = (_request, response) => {
      response.on('close', closed.resolve).write('x'.repeat(2000));
    };
    await expect(textOf(await ask())).rejects.toThrow(BodyTooLargeError);
    await closed.promise;
  });

  it.each([
    ['before it begins', (_response: ServerResponse) => undefined],
    ['while it comes', (response: ServerResponse) => void response.write('x')],
  ])('is given up %s when it is no longer wanted', async (_name, begin) => {
    const asked = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    answer = (_request, response) => {
      response.on('close', closed.resolve);
      begin(response);
      asked.resolve();
    };
    const abort = new AbortController();
    const text = ask({ signal: abort.signal }).then(textOf);
    const failure = expect(text).rejects.toMatchObject({ name: 'AbortError' });
    await asked.promise;
    abort.abort();
    await failure;
    await closed.promise;
  });

  it('that does not come is an error with its cause', async () => {
    answer = (request) => void request.socket.destroy();
    await expect(ask()).rejects.toMatchObject({ name: 'TypeError', cause: { code: 'UND_ERR_SOCKET' } });
  });
});
