import { Hono } from 'hono';
import { RESOURCE_METADATA_PATH, resourceMetadataUrl } from '../auth/resource-metadata.ts';
import type { Config } from '../config/config.ts';
import { jsonAnswer } from '../http/answer.ts';
import type { AppEnv } from '../http/env.ts';

/**
 * `GET /.well-known/oauth-protected-resource` (RFC 9728): whose tokens are accepted here, for clients that know no more than
 * the URL of the service. Where that URL has a path the document is at the path's own place too.
 *
 * @param publicUrl the URL of the service, which is its resource identifier
 */
export function protectedResource(
  publicUrl: string,
  { issuers, refreshScope }: Pick<Config, 'issuers' | 'refreshScope'>,
): Hono<AppEnv> {
  const scopes = [...issuers.flatMap(({ requiredScopes }) => requiredScopes), refreshScope];
  const document = {
    resource: publicUrl,
    resource_name: 'imagecaches-bff',
    // A parameter without values is left out (RFC 9728, section 3.2).
    ...(issuers.length > 0 && { authorization_servers: issuers.map(({ issuer }) => issuer) }),
    scopes_supported: [...new Set(scopes)],
    bearer_methods_supported: ['header'],
  };
  const paths = new Set([RESOURCE_METADATA_PATH, resourceMetadataUrl(publicUrl).pathname]);
  return new Hono<AppEnv>().on('GET', [...paths], () =>
    jsonAnswer(200, document, { 'cache-control': 'public, max-age=300' }),
  );
}
