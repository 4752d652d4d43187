import type { Config } from './config.ts';
import { hashSha256 } from './signing/sha256.ts';

/** Of the digest so many digits tell accounts and projects apart. */
const DIGITS = 24;
/** Changes with what entries mean, so that versions that understand them differently do not meet. */
const VERSION = 1;

/**
 * What begins the keys of everything that instances share: the same for those that ask the same endpoint for the same
 * project, and for nobody else. It tells neither.
 */
export async function sharedNamespace({
  upstream: { endpoint, projectId },
  credentials,
}: Pick<Config, 'upstream' | 'credentials'>): Promise<string> {
  // Without a project the key pair decides whose lists come; parseConfig sees that there is one of the two.
  const owner = projectId ?? (credentials.source === 'static' ? credentials.accessKeyId : '');
  const digest = await hashSha256(JSON.stringify([endpoint, projectId !== undefined, owner]));
  return `imagecaches-bff:${VERSION}:${digest.slice(0, DIGITS)}`;
}
