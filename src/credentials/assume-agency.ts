import type { AssumeAgencyConfig } from '../config/config.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform, TargetPlatform } from '../platform/platform.ts';
import type { Credential, KeyPair } from '../signing/credential.ts';
import { askSigned, REJECTED_PAUSE_MS, type SignedCallPlatform } from './ask-signed.ts';
import { type CredentialProvider, isSameCredential } from './provider.ts';
import { createRefreshingProvider } from './refreshing-provider.ts';
import { readStsAnswer } from './sts-answer.ts';

/** For the whole of one load, that of the credential of the source included: 5 seconds. */
export const ASSUME_TIMEOUT_MS = 5000;

const PATH = '/v5/agencies/assume';

/** Takes the credential of an agency, of this account or another one, in place of that of the source. */
export function createAgencyProvider(
  config: AssumeAgencyConfig,
  source: CredentialProvider,
  platform: TargetPlatform & Pick<SignedCallPlatform, 'keyProofs'>,
): CredentialProvider {
  const load = createAgencySource(config, source, platform);
  return createRefreshingProvider({ source: 'agency', load }, platform);
}

/**
 * Asks STS for a credential of the agency, by a call that the credential of the source signs. When STS rejects that one, the
 * source is asked for another.
 *
 * @returns a function that rejects with OutboundError (`key_rejected`: STS rejected it less than 5 minutes ago) or
 *   CredentialUnavailableError
 */
export function createAgencySource(
  { stsEndpoint, agencyUrn, sessionName, durationSeconds }: AssumeAgencyConfig,
  source: Pick<CredentialProvider, 'get' | 'reload'>,
  platform: SignedCallPlatform & Pick<Platform, 'elapsed' | 'logger'>,
): () => Promise<KeyPair> {
  const body = JSON.stringify({
    agency_urn: agencyUrn,
    agency_session_name: sessionName,
    duration_seconds: durationSeconds,
  });
  let rejected: { readonly credential: Credential; readonly atMs: number } | undefined;

  function isLeftAlone(credential: Credential): boolean {
    if (rejected === undefined || !isSameCredential(rejected.credential, credential)) return false;
    return platform.elapsed() - rejected.atMs < REJECTED_PAUSE_MS;
  }

  async function ask(credential: Credential, signal: AbortSignal): Promise<KeyPair> {
    if (isLeftAlone(credential)) throw new OutboundError('key_rejected');
    const askedAtMs = platform.now();
    const noteRejection = () => {
      rejected = { credential, atMs: platform.elapsed() };
    };
    const call = { method: 'POST', url: new URL(stsEndpoint + PATH), body } as const;
    const answer = await askSigned(call, credential, signal, noteRejection, platform);
    if (answer.status !== 401) rejected = undefined;
    return readStsAnswer(answer, { askedAtMs, durationSeconds }, platform);
  }

  async function load(signal: AbortSignal): Promise<KeyPair> {
    const credential = await source.get();
    try {
      return await ask(credential, signal);
    } catch (error) {
      if (!isLeftAlone(credential) || !(await source.reload(credential))) throw error;
      return await ask(await source.get(), signal);
    }
  }

  return () => runWithin(ASSUME_TIMEOUT_MS, platform.schedule, load);
}
