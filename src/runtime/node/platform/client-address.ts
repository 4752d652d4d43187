import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';
import { canonicalIp } from '../../../limits/ip-address.ts';
import type { Platform } from '../../../platform/platform.ts';
import { hopsOfForwarded, hopsOfForwardedFor } from './forwarded-hops.ts';

/** A node of RFC 7239, section 6, which proxies write into X-Forwarded-For too: with or without brackets and a port. */
const NODE = /^"?(?:\[([^\]]*)\]|([\d.]+))(?::(?:\d{1,5}|_[A-Za-z0-9._-]+))?"?$/;
/** Bits of an IPv6 address before the IPv4 address that is mapped into it. */
const MAPPED_PREFIX_BITS = 96;

/**
 * Where a request came from, in one spelling for each address. The last element of X-Forwarded-For, or of Forwarded, is
 * believed while the peer that wrote it is a trusted proxy, then the one before it, and so on: whatever a client writes
 * itself stands to the left of its own address. An element that is no address counts as the hop that sent it. Where both
 * headers came and name different clients, one of them was written by the client, and the peer is meant.
 *
 * @param trustedProxies addresses and networks in CIDR form
 */
export function createClientAddress(
  trustedProxies: readonly string[],
): NonNullable<Platform['clientAddress']> {
  const isTrusted = createTrust(trustedProxies);

  function firstUntrusted(peer: string, hops: readonly string[]): string {
    let address = peer;
    for (const hop of hops) {
      if (!isTrusted(address)) break;
      const sender = addressOfNode(hop);
      if (sender === undefined) break;
      address = sender;
    }
    return address;
  }

  return ({ headers }, env) => {
    const { incoming } = env as { incoming?: IncomingMessage };
    const peer = canonicalIp(incoming?.socket.remoteAddress ?? '');
    if (peer === undefined || !isTrusted(peer)) return peer;
    const forwardedFor = headers.get('x-forwarded-for');
    const forwarded = headers.get('forwarded');
    const byForwardedFor = firstUntrusted(peer, hopsOfForwardedFor(forwardedFor ?? ''));
    if (forwarded === null) return byForwardedFor;
    const byForwarded = firstUntrusted(peer, hopsOfForwarded(forwarded));
    if (forwardedFor === null) return byForwarded;
    return byForwarded === byForwardedFor ? byForwarded : peer;
  };
}

function createTrust(proxies: readonly string[]): (address: string) => boolean {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const [text = '', prefix] = proxy.split('/');
    const address = canonicalIp(text) ?? text;
    if (prefix === undefined) trusted.addAddress(address, familyOf(address));
    else {
      const isMapped = isIP(text) === 6 && isIP(address) === 4;
      const bits = Number(prefix) - (isMapped ? MAPPED_PREFIX_BITS : 0);
      if (bits >= 0) trusted.addSubnet(address, bits, familyOf(address));
      else trusted.addSubnet(text, Number(prefix), 'ipv6');
    }
  }
  return (address) => trusted.check(address, familyOf(address));
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return isIP(address) === 6 ? 'ipv6' : 'ipv4';
}

/** The address of a node; undefined for `unknown`, an obfuscated identifier, and anything else that is none. */
function addressOfNode(node: string): string | undefined {
  const [, bracketed, plain] = NODE.exec(node) ?? [];
  return canonicalIp(bracketed ?? plain ?? node.replace(/^"(.*)"$/, '$1'));
}
