import { describe, expect, it } from 'vitest';
import { answersOf, LIVE, startHttpService } from '../../support/http-service.ts';
import { connectRaw, exchangeRaw } from '../../support/raw-connection.ts';
import { REFUSALS } from './refused-requests.ts';

describe('what never reaches the app', () => {
  it.each(REFUSALS)('%s is a problem, counted and logged', async (_what, bytes, status, code, method) => {
    const { port, counted, service } = await startHttpService();
    const text = await exchangeRaw(port, bytes);
    const [answer, ...others] = answersOf(text);
    expect(others).toEqual([]);
    expect(answer).toMatchObject({ status, close: true });
    const id = /^x-request-id: ([0-9a-f-]{36})\r$/im.exec(text)?.[1];
    expect(JSON.parse(answer?.body ?? '')).toMatchObject({ status, code, instance: id });
    expect(text).toMatch(/^content-type: application\/problem\+json\r$/im);
    expect(text).toMatch(/^cache-control: no-store\r$/im);
    expect(text).toMatch(/^date: /im);
    expect(/^allow: GET, HEAD\r$/im.test(text)).toBe(status === 405);
    expect(counted).toEqual([{ route: 'unmatched', status, method }]);
    expect(service.logger.lines).toMatchObject([
      { level: 'info', message: 'request', fields: { requestId: id, status, code } },
    ]);
    // The next caller has the service as it was.
    expect(await exchangeRaw(port, `${LIVE}Connection: close\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('keeps the id of a request that could be read, and its trace', async () => {
    const { port, counted, service } = await startHttpService();
    const id =
      'X-Request-Id: my-id\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n';
    for (const bytes of [
      `GET /livez HTTP/1.1\r\n${id}`,
      `${LIVE}Expect: junk\r\n${id}`,
      `CONNECT a:443 HTTP/1.1\r\nHost: a\r\n${id}`,
    ])
      expect(await exchangeRaw(port, bytes)).toContain('"instance":"my-id"');
    expect(counted).toHaveLength(3);
    expect(service.logger.lines.map(({ fields: { requestId, trace_id } }) => [requestId, trace_id])).toEqual(
      Array(3).fill(['my-id', '0af7651916cd43dd8448eb211c80319c']),
    );
  });
});

describe('what does not arrive in time', () => {
  const SHORT = { headersTimeout: 50, requestTimeout: 100 };
  const checkedOften = { connectionsCheckingInterval: 10 };

  it.each([
    ['nothing', ''],
    ['half a line', 'GET /li'],
    ['half of the headers', LIVE],
  ])('%s is a 408, counted and logged', async (_what, bytes) => {
    const { port, counted, service } = await startHttpService({ times: { ...checkedOften, ...SHORT } });
    const text = await exchangeRaw(port, bytes);
    expect(answersOf(text)).toMatchObject([{ status: 408, close: true }]);
    expect(text).toMatch(/"code":"request_timeout"/);
    expect(counted).toEqual([{ route: 'unmatched', method: 'OTHER', status: 408 }]);
    expect(service.logger.lines).toMatchObject([{ fields: { status: 408, code: 'request_timeout' } }]);
  });

  it('the body of a request that has its answer: the connection ends without another', async () => {
    const { port, server, counted } = await startHttpService({ times: checkedOften });
    const connection = connectRaw(port);
    connection.send(`${LIVE}Content-Length: 10\r\n\r\nabc`);
    await connection.until(/ 200 /);
    // From here on: the headers have all the time that this machine takes.
    Object.assign(server, SHORT);
    expect(answersOf(await connection.closed)).toMatchObject([{ status: 200 }]);
    expect(counted.map(({ status }) => status)).toEqual([200]);
  });

  it('the body of a request whose answer is due: that comes, and the end', async () => {
    const { port, server, miss, asked, answer, counted } = await startHttpService({ times: checkedOften });
    const connection = connectRaw(port);
    connection.send(`${miss}Content-Length: 10\r\n\r\nabc`);
    await asked;
    Object.assign(server, SHORT);
    // By the time that another client was refused, this one is late too.
    expect(await exchangeRaw(port, LIVE)).toMatch(/^HTTP\/1\.1 408 /);
    expect(await exchangeRaw(port, LIVE)).toMatch(/^HTTP\/1\.1 408 /);
    answer();
    expect(answersOf(await connection.closed)).toMatchObject([{ status: 200 }]);
    expect(counted.map(({ status }) => status)).toEqual([408, 408, 200]);
  });

  it('half a request after one whose answer is due: it may still arrive after that', async () => {
    const { port, server, miss, asked, answer } = await startHttpService({ times: checkedOften });
    const connection = connectRaw(port);
    connection.send(`${miss}\r\n${LIVE}`);
    await asked;
    Object.assign(server, SHORT);
    expect(await exchangeRaw(port, LIVE)).toMatch(/^HTTP\/1\.1 408 /);
    expect(await exchangeRaw(port, LIVE)).toMatch(/^HTTP\/1\.1 408 /);
    expect(connection.received()).toBe('');
    answer();
    await connection.until(/image_caches/);
    connection.send('Connection: close\r\n\r\n');
    expect(answersOf(await connection.closed)).toMatchObject([{ status: 200 }, { status: 200 }]);
  });
});
