import { request } from 'node:http';
import { isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { authority } from '../authority.ts';
import type { OutboundProxy, Target } from './choose-proxy.ts';
import type { Network } from './network.ts';
import { openTcp } from './open-tcp.ts';
import { ProxyError } from './proxy-error.ts';

/**
 * Opens a tunnel through a proxy with CONNECT (RFC 9110, section 9.3.6), for https and http alike. The look-up of the
 * target's name is left to the proxy.
 *
 * @param signal ends it
 * @param userAgent sent to the proxy
 * @returns a socket whose other end is the target's
 * @throws ProxyError
 */
export async function openTunnel(
  proxy: OutboundProxy,
  target: Target,
  signal: AbortSignal,
  network: Network,
  userAgent: string,
): Promise<Socket> {
  let opened: Socket | undefined;
  const end = () => opened?.destroy();
  signal.addEventListener('abort', end, { once: true });
  try {
    opened = await openTcp(proxy.hostname, proxy.port, signal, network);
    if (proxy.isTls) opened = await startTls(opened, proxy.hostname);
    return await askForTunnel(opened, proxy, target, userAgent);
  } catch (error) {
    opened?.destroy();
    if (signal.aborted) throw new ProxyError('proxy_timeout');
    throw error instanceof ProxyError ? error : new ProxyError('proxy_unreachable', { cause: error });
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function startTls(socket: Socket, hostname: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const secured = connectTls({
      socket,
      host: hostname,
      ...(isIP(hostname) === 0 && { servername: hostname }),
      ALPNProtocols: ['http/1.1'],
    });
    secured.once('secureConnect', () => resolve(secured));
    secured.on('error', reject);
  });
}

function askForTunnel(
  socket: Socket,
  { authorization }: OutboundProxy,
  { hostname, port }: Target,
  userAgent: string,
): Promise<Socket> {
  const where = authority(hostname, port);
  return new Promise((resolve, reject) => {
    const asked = request({
      method: 'CONNECT',
      path: where,
      headers: {
        host: where,
        'user-agent': userAgent,
        ...(authorization !== undefined && { 'proxy-authorization': authorization }),
      },
      createConnection: () => socket,
    });
    asked.once('connect', ({ statusCode = 0 }, tunnel: Socket, head: Buffer) => {
      if (statusCode < 200 || statusCode > 299) {
        reject(
          new ProxyError(statusCode === 407 ? 'proxy_authentication_required' : `proxy_status_${statusCode}`),
        );
        return;
      }
      if (head.length > 0) tunnel.unshift(head);
      resolve(tunnel);
    });
    asked.on('error', (cause) => reject(new ProxyError('proxy_no_answer', { cause })));
    // An answer that belongs to no CONNECT, such as 101.
    asked.once('response', () => reject(new ProxyError('proxy_no_answer')));
    asked.once('upgrade', () => reject(new ProxyError('proxy_no_answer')));
    asked.end();
  });
}
