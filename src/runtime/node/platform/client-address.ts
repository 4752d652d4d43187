import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import type { Platform } from '../../../platform/platform.ts';

/** Of a long X-Forwarded-For so many entries are looked at, from the right. */
const MAX_HOPS = 32;

/**
 * Where a request came from. The last entry of X-Forwarded-For is believed while the peer that wrote it is a trusted
 * proxy, then the one before it, and so on: whatever a client writes itself stands to the left of its own address.
 *
 * @param trustedProxies addresses and networks in CIDR form
 */
export function createClientAddress(
  trustedProxies: readonly string[],
): NonNullable<Platform['clientAddress']> {
  const trusted = new BlockList();
  for (const proxy of trustedProxies) {
    const [address = '', prefix] = proxy.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    if (prefix === undefined) trusted.addAddress(address, family);
    else trusted.addSubnet(address, Number(prefix), family);
  }
  const isTrusted = (address: string) => trusted.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');

  return (request, env) => {
    const { incoming } = env as { incoming?: IncomingMessage };
    let address = withoutMapping(incoming?.socket.remoteAddress ?? '');
    if (isIP(address) === 0) return undefined;
    const hops = (request.headers.get('x-forwarded-for') ?? '').split(',').slice(-MAX_HOPS);
    while (isTrusted(address)) {
      const hop = withoutMapping(hops.pop()?.trim() ?? '');
      if (isIP(hop) === 0) break;
      address = hop;
    }
    return address;
  };
}

/** An IPv4 client of a socket that listens on both families (RFC 4291, section 2.5.5.2). */
function withoutMapping(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}
