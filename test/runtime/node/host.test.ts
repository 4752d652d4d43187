import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { parseConfig } from '../../../src/config/config.ts';
import { type RunningService, startService } from '../../../src/runtime/node/server/start-service.ts';
import { signRequest } from '../../../src/signing/sign-request.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { freePort } from '../../support/free-port.ts';
import { exchangeRaw } from '../../support/raw-connection.ts';
import { createRecordingLogger, type RecordingLogger } from '../../support/recording-logger.ts';

const KEY = { accessKeyId: 'LKBILLING0001', secretAccessKey: 'local+secret/0123456789abcdefghijklmnop' };

let simulator: Simulator;
let issuer: TokenIssuer;
let service: RunningService;
let logger: RecordingLogger;
let token: string;

beforeAll(async () => {
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  logger = createRecordingLogger();
  service = await startListeningOn('127.0.0.1');
  token = await issuer.sign();
  // From here on the list is held and the token known: plain requests for it are hits.
  expect(await statusOf('/imagecaches', 'Host: a')).toBe(200);
});
afterAll(async () => {
  await service.stop();
  await Promise.all([simulator.stop(), issuer.stop()]);
});

async function startListeningOn(host: string, metricsPort = 0): Promise<RunningService> {
  const config = parseConfig({
    ...simulator.environment,
    HOST: host,
    PORT: '0',
    METRICS_PORT: String(metricsPort),
    AUTH_ISSUER: issuer.issuer,
    AUTH_AUDIENCE: 'imagecaches',
    SDK_KEYS: JSON.stringify({ keys: [{ ...KEY, subject: 'billing' }] }),
    SHUTDOWN_DELAY_SECONDS: '0',
  });
  const started = await startService(config, logger);
  await started.warmed;
  return started;
}

async function ask(target: string, hostLines: string, more: readonly string[] = []): Promise<string> {
  const lines = [`GET ${target} HTTP/1.1`, hostLines, 'Connection: close', ...more];
  return exchangeRaw(service.port, `${lines.join('\r\n')}\r\n\r\n`);
}

async function statusOf(target: string, hostLines: string): Promise<number> {
  const answer = await ask(target, hostLines, [`Authorization: Bearer ${token}`]);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}

/** A hit, the same list by ways through the app, every room, and what is not found. */
const TARGETS = [
  '/imagecaches',
  '/imagecaches?',
  '/%69magecaches',
  '/imagecaches?name=search-worker-02',
  '/imagecaches/',
  '/v5/imagecaches',
  '/v3/projects?name=cn-north-4',
  '/livez',
  '/docs',
  '/nowhere',
  '//',
];

