const IPV4 = /^(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|$)){4}$/;
const LEADING_ZERO = /(?:^|\.)0\d/;
const IPV6_CHARACTERS = /^[0-9a-f:.]{2,45}$/i;
/** As the URL standard writes an IPv4-mapped address. */
const MAPPED_IPV4 = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

/**
 * The one spelling of an IP address: IPv4 in dotted decimal, IPv6 in the form of RFC 5952, and an IPv4-mapped address
 * (RFC 4291, section 2.5.5.2) as the IPv4 address that it is. A zone is left out: it names an interface, not a host.
 *
 * @returns undefined for text that is no IP address
 */
export function canonicalIp(text: string): string | undefined {
  if (IPV4.test(text) && !LEADING_ZERO.test(text)) return text;
  const [address = ''] = text.split('%');
  if (!address.includes(':') || !IPV6_CHARACTERS.test(address)) return undefined;
  if (!URL.canParse(`http://[${address}]`)) return undefined;
  const { hostname } = new URL(`http://[${address}]`);
  const [, high, low] = MAPPED_IPV4.exec(hostname) ?? [];
  if (high === undefined || low === undefined) return hostname.slice(1, -1);
  const bits = Number.parseInt(high, 16) * 0x1_0000 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 0xff).join('.');
}
