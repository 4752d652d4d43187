import type { ClientOptions, RequestOptions } from './client-options.ts';
import { untilAborted } from './wait.ts';

export interface Sender {
  readonly fetch: typeof fetch;
  readonly token: ClientOptions['token'];
  readonly timeoutMs: number;
}

/**
 * One request, with its token and its body, within the time limit.
 *
 * @param etagOf ETag of the list that is held, asked for when the token is there; undefined when none is held
 * @throws the reason of the signal; DOMException TimeoutError; whatever fetch and the token's source throw
 */
export async function sendRequest(
  url: string,
  { fetch: send, token, timeoutMs }: Sender,
  { signal, refresh = false }: RequestOptions,
  etagOf: () => string | undefined,
): Promise<Response> {
  const abort = new AbortController();
  const passOn = () => abort.abort(signal?.reason);
  signal?.addEventListener('abort', passOn);
  const timer = setTimeout(
    () => abort.abort(new DOMException(`no answer within ${timeoutMs} ms`, 'TimeoutError')),
    timeoutMs,
  );
  try {
    signal?.throwIfAborted();
    const value = await untilAborted(
      Promise.resolve(typeof token === 'function' ? token() : token),
      abort.signal,
    );
    const etag = etagOf();
    const headers: Record<string, string> = {
      authorization: `Bearer ${value}`,
      accept: 'application/json',
    };
    if (etag !== undefined) headers['if-none-match'] = etag;
    if (refresh) headers['cache-control'] = 'no-cache';
    const response = await untilAborted(
      // The browser's own cache stays out of it: it would answer for another token.
      send(url, { headers, signal: abort.signal, cache: 'no-store', redirect: 'error' }),
      abort.signal,
    );
    // The time limit holds for the body too, so it is read here.
    const text = await untilAborted(response.text(), abort.signal);
    return new Response(isNullBody(response.status) ? null : text, response);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', passOn);
  }
}

function isNullBody(status: number): boolean {
  return status === 204 || status === 304;
}
