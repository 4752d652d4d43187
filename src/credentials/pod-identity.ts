import * as z from 'zod';
import { fetchAnswer, runSourceWithin } from '../outbound/fetch-answer.ts';
import { CredentialSourceError } from '../outbound/source-error.ts';
import type { Platform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import {
  expirySchema,
  keySchema,
  readTemporaryCredential,
  securityTokenSchema,
} from './temporary-credential.ts';

/** For the whole of one load, reading the token file included: 5 seconds. The SDK gives it 10. */
export const POD_IDENTITY_TIMEOUT_MS = 5000;

const AnswerSchema = z
  .object({
    credentials: z.object({
      accessKeyId: keySchema,
      secretAccessKey: keySchema,
      securityToken: securityTokenSchema,
      expiration: expirySchema,
    }),
  })
  .transform(
    ({ credentials: { expiration, ...keys } }): Credential => ({ ...keys, expiresAtMs: expiration }),
  );

export interface PodIdentityOptions {
  /** HC_CONTAINER_CREDENTIALS_FULL_URI: https, or http on loopback or a link-local address. */
  readonly uri: string;
  /** HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: Kubernetes replaces its content, so it is read anew each time. */
  readonly tokenFile: string;
}

/**
 * The temporary credential that CCE gives to a pod for its service account
 * (core/auth/internal/pod_identity_accessor.go of huaweicloud-sdk-go-v3, PodIdentityAccessor in the Java SDK).
 *
 * @returns a function that asks once; it rejects with CredentialSourceError
 */
export function createPodIdentitySource(
  { uri, tokenFile }: PodIdentityOptions,
  deps: Pick<Platform, 'fetch' | 'schedule' | 'readTextFile'>,
): () => Promise<Credential> {
  async function readToken(): Promise<string> {
    let text: string;
    try {
      text = await deps.readTextFile(tokenFile);
    } catch (error) {
      throw new CredentialSourceError('token_file_unreadable', { cause: error });
    }
    const token = text.trim();
    // fetch quotes a header that it refuses in its message: it must never see one.
    if (!/^[\x21-\x7e]{1,65536}$/.test(token)) throw new CredentialSourceError('token_file_invalid');
    return token;
  }

  async function load(signal: AbortSignal): Promise<Credential> {
    const { status, text } = await fetchAnswer(deps.fetch, uri, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json; charset=utf-8',
        authorization: await readToken(),
      },
      body: '{}',
      signal,
    });
    if (status !== 200) throw new CredentialSourceError(`status_${status}`);
    return readTemporaryCredential(text, AnswerSchema);
  }

  return () => runSourceWithin(POD_IDENTITY_TIMEOUT_MS, deps.schedule, load);
}
