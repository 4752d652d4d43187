import { request } from 'node:https';
import { connect } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { readTlsMaterial } from '../../../../src/runtime/node/tls/tls-material.ts';
import { answersOf, LIVE, startHttpService } from '../../../support/http-service.ts';
import { connectRaw, exchangeRaw } from '../../../support/raw-connection.ts';
import { createCertificate, type TestCertificate } from '../../../support/test-certificates.ts';
import { REFUSALS } from '../refused-requests.ts';

const certificate = createCertificate();
const clients = createCertificate('clients');
const billing = createCertificate('billing', clients);
const stranger = createCertificate('stranger');

const HOST = '127.0.0.1';
const trust = { ca: certificate.cert };
const tls = readTlsMaterial({ ...certificate, clientCa: undefined });
const CLOSE = `${LIVE}Connection: close\r\n\r\n`;

const startTls = (options: Parameters<typeof startHttpService>[0] = {}) =>
  startHttpService({ tls, ...options });

describe('the port for callers, with TLS', () => {
  it.each(['TLSv1.2', 'TLSv1.3'] as const)('answers by %s', async (version) => {
    const { port } = await startTls();
    const connection = connectRaw(port, HOST, { ...trust, minVersion: version, maxVersion: version });
    connection.send(CLOSE);
    expect(answersOf(await connection.closed)).toMatchObject([{ status: 200, close: true }]);
  });

  it('does not speak TLS 1.1', async () => {
    const { port } = await startTls();
    const socket = connect({
      ...{ port, host: HOST, ...trust },
      ...{ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' },
    });
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(code));
    socket.on('secureConnect', () => resolve('secure'));
    expect(await promise).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION');
    socket.destroy();
  });

  it('answers a miss, a hit and what follows them as without TLS, in order', async () => {
    const bytesOf = async (options: Parameters<typeof startHttpService>[0], secure?: typeof trust) => {
      const { port, miss, answer, service } = await startHttpService(options);
      answer();
      const texts: string[] = [];
      const hit = `${miss}X-Request-Id: my-id\r\n\r\n`;
      texts.push(await exchangeRaw(port, `${hit}${hit}${hit}${CLOSE}`, HOST, secure));
      expect(service.calls).toHaveLength(1);
      return texts.join('').replaceAll(/^(?:date|x-request-id): .*\r\n/gim, '');
    };
    const secure = await bytesOf({ tls }, trust);
    expect(answersOf(secure).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(secure).toMatch(/^cache-status: .*hit/im);
    expect(secure).toBe(await bytesOf({}));
  });

  it.each(REFUSALS)('refuses as without TLS: %s', async (_what, bytes, status, code, method) => {
    const { port, counted } = await startTls();
    const [answer, ...others] = answersOf(await exchangeRaw(port, bytes, HOST, trust));
    expect(others).toEqual([]);
    expect(answer).toMatchObject({ status, close: true });
    expect(JSON.parse(answer?.body ?? '')).toMatchObject({ status, code });
    expect(counted).toEqual([{ route: 'unmatched', status, method }]);
  });

  it.each(['a', 'a:443', 'a:8443', 'localhost:80', '[::1]', '[::1]:443', '127.0.0.1'])(
    'takes the host %s, on both ways',
    async (host) => {
      const { port, miss, answer } = await startTls();
      answer();
      const good = `${miss.replace('Host: a', `Host: ${host}`)}\r\n`;
      const close = CLOSE.replace('Host: a', `Host: ${host}`);
      const text = await exchangeRaw(port, `${good}${good}${close}`, HOST, trust);
      expect(answersOf(text).map(({ status }) => status)).toEqual([200, 200, 200]);
    },
  );

  it('closes what speaks HTTP without TLS, without an answer, a count or a line that is an error', async () => {
    const { port, counted, service } = await startTls();
    expect(await exchangeRaw(port, CLOSE)).not.toContain('HTTP');
    expect(await exchangeRaw(port, CLOSE, HOST, trust)).toContain(' 200 ');
    expect(counted).toEqual([{ route: '/livez', method: 'GET', status: 200 }]);
    expect(service.logger.lines.filter(({ level }) => level === 'error' || level === 'warn')).toEqual([]);
  });

  it('closes a handshake that does not end, and refuses headers that do not come', async () => {
    const impatient = await startTls({ times: { handshakeTimeout: 50 } });
    expect(await connectRaw(impatient.port).closed).toBe('');
    expect(impatient.counted).toEqual([]);
    const { port } = await startTls({ times: { headersTimeout: 50, connectionsCheckingInterval: 10 } });
    expect(answersOf(await connectRaw(port, HOST, trust).closed)).toMatchObject([
      { status: 408, close: true },
    ]);
  });

  it('needs no certificate of clients, and asks for none', async () => {
    const { port } = await startTls();
    expect(await exchangeRaw(port, CLOSE, HOST, { ...trust, ...stranger })).toContain(' 200 ');
  });
});

describe('certificates of clients', () => {
  const withClients = readTlsMaterial({ ...certificate, clientCa: clients.cert });

  async function statusOf(port: number, own: Partial<TestCertificate>, maxVersion: 'TLSv1.2' | 'TLSv1.3') {
    const { promise, resolve } = Promise.withResolvers<number | string>();
    const sent = request({ port, host: HOST, path: '/livez', agent: false, ...trust, ...own, maxVersion });
    sent.on('response', (response) => resolve(response.resume().statusCode ?? 0));
    sent.on('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(code));
    sent.end();
    return promise;
  }

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'are needed, and have to be of the authority: %s',
    async (version) => {
      const { port, counted } = await startTls({ tls: withClients });
      expect(await statusOf(port, billing, version)).toBe(200);
      expect(counted).toHaveLength(1);
      for (const own of [{}, stranger, createCertificate('billing', createCertificate('clients'))])
        expect(await statusOf(port, own, version)).toMatch(
          /^(?:ECONNRESET|EPROTO|ERR_SSL_\w*CERTIFICATE\w*)$/,
        );
      expect(counted).toHaveLength(1);
    },
  );

  it('say nothing of who calls: a token is needed all the same', async () => {
    const { port } = await startTls({ tls: withClients });
    const list = CLOSE.replace('/livez', '/imagecaches');
    expect(await exchangeRaw(port, list, HOST, { ...trust, ...billing })).toContain(' 401 ');
  });
});
