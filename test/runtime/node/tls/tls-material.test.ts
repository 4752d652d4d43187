import { createPrivateKey } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  readTlsMaterial,
  TlsFileError,
  type TlsTexts,
  warningOf,
} from '../../../../src/runtime/node/tls/tls-material.ts';
import { createCertificate, createExpiredCertificate } from '../../../support/test-certificates.ts';

const authority = createCertificate('authority');
const first = createCertificate('first', authority);
const other = createCertificate('other');
const expired = createExpiredCertificate();

const encryptedKey = createPrivateKey(first.key).export({
  type: 'pkcs8',
  format: 'pem',
  cipher: 'aes-256-cbc',
  passphrase: 'PLANTED',
}) as string;
/** It has the form of a certificate, and is none. */
const CORRUPT = '-----BEGIN CERTIFICATE-----\nMIIBfDCCASagAwIBAgIUY5Ldww==\n-----END CERTIFICATE-----\n';
/** OpenSSL refuses keys of this length at its usual level of security. */
const short = createCertificate('short', undefined, ['-newkey', 'rsa:512']);

function faultOf(texts: Partial<TlsTexts>): TlsFileError {
  try {
    readTlsMaterial({ ...first, clientCa: undefined, ...texts });
  } catch (error) {
    if (error instanceof TlsFileError) return error;
    throw error;
  }
  throw new Error('it was taken');
}

describe('what the files of TLS hold', () => {
  it('is taken where the key is that of the certificate, with and without a chain and authorities of clients', () => {
    expect(readTlsMaterial({ ...first, clientCa: undefined }).context).toEqual({
      ...first,
      minVersion: 'TLSv1.2',
    });
    const chain = `${first.cert}\n${authority.cert}`;
    const both = `${authority.cert}${other.cert}`;
    const { certificate, context } = readTlsMaterial({ cert: chain, key: first.key, clientCa: both });
    expect(certificate.subject).toBe('CN=first');
    expect(context.ca).toBe(both);
  });

  it.each<[string, Partial<TlsTexts>, string, string, RegExp]>([
    ['nothing', { cert: '' }, 'TLS_CERT_FILE', 'not_a_certificate', /^holds no certificate in PEM$/],
    ['a key as certificate', { cert: first.key }, 'TLS_CERT_FILE', 'not_a_certificate', /no certificate/],
    [
      'half a certificate',
      { cert: first.cert.slice(0, 300) },
      'TLS_CERT_FILE',
      'not_a_certificate',
      /cut off/,
    ],
    ['a corrupt one', { cert: CORRUPT }, 'TLS_CERT_FILE', 'not_a_certificate', /corrupt/],
    [
      'a chain that is cut off',
      { cert: first.cert + authority.cert.slice(0, 300) },
      'TLS_CERT_FILE',
      'not_a_certificate',
      /cut off/,
    ],
    [
      'a certificate as key',
      { key: first.cert },
      'TLS_KEY_FILE',
      'not_a_key',
      /^holds no private key in PEM$/,
    ],
    ['half a key', { key: first.key.slice(0, 100) }, 'TLS_KEY_FILE', 'not_a_key', /no private key/],
    ['a key with a passphrase', { key: encryptedKey }, 'TLS_KEY_FILE', 'not_a_key', /passphrase/],
    ['another key', { key: other.key }, 'TLS_KEY_FILE', 'key_mismatch', /another certificate/],
    ['no authority', { clientCa: '' }, 'TLS_CLIENT_CA_FILE', 'not_a_certificate', /no certificate/],
    [
      'authorities of which one is cut off',
      { clientCa: authority.cert + other.cert.slice(0, 300) },
      'TLS_CLIENT_CA_FILE',
      'not_a_certificate',
      /cut off/,
    ],
  ])('is refused by the name of its setting: %s', (_what, texts, setting, code, fault) => {
    const error = faultOf(texts);
    expect([error.setting, error.code]).toEqual([setting, code]);
    expect(error.fault).toMatch(fault);
    expect(error.message).not.toMatch(/PRIVATE|BEGIN|PLANTED|MII/);
  });

  it('is refused where OpenSSL does not use it', () => {
    const error = faultOf(short);
    expect([error.setting, error.code]).toEqual(['TLS_CERT_FILE', 'not_usable']);
    expect(error.fault).toMatch(/\(ERR_SSL_EE_KEY_TOO_SMALL\)$/);
  });

  it('brings a warning where the certificate has expired, or has not begun', () => {
    const nowMs = Date.now();
    expect(warningOf(readTlsMaterial({ ...expired, clientCa: undefined }), nowMs)).toBe(
      'holds a certificate that expired at 2024-01-02T00:00:00Z',
    );
    const material = readTlsMaterial({ ...first, clientCa: undefined });
    expect(warningOf(material, nowMs)).toBeUndefined();
    expect(warningOf(material, nowMs - 86_400_000)).toMatch(/^holds a certificate that begins at 20/);
    expect(warningOf(material, material.certificate.validToDate.getTime() - 1)).toBeUndefined();
    expect(warningOf(material, material.certificate.validToDate.getTime())).toMatch(/expired/);
  });
});
