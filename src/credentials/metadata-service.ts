import type { MetadataCredentialConfig } from '../config/config.ts';
import { type Answer, fetchAnswer } from '../outbound/fetch-answer.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import { runWithin } from '../outbound/run-within.ts';
import type { Platform } from '../platform/platform.ts';
import type { KeyPair } from '../signing/credential.ts';
import type { CredentialSource } from './provider.ts';
import { createRefreshingProvider } from './refreshing-provider.ts';
import { readTemporaryCredential } from './temporary-credential.ts';

/** The lifetime asked for: 6 hours, the most that the service gives. In seconds, as its header has it. */
export const SESSION_TOKEN_TTL_SECONDS = 21_600;
/** A session token is renewed when it has less than this left: 5 minutes. */
export const SESSION_TOKEN_MARGIN_MS = 300_000;
/** That a service issues no session tokens is remembered for 1 hour. */
export const TOKENLESS_MS = 3_600_000;
/** For the whole of one load, session token included: 5 seconds. */
export const METADATA_TIMEOUT_MS = 5000;

const TOKEN_PATH = '/meta-data/latest/api/token';
const SECURITY_KEY_PATH = '/openstack/latest/securitykey';
/** What an older service, or one with session tokens turned off, answers to the request for one. */
const TOKENLESS_STATUSES: ReadonlySet<number> = new Set([404, 405, 503]);
/** In the body of a 401 that no session token would change. */
const AGENCY_MISSING = 'Please configure Cloud Service Agency first';

/** The agency of an ECS or a CCE node. */
export const metadataService: CredentialSource<MetadataCredentialConfig> = {
  name: 'the agency of the node',
  remedy:
    'Check that the node has an agency, and that 169.254.169.254 can be reached. Elsewhere set HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK.',
  create({ endpoint, passedOver }, platform) {
    const load = createMetadataServiceSource(endpoint, platform);
    return createRefreshingProvider({ source: 'metadata', load, notSet: passedOver }, platform);
  },
};

/** What is known about session tokens. `token` is undefined for a service that issues none. */
interface Session {
  readonly token: string | undefined;
  /** By elapsed time. */
  readonly untilMs: number;
}

/**
 * The temporary credential of the agency of an ECS or a CCE node, from its metadata service
 * (core/auth/internal/metadata_accessor.go of huaweicloud-sdk-go-v3).
 *
 * @param endpoint scheme and host, no slash at the end
 * @returns a function that asks once; it rejects with OutboundError
 */
export function createMetadataServiceSource(
  endpoint: string,
  platform: Pick<Platform, 'fetch' | 'elapsed' | 'schedule'>,
): () => Promise<KeyPair> {
  let session: Session | undefined;

  async function renewSession(signal: AbortSignal): Promise<Session> {
    const answer = await fetchAnswer(platform.fetch, endpoint + TOKEN_PATH, {
      method: 'PUT',
      headers: { 'x-metadata-token-ttl-seconds': String(SESSION_TOKEN_TTL_SECONDS) },
      signal,
    });
    session = readSession(answer, platform.elapsed());
    return session;
  }

  function askForKey({ token }: Session, signal: AbortSignal): Promise<Answer> {
    return fetchAnswer(platform.fetch, endpoint + SECURITY_KEY_PATH, {
      method: 'GET',
      headers: { accept: 'application/json', ...(token === undefined ? {} : { 'x-metadata-token': token }) },
      signal,
    });
  }

  async function load(signal: AbortSignal): Promise<KeyPair> {
    const known = session !== undefined && platform.elapsed() < session.untilMs ? session : undefined;
    let answer = await askForKey(known ?? (await renewSession(signal)), signal);
    if (answer.status === 401) {
      if (answer.text.includes(AGENCY_MISSING)) throw new OutboundError('agency_missing');
      // Session tokens do not outlive the service's restart; or it has begun to want them.
      const renewed = await renewSession(signal);
      if (renewed.token === undefined) throw new OutboundError('unauthorised');
      answer = await askForKey(renewed, signal);
    }
    if (answer.status !== 200) throw new OutboundError(`status_${answer.status}`);
    return readTemporaryCredential(answer.text);
  }

  return () => runWithin(METADATA_TIMEOUT_MS, platform.schedule, load);
}

function readSession({ status, text }: Answer, nowMs: number): Session {
  if (TOKENLESS_STATUSES.has(status)) return { token: undefined, untilMs: nowMs + TOKENLESS_MS };
  if (status !== 200) throw new OutboundError(`session_token_status_${status}`);
  const token = text.trim();
  // It becomes a header: nothing but visible ASCII may.
  if (!/^[\x21-\x7e]{1,4096}$/.test(token)) throw new OutboundError('session_token_invalid');
  return { token, untilMs: nowMs + SESSION_TOKEN_TTL_SECONDS * 1000 - SESSION_TOKEN_MARGIN_MS };
}
