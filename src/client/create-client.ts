import type { ClientOptions, RequestOptions } from './client-options.ts';
import { UnexpectedAnswerError } from './errors.ts';
import { createKeptLists } from './kept-lists.ts';
import { type ImageCache, readList } from './read-list.ts';
import { readProblem } from './read-problem.ts';
import { sendRequest } from './send-request.ts';
import { withRetries } from './with-retries.ts';

export interface ImageCacheList {
  readonly imageCaches: readonly ImageCache[];
  /** How long ago the service had loaded it. */
  readonly ageSeconds: number;
  /** For how long it is fresh; 0 when it is stale. */
  readonly freshForSeconds: number;
  readonly etag: string | undefined;
  /** How the service came to it (RFC 9211). */
  readonly cacheStatus: string | undefined;
}

export interface ImageCachesClient {
  /**
   * The whole list, or the image caches of just this name.
   *
   * @throws ImageCachesProblem what the service says
   * @throws UnexpectedAnswerError when something else answered
   * @throws the reason of the signal; TypeError when the network failed; DOMException TimeoutError
   */
  list(options?: RequestOptions & { readonly name?: string }): Promise<ImageCacheList>;
  /** The image cache of this name; undefined when there is none. The first, should there be several. */
  get(name: string, options?: RequestOptions): Promise<ImageCache | undefined>;
}

/**
 * A client of imagecaches-bff, for browsers, Node and Workers, without dependencies.
 *
 * A list that is kept belongs to the client. Giving it again after a 304 is safe also when the token changes, since
 * the service authorises a request before it compares ETags, and the list is the same for all who may have it.
 */
export function createClient(options: ClientOptions): ImageCachesClient {
  const {
    token,
    timeoutMs = 10_000,
    maxRetries = 2,
    maxRetryDelayMs = 10_000,
    maxKeptLists = 100,
    // Not unbound: browsers want it called on the global object.
    fetch: send = (input, init) => fetch(input, init),
  } = options;
  const endpoint = `${new URL(options.baseUrl).href.replace(/\/+$/, '')}/imagecaches`;
  const sender = { token, timeoutMs, fetch: send };
  const kept = createKeptLists(maxKeptLists);

  function request(url: string, requestOptions: RequestOptions): Promise<Response> {
    const attempt = () => sendRequest(url, sender, requestOptions, () => kept.get(url)?.etag);
    return withRetries(attempt, {
      maxRetries,
      maxRetryDelayMs,
      canRenewToken: typeof token === 'function',
      signal: requestOptions.signal,
    });
  }

  async function list({ name, ...requestOptions }: RequestOptions & { name?: string } = {}) {
    const url = name === undefined ? endpoint : `${endpoint}?name=${encodeURIComponent(name)}`;
    const response = await request(url, requestOptions);
    const { status, headers } = response;
    const held = kept.get(url);
    if (status === 304) {
      if (held === undefined)
        throw new UnexpectedAnswerError(status, 'the answer refers to a list that is not kept');
      kept.keep(url, held);
      return toList(held.imageCaches, headers);
    }
    const text = await response.text();
    if (status !== 200) throw readProblem(response, text);
    const imageCaches = readList(text);
    if (imageCaches === undefined)
      throw new UnexpectedAnswerError(status, 'the answer is not a list of image caches');
    const etag = headers.get('etag');
    if (etag !== null && maxKeptLists > 0) kept.keep(url, { etag, imageCaches });
    return toList(imageCaches, headers);
  }

  return {
    list,
    async get(name, requestOptions = {}) {
      const { imageCaches } = await list({ ...requestOptions, name });
      return imageCaches[0];
    },
  };
}

function toList(imageCaches: readonly ImageCache[], headers: Headers): ImageCacheList {
  const [, maxAge = '0'] = /max-age=(\d{1,9})/.exec(headers.get('cache-control') ?? '') ?? [];
  return {
    imageCaches,
    ageSeconds: Number(/^\d{1,9}$/.exec(headers.get('age') ?? '')?.[0] ?? 0),
    freshForSeconds: Number(maxAge),
    etag: headers.get('etag') ?? undefined,
    cacheStatus: headers.get('cache-status') ?? undefined,
  };
}
