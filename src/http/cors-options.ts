import type { cors } from 'hono/cors';

/** Response headers that a page may read. */
const EXPOSED_HEADERS = [
  'age',
  'cache-status',
  'etag',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'www-authenticate',
  'x-request-id',
];

/** Time that a browser may remember a preflight: 10 minutes. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

/** The headers of an answer with those that `cors` adds to it, kept for the origin that asked last. */
const withCors = new WeakMap<object, { readonly origin: string | null; readonly headers: Headers }>();
type Headers = Readonly<Record<string, string>>;

/**
 * The headers of an answer that does not come through Hono's `cors`, with the same ones added.
 *
 * @param headers with a Vary; one object for many answers
 * @param origin the value of the request's Origin; null when absent
 */
export function corsHeadersOf(headers: Headers, origin: string | null, origins: readonly string[]): Headers {
  const known = withCors.get(headers);
  if (known?.origin === origin) return known.headers;
  const isAllowed = origin !== null && origins.includes(origin);
  const added = {
    ...headers,
    ...(isAllowed && { 'access-control-allow-origin': origin }),
    'access-control-expose-headers': EXPOSED_HEADERS.join(','),
    vary: `${headers.vary}, Origin`,
  };
  // An origin that is not allowed may be any text.
  if (isAllowed || origin === null) withCors.set(headers, { origin, headers: added });
  return added;
}

/** What a page of a configured origin may send and read. It needs no cookie: callers bring a token. */
export function corsOptions(origins: readonly string[]): NonNullable<Parameters<typeof cors>[0]> {
  return {
    origin: [...origins],
    allowMethods: ['GET', 'HEAD'],
    allowHeaders: ['authorization', 'cache-control', 'if-none-match', 'x-request-id'],
    exposeHeaders: EXPOSED_HEADERS,
    maxAge: PREFLIGHT_MAX_AGE_SECONDS,
  };
}
