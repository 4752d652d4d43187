import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';

export interface OidcProvider {
  readonly issuer: string;
  /** What the console asked for, in order. */
  readonly asked: URLSearchParams[];
  readonly stop: () => Promise<unknown>;
}

/** An OpenID provider that signs everybody in at once, and checks the code and its PKCE challenge. */
export async function startOidcProvider(): Promise<OidcProvider> {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'one', alg: 'RS256', use: 'sig' };
  const asked: URLSearchParams[] = [];
  const codes = new Map<string, URLSearchParams>();
  const sign = (claims: object, audience: string) =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'one' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject('operator')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey);

  async function exchange(body: URLSearchParams): Promise<object | undefined> {
    const request = codes.get(body.get('code') ?? '');
    codes.delete(body.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(body.get('code_verifier') ?? '')
      .digest('base64url');
    if (request === undefined || request.get('code_challenge') !== challenge) return undefined;
    if (request.get('redirect_uri') !== body.get('redirect_uri')) return undefined;
    return {
      token_type: 'Bearer',
      expires_in: 300,
      access_token: await sign({ scope: request.get('scope') }, request.get('audience') ?? ''),
      id_token: await sign({}, request.get('client_id') ?? ''),
    };
  }

  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', issuer);
    const cors = { 'access-control-allow-origin': '*', 'access-control-allow-headers': '*' };
    const json = (status: number, body: object) => {
      response.writeHead(status, { 'content-type': 'application/json', ...cors });
      response.end(JSON.stringify(body));
    };
    if (request.method === 'OPTIONS') return json(200, {});
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(200, {
          issuer,
          jwks_uri: `${issuer}/jwks`,
          authorization_endpoint: `${issuer}/authorize`,
          token_endpoint: `${issuer}/token`,
          code_challenge_methods_supported: ['S256'],
        });
      case '/jwks':
        return json(200, { keys: [jwk] });
      case '/authorize': {
        const code = crypto.randomUUID();
        asked.push(url.searchParams);
        codes.set(code, url.searchParams);
        const back = new URL(url.searchParams.get('redirect_uri') ?? '');
        back.searchParams.set('code', code);
        back.searchParams.set('state', url.searchParams.get('state') ?? '');
        response.writeHead(302, { location: back.href });
        return response.end();
      }
      case '/token': {
        let body = '';
        for await (const chunk of request) body += String(chunk);
        const answer = await exchange(new URLSearchParams(body));
        return json(answer === undefined ? 400 : 200, answer ?? { error: 'invalid_grant' });
      }
      default:
        return json(404, {});
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    issuer,
    asked,
    stop: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}
