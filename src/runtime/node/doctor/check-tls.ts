import type { TlsConfig } from '../../../config/config.ts';
import { readTlsFiles } from '../tls/tls-files.ts';
import { isoOf, warningOf } from '../tls/tls-material.ts';
import { plain } from './check-network.ts';
import { type Outcome, ok, warning } from './findings.ts';

/** A certificate that ends sooner should have been renewed: 7 days. */
const SOON_DAYS = 7;
const DAY_MS = 86_400_000;

/** Whose certificate do callers see, and for how long? That its files are good was checked with the settings. */
export function checkTls(config: TlsConfig, nowMs: number): Outcome {
  const material = readTlsFiles(config);
  const { certificate } = material;
  const fault = warningOf(material, nowMs);
  if (fault !== undefined) return warning(`TLS_CERT_FILE ${fault}`, RENEW);
  const daysLeft = Math.floor((certificate.validToDate.getTime() - nowMs) / DAY_MS);
  const names = plain(certificate.subjectAltName ?? certificate.subject);
  const clients = config.clientCaFile === undefined ? '' : '; clients need a certificate';
  const found = `the certificate is for ${names}, until ${isoOf(certificate.validToDate)}, for ${daysLeft} days${clients}`;
  return daysLeft < SOON_DAYS ? warning(found, RENEW) : ok(found);
}

const RENEW = 'Renew it, and check the clock here: the files are followed, so that no restart is needed.';
