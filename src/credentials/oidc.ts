import type { OidcCredentialConfig } from '../config/config.ts';
import { fetchAnswer } from '../outbound/fetch-answer.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';
import type { KeyPair } from '../signing/credential.ts';
import type { CredentialSource } from './provider.ts';
import { readTokenFile } from './read-token-file.ts';
import { createRefreshingProvider } from './refreshing-provider.ts';
import { readStsAnswer } from './sts-answer.ts';

/** For the whole of one load, reading the token file included: 5 seconds. */
export const OIDC_TIMEOUT_MS = 5000;

const PATH = '/v5/agencies/assume-with-oidc';

/** An agency that trusts an OIDC provider, by STS: no cloud key at all. */
export const oidcSource: CredentialSource<OidcCredentialConfig> = {
  name: 'an OIDC token',
  remedy:
    'Check that HUAWEICLOUD_OIDC_TOKEN_FILE holds a token of the provider, that the agency trusts the provider for its subject and audience, and that STS can be reached.',
  create: (config, platform) =>
    createRefreshingProvider({ source: 'oidc', load: createOidcSource(config, platform) }, platform),
};

/**
 * Exchanges an OIDC token for a temporary credential of an agency, by an unsigned call of STS (OidcStsAccessor in
 * core/auth/internal.py of huaweicloud-sdk-python-v3). The token file is read for each call.
 *
 * @returns a function that asks once; it rejects with OutboundError
 */
export function createOidcSource(
  config: OidcCredentialConfig,
  platform: Pick<Platform, 'fetch' | 'now' | 'schedule' | 'readTextFile' | 'logger'>,
): () => Promise<KeyPair> {
  const { stsEndpoint, providerUrn, agencyUrn, sessionName, durationSeconds, token, policy, policyIds } =
    config;

  async function load(signal: AbortSignal): Promise<KeyPair> {
    const idToken = 'text' in token ? token.text : await readTokenFile(token.file, platform);
    const askedAtMs = platform.now();
    const answer = await fetchAnswer(platform.fetch, stsEndpoint + PATH, {
      method: 'POST',
      headers: { accept: 'application/json', 'content-type': 'application/json;charset=UTF-8' },
      body: JSON.stringify({
        provider_urn: providerUrn,
        agency_urn: agencyUrn,
        agency_session_name: sessionName,
        id_token: idToken,
        duration_seconds: durationSeconds,
        policy,
        policy_ids: policyIds,
      }),
      signal,
    });
    return readStsAnswer(answer, { askedAtMs, durationSeconds }, platform);
  }

  return () => runWithin(OIDC_TIMEOUT_MS, platform.schedule, load);
}
