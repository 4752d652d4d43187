import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { Gates } from '../../simulator/gates.ts';

const DISCOVERY_PATH = '/.well-known/openid-configuration';
const JWKS_PATH = '/jwks.json';

/** A token issuer whose documents wait at a gate while a test holds them. */
export interface GatedIssuer {
  readonly environment: Readonly<Record<string, string>>;
  readonly gates: Gates;
  /** Makes requests for a document wait at the gate of its name. */
  hold(document: 'discovery' | 'keys'): void;
  /** Lets requests that come from now on through; those at the gate stay there. */
  letThrough(document: string): void;
  /** Answers what is asked for from now on with this status; 200: with the documents. */
  answerWith(status: number): void;
  /** Requests for the OpenID configuration and for the keys. */
  counts(): readonly [discovery: number, keys: number];
  /** @param kid default: that of the key */
  sign(claims?: Readonly<Record<string, unknown>>, kid?: string): Promise<string>;
  stop(): Promise<void>;
}

export async function startGatedIssuer(): Promise<GatedIssuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const jwk = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256', use: 'sig' };
  const gates = new Gates();
  const held = new Set<string>();
  const counts = { discovery: 0, keys: 0 };
  let status = 200;
  const server = createServer(async (request, response) => {
    const document = request.url === DISCOVERY_PATH ? 'discovery' : 'keys';
    counts[document] += 1;
    const answered = status;
    if (held.has(document)) await gates.pass(document, new AbortController().signal);
    response.writeHead(answered, { 'content-type': 'application/json' });
    const body = document === 'discovery' ? { issuer, jwks_uri: `${issuer}${JWKS_PATH}` } : { keys: [jwk] };
    response.end(JSON.stringify(answered === 200 ? body : {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    environment: { AUTH_ISSUER: issuer, AUTH_AUDIENCE: 'imagecaches' },
    gates,
    hold: (document) => void held.add(document),
    letThrough: (document) => void held.delete(document),
    answerWith: (next) => {
      status = next;
    },
    counts: () => [counts.discovery, counts.keys],
    sign: (claims = {}, kid = jwk.kid) =>
      new SignJWT({ scope: 'imagecaches:read', ...claims })
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuer(issuer)
        .setAudience('imagecaches')
        .setSubject('service-a')
        .setExpirationTime('1h')
        .sign(privateKey),
    stop: () =>
      new Promise((resolve) => {
        gates.releaseAll();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
