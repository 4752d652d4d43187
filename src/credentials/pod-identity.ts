import type { PodCredentialConfig } from '../config/config.ts';
import { fetchAnswer } from '../outbound/fetch-answer.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';
import type { KeyPair } from '../signing/credential.ts';
import type { CredentialSource } from './provider.ts';
import { readTokenFile } from './read-token-file.ts';
import { createRefreshingProvider } from './refreshing-provider.ts';
import { readTemporaryCredential } from './temporary-credential.ts';

/** For the whole of one load, reading the token file included: 5 seconds. The SDK gives it 10. */
export const POD_IDENTITY_TIMEOUT_MS = 5000;

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
): () => Promise<KeyPair> {
  async function load(signal: AbortSignal): Promise<KeyPair> {
    const { status, text } = await fetchAnswer(platform.fetch, uri, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': 'application/json; charset=utf-8',
        authorization: await readTokenFile(tokenFile, platform),
      },
      body: '{}',
      signal,
    });
    if (status !== 200) throw new OutboundError(`status_${status}`);
    return readTemporaryCredential(text);
  }

  return () => runWithin(POD_IDENTITY_TIMEOUT_MS, platform.schedule, load);
}
