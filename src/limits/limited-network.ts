/** Of an IPv6 address so many groups of 16 bits are the network that one subscriber has: /64 (RFC 6177, section 2). */
const NETWORK_GROUPS = 4;
const MAPPED_IPV4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i;

/**
 * What an address is counted under: itself for IPv4, its /64 network for IPv6, since whoever has one address of that has
 * them all. Text that is no address counts as it is.
 */
export function limitedNetwork(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = MAPPED_IPV4.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  // A zone names an interface of this machine, and an IPv4 tail stands for two groups.
  const plain = (address.split('%')[0] as string).toLowerCase().replace(/\d+(?:\.\d+){3}$/, '0:0');
  const [head = '', tail] = plain.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length;
    while (groups.length + after < 8) groups.push('0');
    if (tail !== '') groups.push(...tail.split(':'));
  }
  const network = groups.slice(0, NETWORK_GROUPS).map((group) => group.replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}
