import { describe, expect, it } from 'vitest';
import { createProxyChooser, targetOf } from '../../../../src/runtime/node/platform/outbound/choose-proxy.ts';
import { parsed } from '../../../support/parse-settings.ts';

function chooser(environment: Record<string, string>, directUrls: readonly string[] = []) {
  const choose = createProxyChooser(parsed(environment).network, directUrls);
  return (url: string) => choose(targetOf(new URL(url)));
}

const BOTH = { HTTPS_PROXY: 'secure:1', HTTP_PROXY: 'plain:2' };

describe('the proxy', () => {
  it('is that of the scheme', () => {
    const choose = chooser(BOTH);
    expect(choose('https://cce.example.test')).toEqual({
      setting: 'HTTPS_PROXY',
      isTls: false,
      hostname: 'secure',
      port: 1,
      authorization: undefined,
    });
    expect(choose('http://cce.example.test')).toMatchObject({ setting: 'HTTP_PROXY', hostname: 'plain' });
    expect(chooser({ HTTP_PROXY: 'plain:2' })('https://cce.example.test')).toBeUndefined();
  });

  it.each([
    ['http://proxy', 'proxy', 80],
    ['https://proxy', 'proxy', 443],
    ['http://[fd00::1]:3128', 'fd00::1', 3128],
  ])('%s has a host and a port', (HTTPS_PROXY, hostname, port) => {
    expect(chooser({ HTTPS_PROXY })('https://cce.example.test')).toMatchObject({ hostname, port });
  });

  it('has its user name and password decoded', () => {
    const { authorization } =
      chooser({ HTTPS_PROXY: 'http://us%40er:p%C3%A4%3A%25@proxy' })('https://a.test') ?? {};
    // Of RFC 7617, section 2.1: the text is UTF-8.
    expect(authorization).toBe('Basic dXNAZXI6cMOkOiU=');
    expect(chooser({ HTTPS_PROXY: 'http://user@proxy' })('https://a.test')?.authorization).toBe(
      'Basic dXNlcjo=',
    );
  });
});

describe('a proxy is not used', () => {
  it.each([
    'https://localhost:8443',
    'https://a.localhost',
    'http://127.0.0.1:4318',
    'http://127.9.9.9',
    'http://[::1]:4318',
    'http://[::ffff:127.0.0.1]',
    'http://169.254.169.254/latest',
    'https://169.254.170.23',
    'http://[fe80::1]',
  ])('for %s', (url) => {
    expect(chooser(BOTH)(url)).toBeUndefined();
  });

  it('for what gives this pod its identity, and only for its port', () => {
    const choose = chooser(BOTH, ['https://identity.example.test/v1/credentials']);
    expect(choose('https://identity.example.test/v1/credentials')).toBeUndefined();
    expect(choose('https://identity.example.test:8443/')).toBeDefined();
  });

  it.each<[item: string, direct: string[], proxied: string[]]>([
    ['*', ['https://cce.example.test', 'http://10.0.0.1', 'https://[fd00::1]'], []],
    [
      'example.test',
      ['https://example.test', 'https://CCE.Example.Test.', 'https://a.b.example.test:8443'],
      ['https://notexample.test', 'https://example.test.evil.com'],
    ],
    ['.Example.Test', ['https://example.test', 'https://cce.example.test'], ['https://anexample.test']],
    ['*.example.test', ['https://example.test', 'https://cce.example.test'], ['https://anexample.test']],
    ['.svc.', ['http://otel.monitoring.svc:4318'], ['https://svc.example.test']],
    [
      'example.test:8443',
      ['https://example.test:8443', 'https://a.example.test:8443'],
      ['https://example.test', 'https://example.test:18443'],
    ],
    ['example.test:443', ['https://example.test'], ['http://example.test']],
    [
      '10.0.0.1',
      ['https://10.0.0.1', 'https://[::ffff:10.0.0.1]'],
      ['https://10.0.0.11', 'https://a10.0.0.1.test'],
    ],
    ['10.0.0.1:80', ['http://10.0.0.1'], ['https://10.0.0.1']],
    [
      '10.1.2.3/8',
      ['https://10.255.0.1:8443', 'http://0x0a.1', 'https://[::ffff:10.0.0.1]'],
      ['https://11.0.0.1', 'https://10.example.test'],
    ],
    ['192.168.4.0/23', ['https://192.168.5.255'], ['https://192.168.6.0']],
    ['fd00::/8', ['https://[fd12::1]'], ['https://[fe00::1]', 'https://10.0.0.1']],
    ['fd00::1', ['https://[fd00:0:0::1]'], ['https://[fd00::2]']],
    ['[fd00::1]:443', ['https://[fd00::1]'], ['https://[fd00::1]:8443']],
  ])('with NO_PROXY=%s for %j', (NO_PROXY, direct, proxied) => {
    const choose = chooser({ ...BOTH, NO_PROXY: `other.test,${NO_PROXY}` });
    for (const url of direct) expect(choose(url), url).toBeUndefined();
    for (const url of proxied) expect(choose(url), url).toBeDefined();
  });
});
