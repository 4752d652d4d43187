import { ImageCachesProblem, UnexpectedAnswerError } from './errors.ts';
import { type ImageCache, isObject, parseJson, readList } from './read-list.ts';
import { untilAborted, wait } from './wait.ts';

export interface ClientOptions {
  /** Where the service is, such as `https://imagecaches.example.com`; a path is kept. */
  readonly baseUrl: string;
  /** A token, or what gets one; it is asked before every request, and once more when a token was refused. */
  readonly token: string | (() => string | Promise<string>);
  /** Default: the global one. */
  readonly fetch?: typeof fetch;
  /** For one attempt, milliseconds. Default 10,000, which is more than the deadline that the service has upstream. */
  readonly timeoutMs?: number;
  /** After 429 and 503 with Retry-After, and after failures of the network. Default 2; 0: none. */
  readonly maxRetries?: number;
  /** Longer than this is not waited before a retry: the problem is thrown at once. Default 10,000. */
  readonly maxRetryDelayMs?: number;
  /** So many lists are kept, with their ETags, so that an unchanged one is not sent again. Default 100; 0: none. */
  readonly maxKeptLists?: number;
}

export interface RequestOptions {
  readonly signal?: AbortSignal;
  /** Asks for a newer list than the cached one; heeded for tokens with the refresh scope, once a second. */
  readonly refresh?: boolean;
}

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

interface KeptList {
  readonly etag: string;
  readonly imageCaches: readonly ImageCache[];
}

/** Before a retry without Retry-After. */
const NETWORK_RETRY_MS = 200;
/** After a failure of the network: it is asked for once more only. */
const MAX_NETWORK_RETRIES = 1;

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
  /** The one that was used last is last. */
  const kept = new Map<string, KeptList>();

  function keep(url: string, list: KeptList): void {
    kept.delete(url);
    kept.set(url, list);
    const [oldest] = kept.keys();
    if (kept.size > maxKeptLists && oldest !== undefined) kept.delete(oldest);
  }

  async function attempt(url: string, { signal, refresh = false }: RequestOptions): Promise<Response> {
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
      const held = kept.get(url);
      const headers: Record<string, string> = {
        authorization: `Bearer ${value}`,
        accept: 'application/json',
      };
      if (held !== undefined) headers['if-none-match'] = held.etag;
      if (refresh) headers['cache-control'] = 'no-cache';
      const response = await untilAborted(
        // The browser's own cache stays out of it: it would answer for another token.
        send(url, { headers, signal: abort.signal, cache: 'no-store', redirect: 'error' }),
        abort.signal,
      );
      // The body too has to come in time, so it is read here.
      const text = await untilAborted(response.text(), abort.signal);
      return new Response(isNullBody(response.status) ? null : text, response);
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', passOn);
    }
  }

  /** The answer, after as many retries as are worth while. */
  async function request(url: string, requestOptions: RequestOptions): Promise<Response> {
    let networkRetries = 0;
    let tokenRetries = 0;
    for (let retries = 0; ; retries += 1) {
      let response: Response;
      try {
        response = await attempt(url, requestOptions);
      } catch (error) {
        const mayRetry = error instanceof TypeError && networkRetries < MAX_NETWORK_RETRIES;
        if (!mayRetry || retries >= maxRetries || requestOptions.signal?.aborted) throw error;
        networkRetries += 1;
        await wait(NETWORK_RETRY_MS, requestOptions.signal);
        continue;
      }
      if (response.status === 401 && typeof token === 'function' && tokenRetries === 0 && maxRetries > 0) {
        tokenRetries += 1;
        continue;
      }
      const retryAfterMs = readRetryAfter(response);
      const isWorthWhile = response.status === 429 || response.status === 503;
      if (!isWorthWhile || retryAfterMs === undefined) return response;
      if (retries >= maxRetries || retryAfterMs > maxRetryDelayMs) return response;
      await wait(retryAfterMs, requestOptions.signal);
    }
  }

  async function list({ name, ...requestOptions }: RequestOptions & { name?: string } = {}) {
    const url = name === undefined ? endpoint : `${endpoint}?name=${encodeURIComponent(name)}`;
    const response = await request(url, requestOptions);
    const { status, headers } = response;
    const held = kept.get(url);
    if (status === 304) {
      if (held === undefined)
        throw new UnexpectedAnswerError(status, 'the answer refers to a list that is not kept');
      keep(url, held);
      return toList(held.imageCaches, headers);
    }
    const text = await response.text();
    if (status !== 200) throw toProblem(response, text);
    const imageCaches = readList(text);
    if (imageCaches === undefined)
      throw new UnexpectedAnswerError(status, 'the answer is not a list of image caches');
    const etag = headers.get('etag');
    if (etag !== null && maxKeptLists > 0) keep(url, { etag, imageCaches });
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

function isNullBody(status: number): boolean {
  return status === 204 || status === 304;
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

/** Milliseconds from now, of seconds or of a date (RFC 9110, section 10.2.3); undefined when it is absent or neither. */
function readRetryAfter({ headers }: Response): number | undefined {
  const text = headers.get('retry-after');
  if (text === null) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? undefined : Math.max(0, dateMs - Date.now());
}

function toProblem(response: Response, text: string): Error {
  const { status } = response;
  const body = parseJson(text);
  if (!isObject(body) || typeof body.code !== 'string' || typeof body.title !== 'string')
    return new UnexpectedAnswerError(status, 'the answer is neither a list nor a problem of this service');
  const { code, title, detail, instance } = body;
  return new ImageCachesProblem({
    code: code as string,
    status,
    title: title as string,
    detail: typeof detail === 'string' ? detail : undefined,
    instance: typeof instance === 'string' ? instance : undefined,
    retryAfterMs: readRetryAfter(response),
  });
}