describe('a Host that is none', () => {
  it.each([
    ['1.2.3.4.5'],
    ['999.1.1.1'],
    ['1.2.3.256:8080'],
    ['a.1'],
    ['a:99999'],
    ['a:65536'],
    ['a:8080:8080'],
    ['a:-1'],
    ['a:b'],
    ['a:'],
    [':8080'],
    [''],
    ['a b'],
    ['a,b'],
    ['a, a'],
    ['user@a'],
    ['user:password@a'],
    ['a/b'],
    ['a?b'],
    ['a#b'],
    ['a\\b'],
    ['http://a'],
    ['a%62'],
    ['a..b'],
    ['.a'],
    ['.'],
    ['\u00e9.test'],
    ['[::1'],
    ['::1'],
    ['[::1::]'],
    ['[1.2.3.4]'],
    ['[fe80::1%eth0]'],
    ['[::1]a'],
    ['a\u0000b'],
    ['a'.repeat(64)],
    [`${'a.'.repeat(200)}a`],
    ['<script>'],
  ])('%j is a 400 on every route and way, and no fault', async (host) => {
    logger.lines.length = 0;
    for (const target of TARGETS) {
      const answer = await ask(target, `Host: ${host}`, [`Authorization: Bearer ${token}`]);
      expect([target, answer.slice(0, 12)]).toEqual([target, 'HTTP/1.1 400']);
      expect(answer).toContain('content-type: application/problem+json');
      expect(answer).toMatch(/\r\nx-request-id: [0-9a-f-]{36}\r\n/);
    }
    const requests = logger.lines.filter(({ message }) => message === 'request');
    expect(requests).toHaveLength(TARGETS.length);
    expect(new Set(requests.map(({ fields }) => fields.code))).toEqual(new Set(['bad_request']));
    expect(logger.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  it('is one of two', async () => {
    for (const hosts of ['Host: a\r\nHost: b', 'Host: a\r\nHost: a'])
      for (const target of TARGETS) expect([target, await statusOf(target, hosts)]).toEqual([target, 400]);
  });

  it('is a 400 with a signature of an SDK too', async () => {
    logger.lines.length = 0;
    for (const [host, status] of [
      ['a.test', 200],
      ['1.2.3.4.5', 400],
      ['999.1.1.1', 400],
      ['a:99999', 400],
    ] as const)
      for (const path of ['/v5/imagecaches', '/v3/projects?name=cn-north-4']) {
        const url = new URL(`http://a.test${path}`);
        const signed = await signRequest({ method: 'GET', url, headers: { host } }, KEY, {
          nowMs: Date.now(),
        });
        const lines = Object.entries({ ...signed.headers, host }).map(([name, value]) => `${name}: ${value}`);
        const head = [`GET ${path} HTTP/1.1`, ...lines, 'Connection: close'].join('\r\n');
        const answer = await exchangeRaw(service.port, `${head}\r\n\r\n`);
        expect([host, path, answer.slice(0, 12)]).toEqual([host, path, `HTTP/1.1 ${status}`]);
      }
    expect(logger.lines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  it('is no target in absolute form either, and neither is a target of another form', async () => {
    for (const target of [
      'http://1.2.3.4.5/livez',
      'http://user:password@a/livez',
      'http://a:99999/livez',
      'http:///livez',
      'http://a\\@b/livez',
      'ftp://a/livez',
      'livez',
      '*',
      '@a/livez',
      '?a',
    ])
      expect([target, await statusOf(target, 'Host: a:65000')]).toEqual([target, 400]);
    expect(await statusOf('http://b.test:8080/livez', 'Host: a')).toBe(200);
  });
});

describe('a Host', () => {
  it.each([
    'a',
    'A.Test',
    'a.test.',
    'my_service',
    'a-b.test:80',
    'a:0',
    'a:65535',
    '127.0.0.1:8080',
    '[::1]',
    '[::1]:80',
    '[::1]:8080',
    '[0:0:0:0:0:0:0:1]:8080',
    '[::ffff:127.0.0.1]',
    'xn--bcher-kva.test',
  ])('such as %s is good on every route and way', async (host) => {
    for (const target of TARGETS.slice(0, 9)) {
      const status = target === '/imagecaches/' ? 404 : 200;
      expect([target, await statusOf(target, `Host: ${host}`)]).toEqual([target, status]);
    }
  });
});

describe('HTTP/1.0 without Host', () => {
  it.each(['127.0.0.1', '0.0.0.0', '::1', '::', '::ffff:127.0.0.1', 'localhost'])(
    'works where HOST is %s',
    async (host) => {
      const listening = await startListeningOn(host);
      try {
        const address = host === '::1' || host === '::' ? '::1' : '127.0.0.1';
        for (const [path, more] of [
          ['/livez', ''],
          ['/imagecaches', `Authorization: Bearer ${token}\r\n`],
          ['/imagecaches?name=search-worker-02', `Authorization: Bearer ${token}\r\n`],
          ['/docs', ''],
          // Empty, as some health checks send it.
          ['/livez', 'Host:\r\n'],
          ['/imagecaches', `Host: \r\nAuthorization: Bearer ${token}\r\n`],
        ]) {
          const answer = await exchangeRaw(listening.port, `GET ${path} HTTP/1.0\r\n${more}\r\n`, address);
          expect([path, answer.slice(0, 12)]).toEqual([path, 'HTTP/1.1 200']);
        }
        const { hostname, port } = new URL(listening.url);
        expect([hostname, port]).toEqual([host.includes(':') ? expect.stringMatching(/^\[/) : host, port]);
      } finally {
        await listening.stop();
      }
    },
  );

  it('is answered to both families where HOST is ::, by the listener of metrics too', async () => {
    const metricsPort = await freePort();
    const listening = await startListeningOn('::', metricsPort);
    try {
      for (const address of ['127.0.0.1', '::1']) {
        expect(await exchangeRaw(listening.port, 'GET /livez HTTP/1.0\r\n\r\n', address)).toContain(' 200 ');
        const metrics = await exchangeRaw(metricsPort, 'GET /metrics HTTP/1.0\r\n\r\n', address);
        expect(metrics).toContain('imagecaches_http_request_duration_seconds');
      }
      expect(logger.lines.find(({ message }) => message === 'metrics')?.fields).toEqual({
        host: '::',
        port: metricsPort,
      });
    } finally {
      await listening.stop();
    }
  });
});
