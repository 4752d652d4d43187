import { createServer, type Server } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { vendorEntry } from '../../support/test-service.ts';
import { bundleWorker } from './bundle-worker.ts';
import { type RunningWorkerd, startWorkerd } from './start-workerd.ts';

/** Bodies of upstream by their framing: at most 8 MiB of one are read. */
const MAX_BYTES = 8 * 1024 * 1024;

let bundle: Awaited<ReturnType<typeof bundleWorker>>;
let simulator: Simulator;
let issuer: TokenIssuer;
let upstream: Server;
/** What upstream writes, head included, before it closes the connection. */
let written: Buffer;
let worker: RunningWorkerd;
let upstreamUrl: string;

beforeAll(async () => {
  bundle = await bundleWorker();
  simulator = await startSimulator();
  issuer = await startTokenIssuer();
  upstream = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(written));
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  upstreamUrl = `http://127.0.0.1:${(upstream.address() as { port: number }).port}`;
});
afterEach(() => worker.stop());
afterAll(async () => {
  upstream.close();
  await Promise.all([simulator.stop(), issuer.stop()]);
});

const LIST = JSON.stringify({ image_caches: [vendorEntry()] });
/** The same list with spaces behind it, which JSON allows, over the bound. */
const LONG_LIST = LIST.padEnd(MAX_BYTES + 1);

function answer(headers: readonly string[], body: string | Buffer): Buffer {
  const head = ['HTTP/1.1 200 OK', 'content-type: application/json', 'connection: close', ...headers, '', ''];
  return Buffer.concat([Buffer.from(head.join('\r\n')), Buffer.from(body)]);
}
const chunked = (body: string) => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`;
const length = (body: string | Buffer) => `content-length: ${Buffer.byteLength(body)}`;
const CHUNKED = 'transfer-encoding: chunked';
const GZIP = 'content-encoding: gzip';

describe('a body of upstream', () => {
  it.each<[what: string, answer: Buffer, status: number, reason?: string]>([
    ['with its length', answer([length(LIST)], LIST), 200],
    ['of the largest length', answer([`content-length: ${MAX_BYTES}`], LIST.padEnd(MAX_BYTES)), 200],
    ['without a length', answer([], LIST), 200],
    ['in chunks', answer([CHUNKED], chunked(LIST)), 200],
    ['in a coding', answer([GZIP, length(gzipSync(LIST))], gzipSync(LIST)), 200],
    ['that says it is too long', answer([length(LONG_LIST)], LONG_LIST), 502, 'body_too_large'],
    ['that is too long, without a length', answer([], LONG_LIST), 502, 'body_too_large'],
    ['that is too long, in chunks', answer([CHUNKED], chunked(LONG_LIST)), 502, 'body_too_large'],
    [
      'that is too long when it is decoded',
      answer([GZIP, length(gzipSync(LONG_LIST))], gzipSync(LONG_LIST)),
      502,
      'body_too_large',
    ],
    [
      'in chunks with a length that lies',
      answer(['content-length: 10', CHUNKED], chunked(LONG_LIST)),
      502,
      'body_too_large',
    ],
    ['that ends early', answer([`content-length: ${LIST.length + 1}`], LIST), 502, 'truncated'],
    ['that goes on', answer([length(LIST)], `${LIST}${LIST}`), 200],
    ['whose length is no number', answer(['content-length: x'], LIST), 502, 'connection'],
  ])('%s', async (_what, bytes, status, reason) => {
    written = bytes;
    const bindings = {
      ...simulator.environment,
      CCE_ENDPOINT: upstreamUrl,
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
    };
    worker = await startWorkerd(bundle.script, bindings, bundle.compatibilityDate);
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const response = await fetch(`${worker.url}/imagecaches`, { headers });
    const { image_caches: found } = (await response.json()) as { image_caches?: unknown[] };
    expect([response.status, found?.length]).toEqual([status, status === 200 ? 1 : undefined]);
    if (reason !== undefined) expect(worker.output()).toContain(`"reason":"${reason}"`);
  });
});
