import type { Fetch, FetchedResponse, FetchInit } from '../platform/fetch.ts';
import { OutboundError } from './outbound-error.ts';
import { BodyTooLargeError, readBody } from './read-body.ts';

/** An answer is a few KiB, most of it the security token; 256 KiB is the most that is read. */
export const MAX_ANSWER_BYTES = 262_144;

/** A whole answer. Its text may hold a key: never log or throw it. */
export interface Answer {
  readonly status: number;
  readonly headers: FetchedResponse['headers'];
  readonly text: string;
}

/**
 * Asks and reads the whole answer, whatever its status. A redirect is an answer like any other: it is never
 * followed, because the request carries a token.
 *
 * @throws OutboundError `connection` or `too_large`
 */
export async function fetchAnswer(
  fetch: Fetch,
  url: string,
  init: Omit<FetchInit, 'redirect'>,
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
    if (error instanceof BodyTooLargeError) throw new OutboundError('too_large');
    throw new OutboundError('connection', { cause: error });
  }
}
