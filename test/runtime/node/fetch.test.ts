import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';

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
const SCRIPT = `
  import { createNodeFetch } from ${JSON.stringify(fileURLToPath(new URL('../../../src/runtime/node/fetch.ts', import.meta.url)))};
  const opened = [];
  const { fetch, close } = createNodeFetch(5000, (begin) => opened.push(begin));
  for (let call = 0; call < 3; call += 1) {
    await (await fetch(process.argv[1], {})).text();
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
