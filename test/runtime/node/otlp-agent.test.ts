import { mkdtempSync, rmSync } from 'node:fs';
import http, { type RequestListener } from 'node:http';
import https from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { createConnector } from '../../../src/runtime/node/platform/outbound/connector.ts';
import { createOtlpAgent } from '../../../src/runtime/node/telemetry/otlp-agent.ts';
import { createRecordingLogger } from '../../support/recording-logger.ts';
import { makeCertificate } from './outbound/test-proxy.ts';

const folder = mkdtempSync(join(tmpdir(), 'otlp-agent-'));
const certificate = makeCertificate(folder, []);
const outbound = {
  chooseProxy: () => undefined,
  connectTimeoutMs: 2000,
  connect: createConnector({ timeoutMs: 2000 }),
};
const closing: (() => void)[] = [];

afterEach(() => {
  vi.useRealTimers();
  for (const close of closing.splice(0)) close();
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Collector {
  /** Resolves with the status. */
  export(): Promise<number>;
  /** Connections so far. */
  connections(): number;
  /** Resolves when no connection is open. */
  quiet(): Promise<void>;
}

async function startCollector(protocol: 'http:' | 'https:', answer: RequestListener): Promise<Collector> {
  const isTls = protocol === 'https:';
  const web = isTls ? https.createServer(certificate, answer) : http.createServer(answer);
  web.keepAliveTimeout = 0;
  let connections = 0;
  const server: Server = web.on('connection', () => {
    connections += 1;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const environment = { OTEL_EXPORTER_OTLP_CERTIFICATE: certificate.file };
  const agent = createOtlpAgent(protocol, outbound, environment, createRecordingLogger());
  closing.push(() => {
    agent.destroy();
    web.closeAllConnections();
    web.close();
  });
  const { port } = server.address() as AddressInfo;
  return {
    connections: () => connections,
    quiet: async () => {
      const open = () =>
        new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count)));
      while ((await open()) > 0) await new Promise((resolve) => setImmediate(resolve));
    },
    export: () =>
      new Promise((resolve, reject) => {
        const request = (isTls ? https : http).request({ agent, host: '127.0.0.1', port, method: 'POST' });
        request.on('response', (response) => {
          // As soon as the connection is free.
          response.resume().on('close', () => setImmediate(() => resolve(response.statusCode ?? 0)));
        });
        request.on('error', reject).end('{}');
      }),
  };
}

/** Answers with each of these in turn, and with the last one from then on. */
function answering(...statuses: number[]): RequestListener {
  return (request, response) => {
    request.resume();
    const status = statuses.length > 1 ? statuses.shift() : statuses[0];
    if (status === undefined) request.socket.destroy();
    else response.writeHead(status).end('{}');
  };
}

describe.each(['http:', 'https:'] as const)('a connection to a collector by %s', (protocol) => {
  it('is kept after each answer but a 5xx', async () => {
    const collector = await startCollector(protocol, answering(200, 400, 429, 200, 503, 200, 500, 200));
    const seen = [];
    for (let count = 0; count < 8; count += 1) seen.push([await collector.export(), collector.connections()]);
    expect(seen).toEqual([
      [200, 1],
      [400, 1],
      [429, 1],
      [200, 1],
      [503, 1],
      [200, 2],
      [500, 2],
      [200, 3],
    ]);
  });

  it('is not used after a 5xx on another one, or when another one was cut', async () => {
    const held: (() => void)[] = [];
    let answer: RequestListener = answering(200);
    const collector = await startCollector(protocol, (request, response) => answer(request, response));
    const openTwo = async () => {
      answer = (_request, response) => {
        held.push(() => response.end('{}'));
        if (held.length === 2) for (const release of held.splice(0)) release();
      };
      expect(await Promise.all([collector.export(), collector.export()])).toEqual([200, 200]);
    };
    await openTwo();
    expect(collector.connections()).toBe(2);
    answer = answering(502);
    expect(await collector.export()).toBe(502);
    await openTwo();
    expect(collector.connections()).toBe(4);
    answer = (request) => request.socket.destroy();
    await expect(collector.export()).rejects.toThrow();
    await openTwo();
    expect(collector.connections()).toBe(6);
  });

  it('ends when it was idle for 30 seconds, and takes no export when it is 5 minutes old', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    let beforeAnswer = () => {};
    const collector = await startCollector(protocol, (_request, response) => {
      beforeAnswer();
      response.end('{}');
    });
    await collector.export();
    vi.advanceTimersByTime(29_999);
    await collector.export();
    expect(collector.connections()).toBe(1);
    vi.advanceTimersByTime(30_000);
    await collector.quiet();

    await collector.export();
    for (let seconds = 25; seconds < 300; seconds += 25) {
      vi.advanceTimersByTime(25_000);
      await collector.export();
    }
    expect(collector.connections()).toBe(2);
    vi.advanceTimersByTime(25_000);
    await collector.quiet();
    beforeAnswer = () => vi.advanceTimersByTime(300_000);
    await collector.export();
    expect(collector.connections()).toBe(3);
    await collector.export();
    expect(collector.connections()).toBe(4);
  });
});
