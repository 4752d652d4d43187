import { describe, expect, it } from 'vitest';
import { faultsOf, parsed } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

describe('proxies', () => {
  it('are none by default', () => {
    expect(parsed().network).toEqual({ httpsProxy: undefined, httpProxy: undefined, noProxy: [] });
  });

  it.each([
    ['http://proxy.example.test:3128', 'http://proxy.example.test:3128/'],
    ['https://proxy.example.test', 'https://proxy.example.test/'],
    ['proxy.example.test:3128', 'http://proxy.example.test:3128/'],
    ['user:pass@10.0.0.1:3128', 'http://user:pass@10.0.0.1:3128/'],
    ['http://u%40corp:p%25%23@[fd00::1]:8080/', 'http://u%40corp:p%25%23@[fd00::1]:8080/'],
  ])('may be %s', (text, url) => {
    expect(parsed({ HTTPS_PROXY: text }).network.httpsProxy).toEqual({ setting: 'HTTPS_PROXY', url });
    expect(parsed({ HTTP_PROXY: text }).network.httpProxy).toEqual({ setting: 'HTTP_PROXY', url });
  });

  it('in lower case win', () => {
    const { network } = parsed({
      HTTPS_PROXY: 'upper:1',
      https_proxy: 'lower:2',
      HTTP_PROXY: 'upper:3',
      http_proxy: 'lower:4',
      NO_PROXY: 'upper',
      no_proxy: 'lower',
    });
    expect(network).toEqual({
      httpsProxy: { setting: 'https_proxy', url: 'http://lower:2/' },
      httpProxy: { setting: 'http_proxy', url: 'http://lower:4/' },
      noProxy: ['lower'],
    });
  });

  it.each([
    'socks5://proxy:1080',
    'http://PLANTED:p#ss@proxy:3128',
    'http://PLANTED:1#ss@proxy:3128',
    'http://PLANTED:100%@proxy:3128',
    'http://PLANTED%3Ax:y@proxy:3128',
    'http://proxy:3128/PLANTED',
    'http://proxy:3128/?PLANTED',
    'http://proxy:99999',
    'http://',
    '3128',
    '1:3128',
    '256.1.1.1:3128',
  ])('are no %s, which the fault does not quote', (text) => {
    for (const name of ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy']) {
      const faults = faultsOf({ ...TEST_ENVIRONMENT, [name]: text });
      expect(Object.keys(faults)).toEqual([name]);
      expect(faults[name]).toMatch(/^must be a host with a port, or an http or https URL/);
      expect(faults[name]).not.toMatch(/PLANTED|proxy:3128/);
    }
  });
});

describe('NO_PROXY', () => {
  it('is a list, separated by commas or white space', () => {
    const items = [
      ...['*', 'example.test', '.svc', '*.example.test', 'host_1:8443', '10.0.0.1', '10.0.0.1:80'],
      ...['10.1.2.3/8', 'fd00::/8', '::1', '[::1]', '[fd00::1]:443'],
    ];
    expect(parsed({ NO_PROXY: items.join(', ') }).network.noProxy).toEqual(items);
    expect(parsed({ no_proxy: ` ${items.join(' ')},` }).network.noProxy).toEqual(items);
  });

  it.each(['10.0.0.0/33', 'http://host', 'a*.test', '[10.0.0.1]', '<local>', 'fd00::/129', 'host:'])(
    'has no item %s',
    (item) => {
      expect(faultsOf({ ...TEST_ENVIRONMENT, NO_PROXY: `good.test,${item}` })).toEqual({
        NO_PROXY: expect.stringMatching(/^must be names, addresses or networks in CIDR form/),
      });
    },
  );
});
