import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { describeError } from '../../../../src/observability/describe-error.ts';
import { readBody } from '../../../../src/outbound/read-body.ts';
import { createNodeFetch } from '../../../../src/runtime/node/platform/fetch.ts';
import { createProxyChooser } from '../../../../src/runtime/node/platform/outbound/choose-proxy.ts';
import { createConnector } from '../../../../src/runtime/node/platform/outbound/connector.ts';
import { NODE_NETWORK } from '../../../../src/runtime/node/platform/outbound/network.ts';
import { createFakeClock } from '../../../support/fake-clock.ts';
import { freePort } from '../../../support/free-port.ts';
import { parsed } from '../../../support/parse-settings.ts';
import { makeCertificate, startTestProxy, type TestProxy } from './test-proxy.ts';

const folder = mkdtempSync(join(tmpdir(), 'connector-'));
const certificate = makeCertificate(folder, ['cce.example.test']);
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});
afterAll(() => rmSync(folder, { recursive: true }));

async function listen(server: Server): Promise<number> {
  const sockets = new Set<net.Socket>();
  server.on('connection', (socket: net.Socket) => sockets.add(socket));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function proxyTo(ports: Record<string, number>, tls?: typeof certificate): Promise<TestProxy> {
  const proxy = await startTestProxy(ports, tls);
  closing.push(proxy.stop);
  return proxy;
}

/** A fetch whose names cannot be resolved here, with these settings. */
function fetchWith(environment: Record<string, string>, timeoutMs = 5000, schedule = NODE_NETWORK.schedule) {
  const looked: string[] = [];
  const lookup = async (name: string) => {
    looked.push(name);
    throw Object.assign(new Error(`PLANTED ${name}`), { code: 'ENOTFOUND' });
  };
  const chooseProxy = createProxyChooser(parsed(environment).network);
  const { cert: ca } = certificate;
  const begins: string[] = [];
  const { fetch, close } = createNodeFetch(
    createConnector({ timeoutMs, chooseProxy, tls: { ca } }, { ...NODE_NETWORK, lookup, schedule }),
    (begin) => begins.push(begin),
  );
  closing.push(close);
  const get = async (url: string) =>
    new TextDecoder().decode(await readBody(await fetch(url, { redirect: 'manual' }), 1000));
  return { get, looked, begins };
}

/** What it rejects with, as it would be logged. */
async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown as Error & { noAnswer?: string; cause?: { code?: string } },
  );
  expect(inspect(error, { depth: 9 }) + JSON.stringify(describeError(error))).not.toContain(
    'PLANTEDpassword',
  );
  return { error, code: error?.cause?.code };
}

const CREDENTIALS = 'user:PLANTEDpassword%40';

describe('a call through a proxy', () => {
  it('of https is a tunnel to the host that was signed, whose name is left to the proxy', async () => {
    const seen: string[] = [];
    const target = await listen(
      https.createServer(certificate, (request, response) => {
        seen.push(
          `${request.headers.host} ${(request.socket as unknown as { servername: string }).servername}`,
        );
        response.end('a list');
      }),
    );
    const proxy = await proxyTo({ 'cce.example.test:443': target });
    const { get, looked, begins } = fetchWith({
      https_proxy: `http://${CREDENTIALS}@127.0.0.1:${proxy.port}`,
    });
    expect(await get('https://cce.example.test/v5/imagecaches')).toBe('a list');
    // The connection is free a moment after the answer has been read.
    await new Promise((resolve) => setImmediate(resolve));
    expect(await get('https://cce.example.test/v5/imagecaches')).toBe('a list');
    expect(seen).toEqual(Array(2).fill('cce.example.test cce.example.test'));
    expect(looked).toEqual([]);
    expect(begins).toEqual(['new_session']);
    expect(proxy.others).toEqual([]);
    expect(proxy.tunnels).toMatchObject([
      {
        authority: 'cce.example.test:443',
        headers: {
          host: 'cce.example.test:443',
          'user-agent': 'imagecaches-bff',
          'proxy-authorization': `Basic ${btoa('user:PLANTEDpassword@')}`,
        },
      },
    ]);
  });

  it('of http is a tunnel too, and nobody sees the credentials of the proxy but the proxy', async () => {
    const seen: http.IncomingHttpHeaders[] = [];
    const target = await listen(
      http.createServer((request, response) => {
        seen.push(request.headers);
        response.end('plain');
      }),
    );
    const proxy = await proxyTo({ '[fd00::1]:4318': target });
    const { get } = fetchWith({ HTTP_PROXY: `${CREDENTIALS}@127.0.0.1:${proxy.port}`, NO_PROXY: 'fd00::2' });
    expect(await get('http://[fd00::1]:4318/v1/traces')).toBe('plain');
    expect(seen).toMatchObject([{ host: '[fd00::1]:4318' }]);
    expect(seen[0]).not.toHaveProperty('proxy-authorization');
    expect(proxy.tunnels).toHaveLength(1);
  });

  it('resumes TLS sessions', async () => {
    const target = await listen(
      https.createServer(certificate, (_request, response) => {
        response.setHeader('connection', 'close').end('a list');
      }),
    );
    const proxy = await proxyTo({ 'cce.example.test:8443': target });
    const plain = fetchWith({ HTTPS_PROXY: `127.0.0.1:${proxy.port}` });
    for (let call = 0; call < 3; call += 1) await plain.get('https://cce.example.test:8443/');
    expect(plain.begins).toEqual(['new_session', 'resumed_session', 'resumed_session']);
  });

  it('is direct where NO_PROXY or loopback says so', async () => {
    const target = await listen(http.createServer((_request, response) => response.end('direct')));
    const proxy = await proxyTo({});
    const { get, looked } = fetchWith({
      HTTP_PROXY: `127.0.0.1:${proxy.port}`,
      HTTPS_PROXY: `127.0.0.1:${proxy.port}`,
      NO_PROXY: '.example.test',
    });
    expect(await get(`http://127.0.0.1:${target}/`)).toBe('direct');
    expect((await failureOf(get('https://cce.example.test/'))).code).toBe('ENOTFOUND');
    expect(looked).toEqual(['cce.example.test']);
    expect(proxy.tunnels).toEqual([]);
  });
});

