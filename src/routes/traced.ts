import type { Context } from 'hono';
import { KNOWN_METHODS } from '../known-methods.ts';
import type { ActiveSpan, Tracer } from '../tracing.ts';
import { UpstreamError } from '../upstream/upstream-error.ts';
import { whenReady } from '../when-ready.ts';

type Handler = (c: Context) => Response | Promise<Response>;

/**
 * Wraps a handler, which never rejects, with the `server` span of a request. Names and attributes are those of
 * the OpenTelemetry semantic conventions for HTTP, without any that a caller can choose freely: no URL, no
 * query, no header. Where nothing is traced the handler stays as it is, and a request pays nothing.
 *
 * @param route the route's pattern; undefined where none matched
 */
export function traced(tracer: Tracer | undefined, route: string | undefined, handler: Handler): Handler {
  if (tracer === undefined) return handler;
  return (c) => {
    const isKnown = KNOWN_METHODS.has(c.req.method);
    const name = isKnown ? c.req.method : 'HTTP';
    return tracer.inSpan(
      {
        name: route === undefined ? name : `${name} ${route}`,
        kind: 'server',
        parentHeaders: c.req.raw.headers,
        attributes: {
          'http.request.method': isKnown ? c.req.method : '_OTHER',
          ...(route === undefined ? {} : { 'http.route': route }),
        },
      },
      (span) => whenReady(handler(c), (response) => answered(span, response)),
    );
  };
}

/** The caller's faults are no failures of ours: only a 5xx marks the span. */
function answered(span: ActiveSpan, response: Response): Response {
  span.setAttribute('http.response.status_code', response.status);
  if (response.status >= 500) span.fail(String(response.status));
  return response;
}

/**
 * Puts a refresh that nobody waits for into a trace of its own, linked to the request that happened to start
 * it: it goes on after that request's answer, and would make the caller's trace seem to last as long.
 */
export function tracedRefresh(
  tracer: Tracer,
  route: string,
): <Value>(refresh: () => Promise<Value>) => Promise<Value> {
  const options = { name: `refresh ${route}`, kind: 'internal', beginsTrace: true } as const;
  return (refresh) =>
    tracer.inSpan(options, async (span) => {
      try {
        return await refresh();
      } catch (error) {
        span.fail(error instanceof UpstreamError ? error.reason : 'internal');
        throw error;
      }
    });
}
