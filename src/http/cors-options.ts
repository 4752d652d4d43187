import type { cors } from 'hono/cors';

/** Response headers that a page may read. */
const EXPOSED_HEADERS = [
  'age',
  'cache-status',
  'etag',
  'ratelimit',
  'ratelimit-policy',
  'retry-after',
  'x-request-id',
];

/** Time that a browser may remember a preflight: 10 minutes. */
const PREFLIGHT_MAX_AGE_SECONDS = 600;

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
