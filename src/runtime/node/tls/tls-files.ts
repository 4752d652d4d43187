import type { ConfigFault, TlsConfig } from '../../../config/config.ts';
import { readTextFileSync } from '../platform/read-text-file.ts';
import { readTlsMaterial, TlsFileError, type TlsMaterial, type TlsSetting } from './tls-material.ts';

/**
 * Reads the files of TLS at the start.
 *
 * @throws TlsFileError for the first file that is at fault
 */
export function readTlsFiles({ certFile, keyFile, clientCaFile }: TlsConfig): TlsMaterial {
  return readTlsMaterial({
    cert: read('TLS_CERT_FILE', certFile),
    key: read('TLS_KEY_FILE', keyFile),
    clientCa: clientCaFile === undefined ? undefined : read('TLS_CLIENT_CA_FILE', clientCaFile),
  });
}

function read(setting: TlsSetting, path: string): string {
  try {
    return readTextFileSync(path);
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException;
    throw new TlsFileError(setting, 'unreadable', `names a file that cannot be read (${code})`);
  }
}

/** What is wrong with the files that an environment names, for parseConfig to list with the other faults. */
export function faultsOfTlsFiles(environment: NodeJS.ProcessEnv): ConfigFault[] {
  const [certFile, keyFile, clientCaFile] = [
    environment.TLS_CERT_FILE?.trim(),
    environment.TLS_KEY_FILE?.trim(),
    environment.TLS_CLIENT_CA_FILE?.trim(),
  ];
  // One without the other is a contradiction of the settings, which parseConfig reports.
  if (!certFile || !keyFile) return [];
  try {
    readTlsFiles({ certFile, keyFile, clientCaFile: clientCaFile || undefined });
    return [];
  } catch (error) {
    if (!(error instanceof TlsFileError)) throw error;
    return [{ setting: error.setting, fault: error.fault }];
  }
}
