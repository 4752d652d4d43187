import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type Metrics, NO_METRICS } from '../../../src/observability/metrics.ts';
import { createHttpServer } from '../../../src/runtime/node/server/http-server.ts';
import { connectRaw, exchangeRaw } from '../../support/raw-connection.ts';
import { createTestService, vendorEntry, vendorList } from '../../support/test-service.ts';

const closing: Server[] = [];
afterEach(async () => {
  for (const server of closing.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

interface Counted {
  readonly route: string;
  readonly method: string;
  readonly status: number;
}

/** The real app behind the real server, with an upstream that answers when it is told to. */
async function startService() {
  const counted: Counted[] = [];
  const metrics: Metrics = {
    ...NO_METRICS,
    requestAnswered: (route, method, status) => void counted.push({ route, method, status }),
  };
  const service = await createTestService({ RATE_LIMIT_PER_MINUTE: '0' }, { metrics });
  const gate = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  service.upstream = async () => {
    asked.resolve();
    await gate.promise;
    return vendorList(vendorEntry('web-base'));
  };
  const server = createHttpServer(
    service.app,
    { hostname: '127.0.0.1', isDraining: () => false, maxConnections: 100 },
    { logger: service.logger, metrics, elapsed: service.clock.elapsed },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(server);
  const { port } = server.address() as AddressInfo;
  const miss = `GET /imagecaches HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${await service.token()}\r\n`;
  return { service, counted, port, miss, asked: asked.promise, answer: gate.resolve };
}

const LIVE = 'GET /livez HTTP/1.1\r\nHost: a\r\n';

/** The status lines and bodies, in the order in which they came. */
function answersOf(text: string): { status: number; body: string; close: boolean }[] {
  const found = [];
  for (let rest = text; rest !== ''; ) {
    const end = rest.indexOf('\r\n\r\n') + 4;
    const head = rest.slice(0, end);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    found.push({
      status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]),
      body: rest.slice(end, end + length),
      close: /^connection: close/im.test(head),
    });
    rest = rest.slice(end + length);
  }
  return found;
}

const statusesOf = (text: string) => answersOf(text).map(({ status }) => status);

describe('a miss under way, and then on its connection', () => {
  it.each([
    ['a malformed line', 'hello\r\n\r\n', 400, 'bad_request', 'OTHER'],
    [
      'a header without a colon',
      'GET /livez HTTP/1.1\r\nHost: a\r\nbad\r\n\r\n',
      400,
      'bad_request',
      'OTHER',
    ],
    ['another version', 'GET /livez HTTP/9.9\r\nHost: a\r\n\r\n', 400, 'bad_request', 'OTHER'],
    ['headers over 32 KiB', `${LIVE}X-A: ${'x'.repeat(40_000)}\r\n\r\n`, 431, 'headers_too_large', 'OTHER'],
    ['no Host', 'GET /livez HTTP/1.1\r\n\r\n', 400, 'bad_request', 'GET'],
    ['a Host that is none', 'GET /livez HTTP/1.1\r\nHost: 1.2.3.4.5\r\n\r\n', 400, 'bad_request', 'GET'],
    ['an expectation', `${LIVE}Expect: junk\r\n\r\n`, 417, 'expectation_failed', 'GET'],
    ['CONNECT', 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n', 405, 'method_not_allowed', 'CONNECT'],
  ])(
    '%s: the answer comes first, then the refusal and the close',
    async (_what, bytes, status, code, method) => {
      const { service, port, miss, asked, answer, counted } = await startService();
      const connection = connectRaw(port);
      connection.send(`${miss}\r\n${bytes}`);
      await asked;
      // The refused bytes are read by now or will be: either way they have to wait.
      expect(await exchangeRaw(port, `${LIVE}Connection: close\r\n\r\n`)).toContain(' 200 ');
      expect(connection.received()).toBe('');
      answer();
      const [first, second, ...others] = answersOf(await connection.closed);
      expect(first?.status).toBe(200);
      expect(JSON.parse(first?.body ?? '')).toMatchObject({ image_caches: [{ name: 'web-base' }] });
      expect(second).toMatchObject({ status, close: true });
      expect(JSON.parse(second?.body ?? '')).toMatchObject({ code, status, instance: expect.any(String) });
      expect(others).toEqual([]);
      expect(counted.at(-1)).toMatchObject({ status, route: 'unmatched' });
      expect(['OTHER', method]).toContain(counted.at(-1)?.method);
      const line = service.logger.lines.findLast(({ message }) => message === 'request');
      expect(line?.fields).toMatchObject({ status, code });
    },
  );

  it('requests that are good: all are answered, in order', async () => {
    const { port, miss, asked, answer } = await startService();
    const connection = connectRaw(port);
    connection.send(`${miss}\r\n${LIVE}\r\nGET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n`);
    await asked;
    connection.send(`${LIVE}Connection: close\r\n\r\n`);
    answer();
    expect(statusesOf(await connection.closed)).toEqual([200, 200, 404, 200]);
  });
});

describe('Connection: close, and then another request', () => {
  it.each([
    ['at once', true],
    ['later', false],
  ])('%s: the first is answered, the second is ignored', async (_when, isAtOnce) => {
    const { port, miss, asked, answer, counted } = await startService();
    const connection = connectRaw(port);
    connection.send(`${miss}Connection: close\r\n\r\n${isAtOnce ? `${LIVE}\r\n` : ''}`);
    await asked;
    if (!isAtOnce) connection.send(`${LIVE}\r\n`);
    expect(await exchangeRaw(port, `${LIVE}Connection: close\r\n\r\n`)).toContain(' 200 ');
    answer();
    const answers = answersOf(await connection.closed);
    expect(answers).toMatchObject([{ status: 200, close: true }]);
    expect(counted.map(({ route, status }) => [route, status])).toEqual([
      ['/livez', 200],
      ['/imagecaches', 200],
    ]);
  });

  it('a malformed line after it is ignored too', async () => {
    const { port, miss, asked, answer } = await startService();
    const connection = connectRaw(port);
    connection.send(`${miss}Connection: close\r\n\r\nhello\r\n\r\n`);
    await asked;
    answer();
    expect(statusesOf(await connection.closed)).toEqual([200]);
  });
});

describe('pipelined requests', () => {
  it('begin one after the other', async () => {
    const { service, port, miss, asked, answer } = await startService();
    const connection = connectRaw(port);
    const named = (name: string) => miss.replace('/imagecaches', `/imagecaches?name=${name}`);
    connection.send(`${named('a')}\r\n${named('b')}\r\n${named('c')}Connection: close\r\n\r\n`);
    await asked;
    expect(await exchangeRaw(port, `${LIVE}Connection: close\r\n\r\n`)).toContain(' 200 ');
    expect(service.calls).toHaveLength(1);
    answer();
    expect(statusesOf(await connection.closed)).toEqual([200, 200, 200]);
    expect(service.calls).toHaveLength(3);
  });

  it('are all answered, however many come, with and without bodies', async () => {
    const { port } = await startService();
    const connection = connectRaw(port);
    const withBody = `${LIVE}Content-Length: 3\r\n\r\nabc`;
    const count = 5000;
    connection.send(`${LIVE}\r\n${withBody}`.repeat(count / 2));
    connection.send(`${LIVE}Connection: close\r\n\r\n`);
    const statuses = statusesOf(await connection.closed);
    expect(statuses).toHaveLength(count + 1);
    expect(new Set(statuses)).toEqual(new Set([200]));
  });
});
