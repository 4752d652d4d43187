import type { Credential } from './credential.ts';
import { type RequestToSign, type SignOptions, signRequest } from './sign-request.ts';

/**
 * The headers of a call that is made with this credential: signed, or with the token in X-Auth-Token, which signs nothing.
 *
 * @throws as signRequest does
 */
export async function authoriseRequest(
  request: RequestToSign,
  credential: Credential,
  options: SignOptions,
): Promise<Readonly<Record<string, string>>> {
  if (credential.authToken !== undefined) return { ...request.headers, 'x-auth-token': credential.authToken };
  return (await signRequest(request, credential, options)).headers;
}
