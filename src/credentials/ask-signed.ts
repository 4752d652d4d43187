import { type KeyProofs, type KeyVerdict, waitForKey } from '../fleet/key-proofs.ts';
import { type Answer, fetchAnswer } from '../outbound/fetch-answer.ts';
import { OutboundError } from '../outbound/outbound-error.ts';
import type { Platform } from '../platform/platform.ts';
import { authoriseRequest } from '../signing/authorise-request.ts';
import type { Credential } from '../signing/credential.ts';
import { parseUpstreamFailure } from '../vendor/read-failure.ts';

/** After a rejected call with a key the caller makes none with it for 5 minutes: rejections in a row lock the key. */
export const REJECTED_PAUSE_MS = 300_000;
/** Longest time for which other replicas keep off the key: 5 seconds, as long as a call takes. */
const KEY_LEASE_MS = 5000;

export interface SignedCall {
  readonly method: 'GET' | 'POST';
  readonly url: URL;
  /** JSON. */
  readonly body?: string;
}

export type SignedCallPlatform = Pick<Platform, 'fetch' | 'now' | 'schedule' | 'random'> & {
  /** Absent where no replicas share what they know of keys. */
  readonly keyProofs?: KeyProofs | undefined;
};

/**
 * Makes a call of IAM or STS with a key, and once more where only our clock was rejected. Rejections count for the vendor as
 * those of CCE do: the caller must leave a rejected key alone for REJECTED_PAUSE_MS.
 *
 * @param noteRejection told of a 401 as soon as it comes
 * @throws OutboundError `key_left_alone` while other replicas leave the key alone, and as fetchAnswer does
 */
export async function askSigned(
  { method, url, body }: SignedCall,
  credential: Credential,
  signal: AbortSignal,
  noteRejection: () => void,
  { fetch, now, keyProofs, schedule, random }: SignedCallPlatform,
): Promise<Answer> {
  const content = body === undefined ? {} : { body };
  const ask = async (nowMs: number, isClockCorrected: boolean) => {
    const known = { isAccepted: false, isClockCorrected };
    const use = await waitForKey(async () => keyProofs?.enter(credential, known, KEY_LEASE_MS), {
      schedule,
      random,
      signal,
    });
    if (use === 'locked_out' || use === 'busy') throw new OutboundError('key_left_alone');
    let verdict: KeyVerdict = 'neutral';
    try {
      const authorised = await authoriseRequest({ method, url, ...content }, credential, { nowMs });
      const type = body === undefined ? {} : { 'content-type': 'application/json;charset=UTF-8' };
      const headers = { ...authorised, ...type, accept: 'application/json' };
      const answer = await fetchAnswer(fetch, url.href, { method, headers, ...content, signal });
      if (answer.status === 200) verdict = 'accepted';
      if (answer.status === 401) verdict = 'rejected';
      return answer;
    } finally {
      await use?.leave(verdict);
    }
  };
  const answer = await ask(now(), false);
  if (answer.status !== 401) return answer;
  noteRejection();
  const { serverDateMs } = parseUpstreamFailure(answer.status, answer.headers, answer.text, now());
  // Only our clock was rejected, and now we know the right time.
  return serverDateMs === undefined ? answer : ask(serverDateMs, true);
}
