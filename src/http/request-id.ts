import { createMiddleware } from 'hono/factory';
import type { AppEnv } from './env.ts';

/** Short, and without a dot: a token that strays into this header is not taken for an id. */
const SANE_REQUEST_ID = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * The id of a request: the one that the caller sent, if it is 1 to 128 letters, digits, `-` and `_`; else a new UUID.
 *
 * @param sent the value of X-Request-Id
 */
export function requestIdFor(sent: string | null | undefined): string {
  return sent != null && SANE_REQUEST_ID.test(sent) ? sent : crypto.randomUUID();
}

/** Sets `c.var.requestId`, and X-Request-Id of every answer. */
export const requestId = () =>
  createMiddleware<AppEnv>(async (c, next) => {
    const id = requestIdFor(c.req.header('x-request-id'));
    c.set('requestId', id);
    await next();
    // Not c.header(), which copies the whole response once there is one.
    c.res.headers.set('x-request-id', id);
  });
