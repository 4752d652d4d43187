import { createMiddleware } from 'hono/factory';
import type { TraceDecision, Tracer } from '../observability/tracing.ts';
import type { AppEnv } from './env.ts';
import { KNOWN_METHODS } from './known-methods.ts';
import { routeOf, UNMATCHED } from './observe.ts';

/** Where a server that has asked the tracer already puts its decision, so that it is drawn once. */
export interface TracedBindings {
  readonly traceDecision?: TraceDecision | undefined;
}

/**
 * The `server` span of a request. Names and attributes are those of the OpenTelemetry semantic conventions for HTTP,
 * without any that a caller can choose freely: no URL, no query, no header.
 */
export const trace = (tracer: Tracer) =>
  createMiddleware<AppEnv>((c, next) => {
    const { method } = c.req;
    const isKnown = KNOWN_METHODS.has(method);
    const name = isKnown ? method : 'HTTP';
    const route = routeOf(c, c.get('record'));
    const hasRoute = route !== UNMATCHED;
    return tracer.inSpan(
      {
        name: hasRoute ? `${name} ${route}` : name,
        kind: 'server',
        parentHeaders: c.req.raw.headers,
        decision: (c.env as TracedBindings | undefined)?.traceDecision,
        attributes: {
          'http.request.method': isKnown ? method : '_OTHER',
          ...(hasRoute ? { 'http.route': route } : {}),
        },
      },
      async (span) => {
        await next();
        const { status } = c.res;
        span.setAttribute('http.response.status_code', status);
        // The caller's faults are no failures of ours.
        if (status >= 500) span.fail(String(status));
      },
    );
  });
