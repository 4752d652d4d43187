import type { ActiveSpan, Tracer } from '../observability/tracing.ts';
import { whenReady } from '../platform/when-ready.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import { KNOWN_METHODS } from './known-methods.ts';
import type { Answer, Route } from './route.ts';

/**
 * Wraps a route with the `server` span of a request. Names and attributes are those of
 * the OpenTelemetry semantic conventions for HTTP, without any that a caller can choose freely: no URL, no
 * query, no header. Where nothing is traced the route stays as it is, and a request pays nothing.
 *
 * @param pattern the route's; undefined where none matched
 */
export function traced(tracer: Tracer | undefined, pattern: string | undefined, route: Route): Route {
  if (tracer === undefined) return route;
  return (request) => {
    const isKnown = KNOWN_METHODS.has(request.method);
    const name = isKnown ? request.method : 'HTTP';
    return tracer.inSpan(
      {
        name: pattern === undefined ? name : `${name} ${pattern}`,
        kind: 'server',
        parentHeaders: request.headers,
        attributes: {
          'http.request.method': isKnown ? request.method : '_OTHER',
          ...(pattern === undefined ? {} : { 'http.route': pattern }),
        },
      },
      (span) => whenReady(route(request), (answer) => answered(span, answer)),
    );
  };
}

/** The caller's faults are no failures of ours: only a 5xx marks the span. */
function answered(span: ActiveSpan, answer: Answer): Answer {
  span.setAttribute('http.response.status_code', answer.status);
  if (answer.status >= 500) span.fail(String(answer.status));
  return answer;
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
