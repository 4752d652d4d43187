import { AUTH_TOKEN_HEADER } from './auth/bearer.ts';
import type { Principal } from './auth/principal.ts';
import type { Representation } from './cache/encoded-bodies.ts';
import type { CacheAnswer } from './cache/list-cache.ts';
import type { Shared } from './composition/shared.ts';
import { corsHeadersOf } from './http/cors-options.ts';
import { createRequestRecord } from './http/env.ts';
import { matchesEtag } from './http/etag.ts';
import { reportAnswer, traceOfCaller } from './http/observe.ts';
import { requestIdFor } from './http/request-id.ts';
import { queryOf, requestAttributes, serverAttributes } from './http/trace.ts';
import { VENDOR_VARY } from './http/vendor-shaped.ts';
import { listHeaders } from './imagecaches/answer-headers.ts';
import { IMAGE_CACHES_PATH, type ImageCacheLists } from './imagecaches/lists.ts';
import { asksForRefresh, type PlainTarget, readPlainTarget } from './imagecaches/query.ts';
import type { TraceIds } from './observability/trace-ids.ts';
import type { SpanAttributes, SpanOptions, TraceDecision } from './observability/tracing.ts';

/** As nearly all callers spell it; any other case and spacing is for the app. */
const TOKEN_SCHEME = 'Bearer ';

/** A request as a server has it, before it becomes one of fetch. */
export interface HitRequest {
  readonly method: string;
  /** Path and query, as sent. */
  readonly target: string;
  /** A header by its name in lower case; null when absent. */
  get(name: string): string | null;
  /** For spans, as httpVersion. */
  readonly scheme?: 'http' | 'https';
  /** Such as `1.1`. */
  readonly httpVersion?: string;
  /** Set where the tracer was asked: for the app, so that the decision is drawn once. */
  traceDecision?: TraceDecision;
}

/** The answer to a hit. */
export interface Hit {
  readonly status: 200 | 304;
  /** Names in lower case. One object for many answers. */
  readonly headers: Readonly<Record<string, string>>;
  /** Goes out as X-Request-Id. */
  readonly requestId: string;
  readonly body: Uint8Array<ArrayBuffer> | null;
}

/**
 * Answers a cache hit for a recently verified token, without a promise and without the app.
 *
 * @returns undefined when the app has to be asked: then nothing was counted, limited, logged, loaded or drawn, but for
 *   `traceDecision`
 */
export type Hits = (request: HitRequest) => Hit | undefined;

/** What makes a request a hit. */
interface FoundHit {
  readonly wanted: PlainTarget;
  readonly principal: Principal;
  readonly found: CacheAnswer;
  readonly representation: Representation;
}

/**
 * The one way past Hono. It answers as the app would, to the byte, what most requests are: GET and HEAD of a list, plainly
 * spelled, with a token that was verified lately, for a list that is fresh, or stale while its refresh is paused or under
 * way. It starts no load. The rate limit is taken last, so that a request that the app is asked for counts once.
 */
export function createHits(
  { authenticator, config, limits, platform }: Shared,
  lists: ImageCacheLists,
): Hits {
  const { elapsed, tracer } = platform;
  const { metrics } = lists.target.platform;
  const { perPrincipal } = limits;
  const ownAttributes = serverAttributes(config.listen);
  const vendorVary = `${lists.vary}, ${VENDOR_VARY}`;
  const isCors = config.corsOrigins.length > 0;

  function recall(authorization: string | null): Principal | undefined {
    if (authorization === null || !authorization.startsWith(TOKEN_SCHEME)) return undefined;
    const principal = authenticator.recall(authorization.slice(TOKEN_SCHEME.length));
    return principal?.refusal === undefined ? principal : undefined;
  }

  /** Counts and logs a hit that nothing stands against any more. */
  function answer(
    request: HitRequest,
    startedAtMs: number,
    hit: FoundHit,
    requestId: string,
    trace: TraceIds | undefined,
  ): Hit {
    const { wanted, principal, found, representation } = hit;
    metrics.cacheAnswered(found.outcome, startedAtMs - found.response.storedAtMs);
    const isHeld = matchesEtag(request.get('if-none-match'), representation.etag);
    const status = isHeld ? 304 : 200;
    const { always, full } = listHeaders(representation, found, {
      isForced: false,
      vary: isVendorRoute(wanted) ? vendorVary : lists.vary,
      nowMs: startedAtMs,
    });
    const headers = isHeld ? always : full;
    const record = createRequestRecord();
    record.subject = principal.subject;
    record.issuer = principal.issuer;
    record.access = 'granted';
    record.name = wanted.name;
    record.cache = found.outcome;
    record.trace = trace;
    const { method } = request;
    const { route } = wanted;
    reportAnswer(platform, { requestId, method, route, status, ms: elapsed() - startedAtMs }, record);
    return {
      status,
      headers: isCors ? corsHeadersOf(headers, request.get('origin'), config.corsOrigins) : headers,
      requestId,
      body: isHeld ? null : representation.body,
    };
  }

  return (request) => {
    const startedAtMs = elapsed();
    const { method, target } = request;
    if (method !== 'GET' && method !== 'HEAD') return undefined;
    // It answers with a promise.
    if (platform.limitRate !== undefined) return undefined;
    const wanted = readPlainTarget(target);
    if (wanted === undefined || asksForRefresh(request.get('cache-control'))) return undefined;
    // Two tokens may contradict each other.
    if (isVendorRoute(wanted) && request.get(AUTH_TOKEN_HEADER) !== null) return undefined;
    const principal = recall(request.get('authorization'));
    if (principal === undefined) return undefined;
    const found = lists.cache.peek(wanted.name);
    if (found === undefined) return undefined;
    const representation = lists.peekRepresentation(found.response, request.get('accept-encoding'));
    if (representation === undefined) return undefined;
    const decision = tracer?.decide(request);
    if (decision !== undefined) request.traceDecision = decision;
    if (perPrincipal?.take(principal.limitKey, startedAtMs) !== undefined) return undefined;

    const hit = { wanted, principal, found, representation };
    const requestId = requestIdFor(request.get('x-request-id'));
    if (tracer === undefined || decision === undefined)
      return answer(request, startedAtMs, hit, requestId, traceOfCaller(request.get('traceparent')));
    if (!decision.isSampled)
      return answer(request, startedAtMs, hit, requestId, { traceId: decision.traceId, spanId: undefined });
    const options = serverSpan(request, wanted, requestId, decision, ownAttributes);
    return tracer.inSpan(options, (span) => {
      const answered = answer(request, startedAtMs, hit, requestId, span.ids);
      span.setAttribute('http.response.status_code', answered.status);
      return answered;
    });
  };
}

const isVendorRoute = ({ route }: PlainTarget): boolean => route !== IMAGE_CACHES_PATH;

/** The span that http/trace.ts would give the request. */
function serverSpan(
  request: HitRequest,
  { route, name }: PlainTarget,
  requestId: string,
  decision: TraceDecision,
  own: SpanAttributes,
): SpanOptions {
  const { method, scheme = 'http', httpVersion } = request;
  const attributes = requestAttributes({ requestId, method, route, scheme, httpVersion }, own);
  return {
    name: `${method} ${route}`,
    kind: 'server',
    parentHeaders: request,
    decision,
    attributes: name === undefined ? attributes : { ...attributes, 'url.query': queryOf(name) },
  };
}
