import * as z from 'zod/mini';
import type { PodCredentialConfig } from '../config/config.ts';
import { fetchAnswer } from '../outbound/fetch-answer.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';
import type { Credential } from '../signing/credential.ts';
import type { CredentialSource } from './provider.ts';
import { createRefreshingProvider } from './refreshing-provider.ts';
import {
  expirySchema,
  keySchema,
  readTemporaryCredential,
  securityTokenSchema,
} from './temporary-credential.ts';

/** For the whole of one load, reading the token file included: 5 seconds. The SDK gives it 10. */
export const POD_IDENTITY_TIMEOUT_MS = 5000;

const VendorSchema = z.object({
  credentials: z.object({
    accessKeyId: keySchema,
    secretAccessKey: keySchema,
    securityToken: securityTokenSchema,
    expiration: expirySchema,
  }),
});
const AnswerSchema = z.pipe(
  VendorSchema,
  z.transform(
    ({ credentials: { expiration, ...keys } }: z.output<typeof VendorSchema>): Credential => ({
      ...keys,
      expiresAtMs: expiration,
    }),
  ),
);

/** CCE's pod identity. */
export const podIdentity: CredentialSource<PodCredentialConfig> = {
  name: 'CCE pod identity',
  remedy:
    'Check that the service account of the pod has an identity, and that the network policy lets 169.254.170.23 through.',
  create: (config, platform) =>
    createRefreshingProvider({ source: 'pod', load: createPodIdentitySource(config, platform) }, platform),
};

export interface PodIdentityOptions {
  /** HC_CONTAINER_CREDENTIALS_FULL_URI: https, or http on loopback or a link-local address. */
  readonly uri: string;
  /** HC_CONTAINER_AUTHORIZATION_TOKEN_FILE: read for each load, since Kubernetes replaces its content. */
  readonly tokenFile: string;
}

/**
 * The temporary credential that CCE gives to a pod for its service account
 * (core/auth/internal/pod_identity_accessor.go of huaweicloud-sdk-go-v3, PodIdentityAccessor in the Java SDK).
 *
 * @returns a function that asks once; it rejects with OutboundError
 */
export function createPodIdentitySource(
  { uri, tokenFile }: PodIdentityOptions,
  platform: Pick<Platform, 'fetch' | 'schedule' | 'readTextFile'>,
): () => Promise<Credential> {
  async function readToken(): Promise<string> {
    let text: string;
    try {
      text = await platform.readTextFile(tokenFile);
    } catch (error) {
      throw new OutboundError('token_file_unreadable', { cause: error });
    }
    const token = text.trim();
    // fetch quotes a header that it does not accept in its message: it must never see one.
    if (!/^[\x21-\x7e]{1,65536}$/.test(token)) throw new OutboundError('token_file_invalid');
    return token;
  }

  async function load(signal: AbortSignal): Promise<Credential> {
    const { status, text } = await fetchAnswer(platform.fetch, uri, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json; charset=utf-8',
        authorization: await readToken(),
      },
      body: '{}',
      signal,
    });
    if (status !== 200) throw new OutboundError(`status_${status}`);
    return readTemporaryCredential(text, AnswerSchema);
  }

  return () => runWithin(POD_IDENTITY_TIMEOUT_MS, platform.schedule, load);
}
