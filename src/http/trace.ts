import { createMiddleware } from 'hono/factory';
import type { Config } from '../config/config.ts';
import {
  REQUEST_ID_ATTRIBUTE,
  type SpanAttributes,
  type TraceDecision,
  type Tracer,
} from '../observability/tracing.ts';
import type { AppEnv } from './env.ts';
import { KNOWN_METHODS } from './known-methods.ts';
import { routeOf, UNMATCHED } from './observe.ts';

/** Where a server that has asked the tracer already puts its decision, so that it is drawn once. */
export interface TracedBindings {
  readonly traceDecision?: TraceDecision | undefined;
  /** Of HTTP, such as `1.1`. */
  readonly httpVersion?: string | undefined;
}

/** What stands for a path or a query that a caller chose freely. */
const REDACTED = 'REDACTED';

/** What the attributes of a server span are made of, at its start. */
export interface ServedRequest {
  readonly requestId: string;
  readonly method: string;
  /** The pattern of its route; undefined: none matched. */
  readonly route: string | undefined;
  readonly scheme: 'http' | 'https';
  readonly httpVersion: string | undefined;
}

/**
 * The attributes of a server span, by OpenTelemetry's semantic conventions for HTTP, and the id of the request. The path
 * is the pattern of the route that matched, so that no id of a caller's is in it; any other path could be anything.
 *
 * @param own of this server, see serverAttributes
 */
export function requestAttributes(
  { requestId, method, route, scheme, httpVersion }: ServedRequest,
  own: SpanAttributes,
): SpanAttributes {
  return {
    ...own,
    'http.request.method': method,
    'url.scheme': scheme,
    'url.path': route ?? `/${REDACTED}`,
    ...(route !== undefined && { 'http.route': route }),
    ...(httpVersion !== undefined && { 'network.protocol.version': httpVersion }),
    [REQUEST_ID_ATTRIBUTE]: requestId,
  };
}

/** Where this server listens, unless that is every address: the host that a caller names could be anything. */
export function serverAttributes({ host, port }: Config['listen']): SpanAttributes {
  return port === 0 || host === '0.0.0.0' || host === '::'
    ? {}
    : { 'server.address': host, 'server.port': port };
}

/** `url.query`, with nothing but the name of a list, which has been checked. */
export function queryOf(name: string): string {
  return `name=${name}`;
}

/**
 * The `server` span of a request, without anything that a caller can choose freely: no path but ours, no header but the
 * request's id, no query but a valid name.
 */
export const trace = (tracer: Tracer, listen: Config['listen']) => {
  const own = serverAttributes(listen);
  return createMiddleware<AppEnv>((c, next) => {
    const { method, url } = c.req;
    const isKnown = KNOWN_METHODS.has(method);
    const name = isKnown ? method : 'HTTP';
    const record = c.get('record');
    const pattern = routeOf(c, record);
    const route = pattern === UNMATCHED ? undefined : pattern;
    const bindings = c.env as TracedBindings | undefined;
    return tracer.inSpan(
      {
        name: route === undefined ? name : `${name} ${route}`,
        kind: 'server',
        parentHeaders: c.req.raw.headers,
        decision: bindings?.traceDecision,
        attributes: requestAttributes(
          {
            requestId: c.get('requestId'),
            method: isKnown ? method : '_OTHER',
            route,
            scheme: url.startsWith('https:') ? 'https' : 'http',
            httpVersion: bindings?.httpVersion,
          },
          own,
        ),
      },
      async (span) => {
        record.trace = span.ids;
        await next();
        if (url.includes('?'))
          span.setAttribute('url.query', record.name === undefined ? REDACTED : queryOf(record.name));
        const { status } = c.res;
        span.setAttribute('http.response.status_code', status);
        // The caller's faults are no failures of ours.
        if (status >= 500) span.fail(String(status));
      },
    );
  });
};
