/** A request as the routes read it, whichever server it came through. */
export interface RouteRequest {
  readonly method: string;
  /** Absolute, with the query. */
  readonly url: string;
  /** The same, or its path and query alone: whatever is at hand. */
  readonly target: string;
  readonly headers: { get(name: string): string | null };
  /** What the runtime knows besides, for `Platform.clientAddress`. */
  readonly env: unknown;
}

/** What goes out. Header names are in lower case. */
export interface Answer {
  readonly status: number;
  /** Often one object for many answers: what differs from request to request is not in it. */
  readonly headers: Readonly<Record<string, string>>;
  /** Goes out as X-Request-Id. Letters, digits, `-` and `_`. */
  readonly requestId: string;
  /** Null for an answer that has none, such as a 304. That of HEAD is left out by whoever sends it. */
  readonly body: string | Uint8Array<ArrayBuffer> | null;
}

/**
 * What is served at a path, to GET and HEAD. Never throws and never rejects: every error has become an answer. Hono
 * leads to the routes on every runtime; the routes know nothing of it, so that a server can also ask one directly.
 */
export type Route = (request: RouteRequest) => Answer | Promise<Answer>;

/** An answer for servers that speak fetch. Its length is said, so that HEAD has the headers of GET. */
export function toResponse({ status, headers, requestId, body }: Answer): Response {
  const all = { ...headers, 'x-request-id': requestId };
  if (body === null || headers['content-length'] !== undefined)
    return new Response(body, { status, headers: all });
  const bytes = typeof body === 'string' ? new TextEncoder().encode(body) : body;
  return new Response(bytes, { status, headers: { ...all, 'content-length': String(bytes.byteLength) } });
}
