import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface TlsFront {
  /** The certificate that a client has to trust. */
  readonly certificateFile: string;
  /** An https URL that leads to this http URL. */
  readonly urlFor: (url: string) => Promise<string>;
  /** Ends every connection, as a gateway does with idle ones. */
  readonly closeConnections: () => void;
  readonly stop: () => Promise<void>;
}

/** What ends TLS in front of a server, as a load balancer does; the Host header goes through as it came. */
export async function createTlsFront(folder: string): Promise<TlsFront> {
  const certificateFile = join(folder, 'certificate.pem');
  const keyFile = join(folder, 'key.pem');
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '1'];
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  await promisify(execFile)('openssl', [
    'req',
    ...kind,
    ...subject,
    '-keyout',
    keyFile,
    '-out',
    certificateFile,
  ]);
  const [cert, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
  const fronts = new Map<string, { readonly server: Server; readonly url: string }>();

  async function open(target: string): Promise<string> {
    const { hostname, port } = new URL(target);
    const server = createServer({ cert, key }, (incoming, outgoing) => {
      const { method, url, headers } = incoming;
      const passed = request({ hostname, port, method, path: url, headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      passed.on('error', () => outgoing.destroy());
      incoming.pipe(passed);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    fronts.set(target, { server, url });
    return url;
  }

  return {
    certificateFile,
    urlFor: async (url) => fronts.get(url)?.url ?? (await open(url)),
    closeConnections: () => {
      for (const { server } of fronts.values()) server.closeAllConnections();
    },
    stop: async () => {
      for (const { server } of fronts.values()) {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      }
    },
  };
}
