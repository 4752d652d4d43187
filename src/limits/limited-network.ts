import { canonicalIp } from './ip-address.ts';

/** Groups of 16 bits of an IPv6 address that name the network of one subscriber: 4, a /64 (RFC 6177, section 2). */
const NETWORK_GROUPS = 4;

/**
 * What an address is counted under: itself for IPv4, in any spelling; its /64 network for IPv6, since a client that has one
 * address of that has them all. Text that is no address counts as it is.
 */
export function limitedNetwork(address: string): string {
  const ip = canonicalIp(address);
  if (ip === undefined) return address;
  if (!ip.includes(':')) return ip;
  const [head = '', tail] = ip.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? [] : tail.split(':');
    while (groups.length + after.length < 8) groups.push('0');
    groups.push(...after);
  }
  return `${groups.slice(0, NETWORK_GROUPS).join(':')}::/64`;
}
