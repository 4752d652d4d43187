import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import http, { type IncomingHttpHeaders } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';

export interface Certificate {
  readonly file: string;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A certificate that signs itself, for these names and 127.0.0.1. */
export function makeCertificate(folder: string, names: readonly string[]): Certificate {
  const alternatives = [...names.map((name) => `DNS:${name}`), 'IP:127.0.0.1'].join(',');
  const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
  const kind = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test'.split(' ');
  const subject = ['-addext', `subjectAltName=${alternatives}`, '-keyout', keyFile, '-out', certFile];
  execFileSync('openssl', ['req', ...kind, ...subject], { stdio: 'ignore' });
  return { file: certFile, cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

export interface SeenTunnel {
  readonly authority: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

export interface TestProxy {
  readonly port: number;
  readonly tunnels: readonly SeenTunnel[];
  /** Requests that are no CONNECT. */
  readonly others: readonly string[];
  /** Sent in place of a tunnel; undefined: the tunnel is opened; empty: nothing is sent. */
  answer: string | undefined;
  stop(): Promise<void>;
}

/**
 * A proxy that knows no names: every tunnel leads to the port on loopback that is given for its authority.
 *
 * @param tls its own certificate; undefined: it is spoken to without TLS
 */
export async function startTestProxy(
  ports: Readonly<Record<string, number>>,
  tls?: Pick<Certificate, 'cert' | 'key'>,
): Promise<TestProxy> {
  const tunnels: SeenTunnel[] = [];
  const others: string[] = [];
  const sockets = new Set<Socket>();
  const server = tls === undefined ? http.createServer() : https.createServer(tls);
  server.on('request', (request, response) => {
    others.push(`${request.method} ${request.url}`);
    response.writeHead(400).end();
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.on('connect', (request, client) => {
    tunnels.push({ authority: request.url, headers: request.headers });
    client.on('error', () => undefined);
    const port = ports[request.url ?? ''];
    if (proxy.answer !== undefined || port === undefined) {
      const text = proxy.answer ?? 'HTTP/1.1 502 Bad Gateway\r\n\r\n';
      if (text !== '') client.end(text);
      return;
    }
    const onward = net.connect(port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(client).pipe(onward);
    });
    onward.on('error', () => client.destroy());
    client.on('close', () => onward.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: TestProxy = {
    port: (server.address() as AddressInfo).port,
    tunnels,
    others,
    answer: undefined,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
