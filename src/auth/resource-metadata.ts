import { ProblemError } from '../http/problem.ts';

/** The path of the document for a service at the root of its host (RFC 9728, section 3). */
export const RESOURCE_METADATA_PATH = '/.well-known/oauth-protected-resource';

/** Where the document of a service is: between the host and the path of its URL (RFC 9728, section 3.1). */
export function resourceMetadataUrl(publicUrl: string): URL {
  const { origin, pathname } = new URL(publicUrl);
  return new URL(RESOURCE_METADATA_PATH + pathname.replace(/^\/$/, ''), origin);
}

/**
 * A 401 that names the document, whatever its scheme (RFC 9728, section 5.1). It is an error of its own: callers who wait
 * for the same check share theirs.
 *
 * @returns any other error as it is
 */
export function withResourceMetadata(error: unknown, metadataUrl: URL): unknown {
  if (!(error instanceof ProblemError) || error.code !== 'unauthenticated') return error;
  const challenge = error.headers['www-authenticate'] as string;
  const separator = challenge.includes(' ') ? ', ' : ' ';
  const withMetadata = `${challenge}${separator}resource_metadata="${metadataUrl}"`;
  return new ProblemError(error.code, {
    ...error,
    headers: { ...error.headers, 'www-authenticate': withMetadata },
  });
}
