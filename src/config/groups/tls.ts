import { filePath } from '../forms.ts';
import type { SettingGroup } from '../read-settings.ts';
import type { SettingRows } from '../setting.ts';

const ROWS = {
  TLS_CERT_FILE: {
    form: filePath,
    rule: 'the path of a PEM file: the certificate, then those between it and its authority',
    example: '/etc/imagecaches-bff/tls/tls.crt',
  },
  TLS_KEY_FILE: {
    form: filePath,
    rule: 'the path of a PEM file: a private key without a passphrase',
    example: '/etc/imagecaches-bff/tls/tls.key',
  },
  TLS_CLIENT_CA_FILE: {
    form: filePath,
    rule: 'the path of a PEM file: one or more certificates of authorities',
    example: '/etc/imagecaches-bff/tls/ca.crt',
  },
} satisfies SettingRows;

/** Paths of files, whose changes are followed. */
export interface TlsConfig {
  readonly certFile: string;
  readonly keyFile: string;
  /** Undefined: clients need no certificate. */
  readonly clientCaFile: string | undefined;
}

export interface TlsPart {
  /** Undefined: the port for callers speaks HTTP without TLS. */
  readonly tls: TlsConfig | undefined;
}

/** TLS on the port for callers. Node only. */
export const tlsGroup: SettingGroup<typeof ROWS, TlsPart> = {
  rows: ROWS,

  reportContradictions({ isGiven }, { report, reportMissing }) {
    const hasCert = isGiven('TLS_CERT_FILE');
    const hasKey = isGiven('TLS_KEY_FILE');
    if (hasCert && !hasKey) reportMissing('TLS_KEY_FILE', ', and TLS_CERT_FILE needs it');
    if (hasKey && !hasCert) reportMissing('TLS_CERT_FILE', ', and TLS_KEY_FILE needs it');
    if (!hasCert && !hasKey && isGiven('TLS_CLIENT_CA_FILE'))
      report('TLS_CLIENT_CA_FILE', 'is of no use without TLS_CERT_FILE and TLS_KEY_FILE; remove it');
  },

  toConfig: ({ values: { TLS_CERT_FILE, TLS_KEY_FILE, TLS_CLIENT_CA_FILE } }) => ({
    tls:
      TLS_CERT_FILE === undefined || TLS_KEY_FILE === undefined
        ? undefined
        : { certFile: TLS_CERT_FILE, keyFile: TLS_KEY_FILE, clientCaFile: TLS_CLIENT_CA_FILE },
  }),
};
