import { describe, expect, it } from 'vitest';
import { faultsOf, parsed } from '../../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../../support/test-service.ts';

const CERT = { TLS_CERT_FILE: '/tls/tls.crt' };
const KEY = { TLS_KEY_FILE: '/tls/tls.key' };
const CLIENT_CA = { TLS_CLIENT_CA_FILE: '/tls/ca.crt' };

describe('TLS', () => {
  it('is off by default', () => {
    expect(parsed().tls).toBeUndefined();
  });

  it('is on with a certificate and its key, and asks for certificates of clients with their authority', () => {
    const files = { certFile: '/tls/tls.crt', keyFile: '/tls/tls.key' };
    expect(parsed({ ...CERT, ...KEY }).tls).toEqual({ ...files, clientCaFile: undefined });
    expect(parsed({ ...CERT, ...KEY, ...CLIENT_CA }).tls).toEqual({ ...files, clientCaFile: '/tls/ca.crt' });
  });

  it.each([
    ['a certificate alone', CERT, 'TLS_KEY_FILE', /^is missing, and TLS_CERT_FILE needs it/],
    ['a key alone', KEY, 'TLS_CERT_FILE', /^is missing, and TLS_KEY_FILE needs it/],
    ['only an authority of clients', CLIENT_CA, 'TLS_CLIENT_CA_FILE', /^is of no use without TLS_CERT_FILE/],
  ])('is a fault with %s', (_what, settings, name, fault) => {
    expect(faultsOf({ ...TEST_ENVIRONMENT, ...settings })).toEqual({ [name]: expect.stringMatching(fault) });
  });
});
