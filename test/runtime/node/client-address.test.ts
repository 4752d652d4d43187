import { describe, expect, it } from 'vitest';
import { createClientAddress } from '../../../src/runtime/node/platform/client-address.ts';

function addressOf(proxies: string[], remoteAddress: string | undefined, forwardedFor?: string) {
  const request = new Request('http://a.test', {
    headers: forwardedFor === undefined ? {} : { 'x-forwarded-for': forwardedFor },
  });
  return createClientAddress(proxies)(request, { incoming: { socket: { remoteAddress } } });
}

describe('the address of a client', () => {
  const PROXIES = ['10.0.0.0/8', '192.0.2.7', 'fd00::/8'];
  it.each([
    ['the peer, where no proxy is trusted', [], '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['the peer, where it is no proxy', PROXIES, '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['what a trusted proxy says', PROXIES, '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['past several of them', PROXIES, '10.1.2.3', '198.51.100.1, 192.0.2.7, 10.9.9.9', '198.51.100.1'],
    ['not what the client wrote itself', PROXIES, '10.1.2.3', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['the last good one before nonsense', PROXIES, '10.1.2.3', '198.51.100.1, x, 10.0.0.5', '10.0.0.5'],
    ['a trusted proxy that says nothing', PROXIES, '10.1.2.3', undefined, '10.1.2.3'],
    ['an IPv4 peer on an IPv6 socket', PROXIES, '::ffff:10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['IPv6 behind IPv6', PROXIES, 'fd00::1', '2001:db8::5', '2001:db8::5'],
    ['nothing where the socket is gone', PROXIES, undefined, '198.51.100.1', undefined],
  ])('is %s', (_what, proxies, peer, forwardedFor, expected) => {
    expect(addressOf(proxies, peer, forwardedFor)).toBe(expected);
  });

  it('is looked for in the last 32 entries, so that a long header costs no time', () => {
    const proxiesOf = (count: number) =>
      Array.from({ length: count }, (_, index) => `10.0.1.${index + 1}`).join(', ');
    expect(addressOf(PROXIES, '10.1.2.3', `198.51.100.1, ${proxiesOf(31)}`)).toBe('198.51.100.1');
    expect(addressOf(PROXIES, '10.1.2.3', `198.51.100.1, ${proxiesOf(32)}`)).toBe('10.0.1.1');
    expect(addressOf(PROXIES, '10.1.2.3', `198.51.100.1, ${proxiesOf(200)}`)).toBe('10.0.1.169');
  });
});
