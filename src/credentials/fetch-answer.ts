import type { Dependencies } from '../deps.ts';
import { BodyTooLargeError, readBody } from '../upstream/read-body.ts';
import { CredentialSourceError } from './source-error.ts';

/** An answer is a few KiB, most of it the security token; 256 KiB is the most that is read. */
export const MAX_ANSWER_BYTES = 262_144;

/** A whole answer. Its text may hold a key: never log or throw it. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/**
 * Runs work within a time. The timer is cleared whatever happens, and the time holds even where the work does
 * not heed the signal.
 *
 * @param timeoutMs for the whole of it
 * @throws CredentialSourceError `timeout`, or whatever the work throws
 */
export async function runWithin<Value>(
  timeoutMs: number,
  schedule: Dependencies['schedule'],
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const abort = new AbortController();
  let cancel = () => {};
  const timeout = new Promise<never>((_resolve, reject) => {
    cancel = schedule(() => {
      reject(new CredentialSourceError('timeout'));
      abort.abort();
    }, timeoutMs);
  });
  try {
    return await Promise.race([work(abort.signal), timeout]);
  } finally {
    cancel();
  }
}

/**
 * Asks and reads the whole answer, whatever its status. A redirect is an answer like any other: it is never
 * followed, because the request carries a token.
 *
 * @throws CredentialSourceError `connection` or `too_large`
 */
export async function fetchAnswer(
  fetch: Dependencies['fetch'],
  url: string,
  init: RequestInit,
): Promise<Answer> {
  try {
    const response = await fetch(url, { ...init, redirect: 'manual' });
    const body = await readBody(response, MAX_ANSWER_BYTES);
    return {
      status: response.status,
      headers: response.headers,
      text: new TextDecoder().decode(body),
    };
  } catch (error) {
    if (error instanceof BodyTooLargeError) throw new CredentialSourceError('too_large');
    throw new CredentialSourceError('connection', { cause: error });
  }
}
