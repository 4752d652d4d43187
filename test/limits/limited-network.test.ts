import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { limitedNetwork } from '../../src/limits/limited-network.ts';

describe('limitedNetwork', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['::FFFF:C000:0207', '192.0.2.7'],
    ['0:0:0:0:0:ffff:c000:207', '192.0.2.7'],
    ['0:0:0:0:0:FFFF:192.0.2.7', '192.0.2.7'],
    ['192.0.2.07', '192.0.2.07'],
    ['::ffff:0:c000:207', '0:0:0:0::/64'],
    ['2001:db8::1::', '2001:db8::1::'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::6', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['unknown', 'unknown'],
  ])('counts %s under %s', (address, network) => {
    expect(limitedNetwork(address)).toBe(network);
  });

  it('counts every spelling of every address of a network under the same, and of another under another', () => {
    const group = fc.integer({ min: 0, max: 0xffff });
    fc.assert(
      fc.property(
        fc.tuple(group, group, group, group),
        fc.ipV6(),
        fc.tuple(group, group, group, group),
        (network, other, host) => {
          const write = (groups: readonly number[], digits: number) =>
            groups.map((value) => value.toString(16).padStart(digits, '0')).join(':');
          const short = limitedNetwork(`${write(network, 1)}:${write(host, 1)}`);
          expect(limitedNetwork(`${write(network, 4)}:${write(host, 4)}`.toUpperCase())).toBe(short);
          expect(limitedNetwork(`${write(network, 1)}:${write([...host].reverse(), 1)}`)).toBe(short);
          const changed = [...network];
          changed[3] = ((changed[3] as number) + 1) % 0x1_0000;
          expect(limitedNetwork(`${write(changed, 1)}:${write(host, 1)}`)).not.toBe(short);
          expect(limitedNetwork(other)).toMatch(/^(?:[0-9a-f]{1,4}:){3}[0-9a-f]{1,4}::\/64$|^[\d.]+$/);
        },
      ),
    );
  });
});
