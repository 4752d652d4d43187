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
