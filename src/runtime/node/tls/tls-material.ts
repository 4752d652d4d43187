import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions, type SecureVersion } from 'node:tls';

/** The oldest version that is spoken: 1.2 (RFC 8996 took back those before it). */
const MIN_VERSION: SecureVersion = 'TLSv1.2';

/** What the files of TLS hold. */
export interface TlsTexts {
  readonly cert: string;
  readonly key: string;
  /** Undefined: clients need no certificate. */
  readonly clientCa: string | undefined;
}

/** A certificate with its key, checked, and authorities of clients. */
export interface TlsMaterial {
  readonly texts: TlsTexts;
  readonly context: SecureContextOptions;
  readonly certificate: X509Certificate;
}

export type TlsSetting = 'TLS_CERT_FILE' | 'TLS_KEY_FILE' | 'TLS_CLIENT_CA_FILE';

/** What is wrong with a file of TLS: a word for logs, and a sentence that follows the setting's name. No text of the file. */
export class TlsFileError extends Error {
  override readonly name = 'TlsFileError';
  readonly setting: TlsSetting;
  readonly code: string;
  readonly fault: string;

  constructor(setting: TlsSetting, code: string, fault: string) {
    super(`${setting} ${fault}`);
    this.setting = setting;
    this.code = code;
    this.fault = fault;
  }
}

/**
 * Makes of three texts what a server of TLS needs, after checking all of it: what OpenSSL would leave out, such as half a
 * certificate of an authority, is a fault too.
 *
 * @throws TlsFileError naming the setting whose file is at fault
 */
export function readTlsMaterial(texts: TlsTexts): TlsMaterial {
  const { cert, key, clientCa } = texts;
  const [certificate] = certificatesOf('TLS_CERT_FILE', cert);
  if (!fits(certificate, key)) {
    const fault = 'holds the key of another certificate than the one in TLS_CERT_FILE';
    throw new TlsFileError('TLS_KEY_FILE', 'key_mismatch', fault);
  }
  if (clientCa !== undefined) certificatesOf('TLS_CLIENT_CA_FILE', clientCa);
  const context = { cert, key, minVersion: MIN_VERSION, ...(clientCa !== undefined && { ca: clientCa }) };
  try {
    createSecureContext(context);
  } catch (error) {
    // Such as a key that is too short: ERR_SSL_EE_KEY_TOO_SMALL.
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new TlsFileError('TLS_CERT_FILE', 'not_usable', `holds what OpenSSL does not use (${code})`);
  }
  return { texts, context, certificate };
}

const BEGIN = /-----BEGIN CERTIFICATE-----/g;
const WHOLE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of a file. */
function certificatesOf(setting: TlsSetting, text: string): [X509Certificate, ...X509Certificate[]] {
  const begun = text.match(BEGIN)?.length;
  const whole = text.match(WHOLE) ?? [];
  try {
    const [first, ...others] = whole.map((pem) => new X509Certificate(pem));
    if (first !== undefined && whole.length === begun) return [first, ...others];
  } catch {
    // It has the form of one, and is none.
  }
  const fault =
    begun === undefined ? 'holds no certificate in PEM' : 'holds a certificate that is cut off or corrupt';
  throw new TlsFileError(setting, 'not_a_certificate', fault);
}

function fits(certificate: X509Certificate, key: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    const fault = /ENCRYPTED/.test(key)
      ? 'holds a private key with a passphrase; take the passphrase away'
      : 'holds no private key in PEM';
    throw new TlsFileError('TLS_KEY_FILE', 'not_a_key', fault);
  }
}

/** A warning about the dates of a certificate, which follows "TLS_CERT_FILE"; undefined where all is well. */
export function warningOf({ certificate }: TlsMaterial, nowMs: number): string | undefined {
  const { validFromDate, validToDate } = certificate;
  if (validToDate.getTime() <= nowMs) return `holds a certificate that expired at ${isoOf(validToDate)}`;
  if (validFromDate.getTime() > nowMs) return `holds a certificate that begins at ${isoOf(validFromDate)}`;
  return undefined;
}

/** To the second, as certificates have it. */
export function isoOf(date: Date): string {
  return date.toISOString().replace('.000', '');
}
