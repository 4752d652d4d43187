import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export interface TokenClaims {
  readonly subject?: string;
  readonly audience?: string;
  readonly scope?: string;
  /** Seconds from now; 12 hours by default. */
  readonly expiresInSeconds?: number;
}

export interface TokenIssuer {
  /** The issuer's identifier, and where it listens. */
  readonly issuer: string;
  readonly sign: (claims?: TokenClaims) => Promise<string>;
  readonly stop: () => Promise<void>;
}

/**
 * A token issuer for trying things out: a new key pair at each start, with the OpenID
 * configuration and the JWKS over HTTP. It hands a token to anyone who asks, so it listens on loopback only.
 */
export async function startTokenIssuer(options: { readonly port?: number } = {}): Promise<TokenIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: crypto.randomUUID(), alg: 'RS256', use: 'sig' };

  const server = createServer((request, response) => {
    const documents: Record<string, object> = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/jwks.json` },
      '/jwks.json': { keys: [jwk] },
    };
    const document = documents[request.url ?? ''];
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? { error: 'not_found' }));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    issuer,
    sign: (claims = {}) =>
      new SignJWT({ scope: claims.scope ?? 'imagecaches:read' })
        .setProtectedHeader({ alg: 'RS256', kid: jwk.kid, typ: 'JWT' })
        .setIssuer(issuer)
        .setAudience(claims.audience ?? 'imagecaches')
        .setSubject(claims.subject ?? 'demo-user')
        .setIssuedAt()
        .setExpirationTime(Math.floor(Date.now() / 1000) + (claims.expiresInSeconds ?? 43_200))
        .sign(privateKey),
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
