import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** In PEM. */
export interface TestCertificate {
  readonly cert: string;
  readonly key: string;
}

const EC_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const KEY_FILE = ['-nodes', '-keyout', 'key.pem'];

/**
 * A certificate for `localhost` and 127.0.0.1 with a key of its own.
 *
 * @param issuer what signs it. Default: itself, so that it is an authority too
 * @param kind openssl's options for the key
 */
export function createCertificate(
  name = 'localhost',
  issuer?: TestCertificate,
  kind = EC_KEY,
): TestCertificate {
  return inFolder((folder) => {
    const names = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    const signer: string[] = [];
    if (issuer !== undefined) {
      writeFileSync(join(folder, 'ca.pem'), issuer.cert);
      writeFileSync(join(folder, 'ca-key.pem'), issuer.key);
      signer.push('-CA', 'ca.pem', '-CAkey', 'ca-key.pem');
    }
    const made = [...kind, ...KEY_FILE, ...names, ...signer, '-out', 'cert.pem'];
    openssl(folder, ['req', '-x509', '-days', '2', ...made]);
  });
}

/** A certificate that was good on the first of January 2024 only. */
export function createExpiredCertificate(): TestCertificate {
  return inFolder((folder) => {
    const own = ['database = index.txt', 'serial = serial', 'new_certs_dir = .', 'default_md = sha256'];
    const config = [
      '[ca]',
      'default_ca = own',
      '[own]',
      ...own,
      'policy = any',
      '[any]',
      'commonName = supplied',
    ];
    writeFileSync(join(folder, 'ca.cnf'), `${config.join('\n')}\n`);
    writeFileSync(join(folder, 'index.txt'), '');
    writeFileSync(join(folder, 'serial'), '01\n');
    openssl(folder, ['req', ...EC_KEY, ...KEY_FILE, '-subj', '/CN=localhost', '-out', 'request.pem']);
    const dates = ['-startdate', '20240101000000Z', '-enddate', '20240102000000Z'];
    const signing = ['-selfsign', '-keyfile', 'key.pem', '-in', 'request.pem', '-out', 'cert.pem'];
    openssl(folder, ['ca', '-batch', '-notext', '-config', 'ca.cnf', ...dates, ...signing]);
  });
}

function openssl(folder: string, args: readonly string[]): void {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
}

function inFolder(make: (folder: string) => void): TestCertificate {
  const folder = mkdtempSync(join(tmpdir(), 'certificates-'));
  try {
    make(folder);
    const [cert = '', key = ''] = ['cert.pem', 'key.pem'].map((file) =>
      readFileSync(join(folder, file), 'utf8'),
    );
    return { cert, key };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