describe('a proxy that does not open the tunnel', () => {
  const HTTP_PROXY_OF = (port: number) => ({ HTTPS_PROXY: `http://${CREDENTIALS}@127.0.0.1:${port}` });
  const URL_OF_CCE = 'https://cce.example.test/';

  it.each([
    ['HTTP/1.1 407 PLANTED\r\nproxy-authenticate: Basic\r\n\r\nPLANTED', 'proxy_authentication_required'],
    ['HTTP/1.1 403 PLANTED\r\n\r\nPLANTED', 'proxy_status_403'],
    ['HTTP/1.1 503 PLANTED\r\n\r\n', 'proxy_status_503'],
    ['HTTP/1.1 301 Moved\r\nlocation: http://PLANTED/\r\n\r\n', 'proxy_status_301'],
    ['HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', 'proxy_status_101'],
    ['SSH-2.0-PLANTED\r\n', 'proxy_no_answer'],
    [`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`, 'proxy_no_answer'],
    ['HTTP/1.1 2', 'proxy_no_answer'],
  ])('but answers %j is told as %s', async (answer, code) => {
    const proxy = await proxyTo({});
    proxy.answer = answer;
    const failure = await failureOf(fetchWith(HTTP_PROXY_OF(proxy.port)).get(URL_OF_CCE));
    expect(failure.code).toBe(code);
    expect(JSON.stringify(describeError(failure.error))).not.toContain('PLANTED');
  });

  it('since it says nothing is told when the connect timeout is over, and its connection is closed', async () => {
    const proxy = await proxyTo({});
    proxy.answer = '';
    const clock = createFakeClock();
    const failure = failureOf(fetchWith(HTTP_PROXY_OF(proxy.port), 2000, clock.schedule).get(URL_OF_CCE));
    while (proxy.tunnels.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(1999);
    let isOver = false;
    void failure.then(() => {
      isOver = true;
    });
    await clock.advance(0);
    expect(isOver).toBe(false);
    await clock.advance(1);
    expect(await failure).toMatchObject({ code: 'proxy_timeout', error: { noAnswer: 'connect_timeout' } });
  });

  it('since it is not there is told, with the cause', async () => {
    const refused = await failureOf(fetchWith(HTTP_PROXY_OF(await freePort())).get(URL_OF_CCE));
    expect(refused).toMatchObject({
      code: 'proxy_unreachable',
      error: { cause: { cause: { code: 'ECONNREFUSED' } } },
    });
    const unknown = await failureOf(fetchWith({ HTTPS_PROXY: `${CREDENTIALS}@none:1` }).get(URL_OF_CCE));
    expect(unknown).toMatchObject({
      code: 'proxy_unreachable',
      error: { cause: { cause: { code: 'ENOTFOUND' } } },
    });
  });

  it('since its certificate is not trusted is told', async () => {
    const proxy = await proxyTo({}, certificate);
    const { code, error } = await failureOf(
      fetchWith({ HTTPS_PROXY: `https://127.0.0.1:${proxy.port}` }).get(URL_OF_CCE),
    );
    expect(code).toBe('proxy_unreachable');
    expect(error).toMatchObject({ cause: { cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' } } });
  });
});

describe('TLS', () => {
  it('that never begins ends with the connect timeout, through a proxy and directly', async () => {
    const accepted: net.Socket[] = [];
    const target = await listen(
      net.createServer((socket) => accepted.push(socket.on('error', () => undefined))),
    );
    const proxy = await proxyTo({ 'cce.example.test:443': target });
    for (const [settings, url] of [
      [{ HTTPS_PROXY: `127.0.0.1:${proxy.port}` }, 'https://cce.example.test/'],
      [{}, `https://127.0.0.1:${target}/`],
    ] as const) {
      const clock = createFakeClock();
      const failure = failureOf(fetchWith(settings, 2000, clock.schedule).get(url));
      while (accepted.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const [socket] = accepted.splice(0) as [net.Socket];
      socket.resume();
      const closed = new Promise((resolve) => socket.once('close', resolve));
      // Past the tunnel, whose timer is the same one.
      await clock.advance(2000);
      expect(await failure).toMatchObject({ error: { noAnswer: 'connect_timeout' } });
      await closed;
    }
  });

  it('with a certificate for another name fails, through a proxy too', async () => {
    const target = await listen(https.createServer(certificate));
    const proxy = await proxyTo({ 'other.example.test:443': target });
    const { get } = fetchWith({ HTTPS_PROXY: `127.0.0.1:${proxy.port}` });
    expect((await failureOf(get('https://other.example.test/'))).code).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });
});
