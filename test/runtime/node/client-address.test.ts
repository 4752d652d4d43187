import { describe, expect, it } from 'vitest';
import { createClientAddress } from '../../../src/runtime/node/platform/client-address.ts';

function addressOf(
  proxies: string[],
  remoteAddress: string | undefined,
  forwardedFor?: string,
  forwarded?: string,
) {
  const request = new Request('http://a.test', {
    headers: {
      ...(forwardedFor !== undefined && { 'x-forwarded-for': forwardedFor }),
      ...(forwarded !== undefined && { forwarded }),
    },
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

  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['203.0.113.9:1234', '203.0.113.9'],
    ['"203.0.113.9:1234"', '203.0.113.9'],
    ['[2001:db8::1]:1234', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['"[2001:db8::1]"', '2001:db8::1'],
    ['"2001:db8::1"', '2001:db8::1'],
    ['2001:0DB8:0:0:0:0:0:0001', '2001:db8::1'],
    ['2001:db8::1%eth0', '2001:db8::1'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::ffff:cb00:7109', '203.0.113.9'],
    ['::FFFF:CB00:7109', '203.0.113.9'],
    ['0:0:0:0:0:ffff:cb00:7109', '203.0.113.9'],
    ['0000:0000:0000:0000:0000:ffff:203.0.113.9', '203.0.113.9'],
    ['[::ffff:cb00:7109]:80', '203.0.113.9'],
    ['203.0.113.9:_hidden', '203.0.113.9'],
    // No address: the hop that sent it.
    ['unknown', '10.1.2.3'],
    ['_hidden', '10.1.2.3'],
    ['203.0.113.9.', '10.1.2.3'],
    ['203.0.113.256', '10.1.2.3'],
    ['203.0.113.09', '10.1.2.3'],
    ['0x7f.1', '10.1.2.3'],
    ['[203.0.113.9', '10.1.2.3'],
    ['2001:db8::1::', '10.1.2.3'],
    ['a.test', '10.1.2.3'],
  ])('is that of the element %s in either header', (element, expected) => {
    expect(addressOf(PROXIES, '10.1.2.3', element)).toBe(expected);
    expect(addressOf(PROXIES, '10.1.2.3', `198.51.100.1, ${element}`)).toBe(expected);
    const quoted = element.startsWith('"') ? element : `"${element}"`;
    for (const value of [element, quoted])
      expect(addressOf(PROXIES, '10.1.2.3', undefined, `for=${value}`)).toBe(expected);
  });

  it.each([
    ['for=203.0.113.9', '203.0.113.9'],
    ['For="[2001:db8:cafe::17]:4711"', '2001:db8:cafe::17'],
    ['for=203.0.113.9;proto=http;by=203.0.113.43', '203.0.113.9'],
    ['by="[fd00::7]:1";proto=http; for=203.0.113.9', '203.0.113.9'],
    ['for=198.51.100.1, for=203.0.113.9, for="10.9.9.9:80"', '203.0.113.9'],
    ['for="20\\3.0.113.9"', '203.0.113.9'],
    ['for=203.0.113.9;host="a,b;for=198.51.100.1"', '203.0.113.9'],
    ['host="a;for=198.51.100.1";for=203.0.113.9', '203.0.113.9'],
    // What a client began does not reach into what the proxy wrote.
    ['for="198.51.100.1, for=203.0.113.9', '203.0.113.9'],
    ['for=198.51.100.1;x=", for="[2001:db8::1]:80"', '2001:db8::1'],
    ['for=198.51.100.1;x="\\, for="[2001:db8::1]:80";by="[fd00::7]"', '2001:db8::1'],
    ['proto=https', '10.1.2.3'],
    ['xfor=203.0.113.9', '10.1.2.3'],
    ['for=203.0.113.9, for=_hidden', '10.1.2.3'],
    ['for=203.0.113.9, nonsense', '10.1.2.3'],
    ['203.0.113.9', '10.1.2.3'],
    ['', '10.1.2.3'],
  ])('is read from Forwarded: %s', (forwarded, expected) => {
    expect(addressOf(PROXIES, '10.1.2.3', undefined, forwarded)).toBe(expected);
    expect(addressOf(PROXIES, '203.0.113.7', undefined, forwarded)).toBe('203.0.113.7');
  });

  it('is the proxy where two headers name two clients: one of them was written by the client', () => {
    expect(addressOf(PROXIES, '10.1.2.3', '203.0.113.9', 'for=198.51.100.1')).toBe('10.1.2.3');
    expect(addressOf(PROXIES, '10.1.2.3', '203.0.113.9', 'for="203.0.113.9:80"')).toBe('203.0.113.9');
    expect(addressOf(PROXIES, '10.1.2.3', '203.0.113.9, 10.0.0.9', 'for=203.0.113.9')).toBe('203.0.113.9');
  });

  it('is past proxies that are listed in any spelling', () => {
    for (const proxy of ['::ffff:10.1.2.3', '::ffff:a01:203', '::ffff:10.0.0.0/104', '10.1.2.3'])
      for (const peer of ['10.1.2.3', '::ffff:10.1.2.3'])
        expect([proxy, addressOf([proxy], peer, '203.0.113.9')]).toEqual([proxy, '203.0.113.9']);
    expect(addressOf(['::ffff:10.0.0.0/104'], '11.1.2.3', '203.0.113.9')).toBe('11.1.2.3');
    expect(addressOf(['::/0'], '2001:db8::7', '203.0.113.9')).toBe('203.0.113.9');
  });

  it('without empty elements, which are none', () => {
    expect(addressOf(PROXIES, '10.1.2.3', '203.0.113.9, , ')).toBe('203.0.113.9');
    expect(addressOf(PROXIES, '10.1.2.3', undefined, 'for=203.0.113.9, ,')).toBe('203.0.113.9');
  });
});
