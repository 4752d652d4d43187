import type { TargetConfig } from '../config/config.ts';
import { hashSha256 } from '../signing/sha256.ts';

/** Digits of the digest that tell accounts and projects apart: 96 bits. */
const DIGITS = 24;
/** Changes with the form of keys and entries, so that versions that read them differently share nothing. */
const VERSION = 2;

type Owned = Pick<TargetConfig, 'upstream' | 'credentials'> & Partial<Pick<TargetConfig, 'assumeAgency'>>;

/**
 * The start of every shared key: the same for instances that ask the same endpoints for the same projects, and for
 * nobody else. It reveals neither.
 *
 * @returns a function that makes it when it is first asked, and keeps it as a value: on Workers a promise would belong to
 *   the request that made it
 */
export function createNamespace(targets: readonly Owned[]): () => Promise<string> {
  let known: string | undefined;
  return async () => {
    known ??= `imagecaches-bff:${VERSION}:${(await digestOf(targets)).slice(0, DIGITS)}`;
    return known;
  };
}

function digestOf(targets: readonly Owned[]): Promise<string> {
  const identities = targets.map(({ upstream: { endpoint, projectId }, credentials, assumeAgency }) => {
    return [endpoint, projectId !== undefined, projectId ?? ownerOf(credentials, assumeAgency)];
  });
  return hashSha256(JSON.stringify(identities));
}

/** Without a project the credential decides whose lists come. Nothing tells this of pods and nodes. */
function ownerOf(credentials: TargetConfig['credentials'], assumed: TargetConfig['assumeAgency']): string {
  if (assumed !== undefined) return assumed.agencyUrn;
  if (credentials.source === 'static') return credentials.accessKeyId;
  if (credentials.source === 'profile') return credentials.profile.accessKeyId;
  if (credentials.source === 'token') return credentials.authToken;
  return credentials.source === 'oidc' ? credentials.agencyUrn : '';
}
