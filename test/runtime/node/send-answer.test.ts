import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Answer } from '../../../src/route.ts';
import { createAnswerSender, takesHeadText } from '../../../src/runtime/node/send-answer.ts';

const KEEP_ALIVE_TIMEOUT_MS = 7000;
const BODY = new TextEncoder().encode('{"image_caches":[]}');
const LIST: Answer = {
  status: 200,
  headers: { 'content-type': 'application/json', 'content-length': String(BODY.byteLength), age: '3' },
  requestId: 'one',
  body: BODY,
};
const UNCHANGED: Answer = { status: 304, headers: { etag: '"a"' }, requestId: 'two', body: null };

let answer: Answer = LIST;
let nowMs = Date.now();
/** One server whose answers' heads are left for Node, and one where Node makes them by itself. */
const servers: Server[] = [true, false].map((isLeft) => {
  const send = createAnswerSender({
    keepAliveTimeoutMs: KEEP_ALIVE_TIMEOUT_MS,
    takesHeadText: isLeft,
    now: () => nowMs,
  });
  return createServer(
    { keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS, optimizeEmptyRequests: true },
    (incoming, outgoing) => {
      if (incoming.url === '/last') outgoing.setHeader('connection', 'close');
      send(outgoing, answer);
    },
  );
});

beforeAll(async () => {
  for (const server of servers)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
});
afterAll(async () => {
  for (const server of servers) await new Promise((resolve) => server.close(resolve));
});

/** All that comes back until the server ends the connection, which the last of the requests asks for. */
function exchange(server: Server, requests: string): Promise<string> {
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(requests, 'latin1'));
    socket.setEncoding('latin1').on('data', (text) => {
      received += text;
    });
    socket.on('error', reject).on('end', () => {
      socket.end();
      resolve(received);
    });
  });
}

async function exchangeWithBoth(requests: string): Promise<string> {
  const [left = '', own = ''] = await Promise.all(servers.map((server) => exchange(server, requests)));
  expect(withoutDate(left)).toBe(withoutDate(own));
  return left;
}

const withoutDate = (text: string) => text.replace(/Date: [^\r]*\r\n/g, 'Date\r\n');
const get = (path: string, more = '') => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;
const LAST = get('/last');

describe('the head of an answer', () => {
  it('is taken by this Node as it is left', () => {
    expect(takesHeadText()).toBe(true);
  });

  it.each<[name: string, requests: string, answer: Answer]>([
    ['a request', get('/') + LAST, LIST],
    ['requests that do not wait for answers', get('/').repeat(20) + LAST, LIST],
    ['HEAD', `HEAD / HTTP/1.1\r\nHost: a\r\n\r\n${LAST}`, LIST],
    ['what has not changed', get('/') + get('/') + LAST, UNCHANGED],
    ['a caller that wants to close', get('/', 'Connection: close\r\n'), LIST],
    ['a caller of HTTP/1.0', 'GET / HTTP/1.0\r\n\r\n', LIST],
    ['one that wants to go on', `GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n${LAST}`, LIST],
    ['one that has it already', `GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`, UNCHANGED],
    ['no body and no length', get('/') + LAST, { ...UNCHANGED, status: 200 }],
    ['one that waits before its body', get('/', 'Expect: 100-continue\r\n') + LAST, LIST],
    ['a body', `${get('/', 'Content-Length: 2\r\n')}ab${LAST}`, LIST],
    ['a text, whose length is counted', get('/') + LAST, { ...LIST, headers: {}, body: 'é' }],
  ])('has every byte of the one that Node would make, for %s', async (_name, requests, sent) => {
    answer = sent;
    const received = await exchangeWithBoth(requests);
    expect(received).toMatch(new RegExp(`^HTTP/1.1 (100|${sent.status}) `));
    expect(received).toContain(`x-request-id: ${sent.requestId}\r\n`);
  });

  it('has every byte, for any headers', async () => {
    const name = fc.stringMatching(/^x-[a-z0-9-]{1,20}$/);
    const value = fc.stringMatching(
      /^[\x21-\x7e\xa0-\xff]([\t\x20-\x7e\xa0-\xff]{0,20}[\x21-\x7e\xa0-\xff])?$/,
    );
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(name, value, { maxKeys: 30 }),
        fc.stringMatching(/^[\w-]{1,40}$/),
        async (more, requestId) => {
          answer = { ...LIST, headers: { ...LIST.headers, ...more }, requestId };
          await exchangeWithBoth(get('/') + LAST);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('is not shared by two statuses', async () => {
    answer = { ...LIST, status: 304, body: null };
    expect(await exchangeWithBoth(get('/') + LAST)).toMatch(/^HTTP\/1.1 304 /);
    answer = LIST;
    expect(await exchangeWithBoth(get('/') + LAST)).toMatch(/^HTTP\/1.1 200 /);
  });

  it('says the time of each answer, to the second', async () => {
    answer = LIST;
    const said = [];
    for (const ms of [1_767_225_599_999, 1_767_225_600_000, 1_767_225_600_999, 1_767_225_601_000]) {
      nowMs = ms;
      said.push(/Date: ([^\r]*)/.exec(await exchange(servers[0] as Server, get('/') + LAST))?.[1]);
    }
    expect(said).toEqual([
      'Wed, 31 Dec 2025 23:59:59 GMT',
      'Thu, 01 Jan 2026 00:00:00 GMT',
      'Thu, 01 Jan 2026 00:00:00 GMT',
      'Thu, 01 Jan 2026 00:00:01 GMT',
    ]);
  });

  it.each([
    ['a line break in a value', { 'x-a': 'b\r\nx-c: d' }],
    ['a name that is none', { 'x a': 'b' }],
  ])('is not made with %s', (_name, headers) => {
    const outgoing = {
      shouldKeepAlive: true,
      req: { httpVersionMinor: 1 },
      hasHeader: () => false,
      end: () => expect.unreachable(),
    };
    const send = createAnswerSender({ keepAliveTimeoutMs: 1000, takesHeadText: true });
    expect(() => send(outgoing as never, { ...UNCHANGED, headers })).toThrow(TypeError);
  });
});
