import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { routePath } from 'hono/route';
import type { RequestFields } from '../observability/logger.ts';
import { type TraceIds, traceIdOf } from '../observability/trace-ids.ts';
import type { Platform } from '../platform/platform.ts';
import { type AppEnv, createRequestRecord, type RequestRecord } from './env.ts';

/** What stands for the route where none matched, and where the method is not allowed. */
export const UNMATCHED = 'unmatched';

/** An answer, as log and metrics see it. */
export interface ObservedAnswer {
  readonly requestId: string;
  readonly method: string;
  /** A pattern, never the path as sent. */
  readonly route: string;
  readonly status: number;
  /** Milliseconds. */
  readonly ms: number;
}

/** Counts an answer and writes its log line: the one place for all answers, whether they came through Hono or not. */
export function reportAnswer(
  { logger, metrics }: Pick<Platform, 'logger' | 'metrics'>,
  { requestId, method, route, status, ms }: ObservedAnswer,
  record: RequestRecord,
): void {
  metrics.requestAnswered(route, method, status, ms);
  const { access, name, cache, subject, issuer, problem, trace } = record;
  const fields: RequestFields = {
    requestId,
    trace_id: trace?.traceId,
    span_id: trace?.spanId,
    method,
    route,
    status,
    ms: Math.round(ms),
    access: access ?? accessDenied(problem),
    name,
    cache,
    subject,
    issuer,
    code: problem?.code,
    reason: problem?.reason,
    claim: problem?.claim,
  };
  const level = levelOf(status, record.goodLevel);
  if (logger.request === undefined) logger[level](fields, 'request');
  else logger.request(level, fields);
}

/** The caller's trace, where it sent one: no span of ours is in it. */
export function traceOfCaller(traceparent: string | null | undefined): TraceIds | undefined {
  const traceId = traceIdOf(traceparent);
  return traceId === undefined ? undefined : { traceId, spanId: undefined };
}

/** Sets `c.var.record`, and reports every answer with what the request's way has written there. */
export const observe = (platform: Pick<Platform, 'elapsed' | 'logger' | 'metrics'>) =>
  createMiddleware<AppEnv>(async (c, next) => {
    const startedAtMs = platform.elapsed();
    const record = createRequestRecord();
    record.trace = traceOfCaller(c.req.raw.headers.get('traceparent'));
    c.set('record', record);
    await next();
    const { status } = c.res;
    reportAnswer(
      platform,
      {
        requestId: c.get('requestId'),
        method: c.req.method,
        route: routeOf(c, record),
        status,
        ms: platform.elapsed() - startedAtMs,
      },
      record,
    );
  });

/** The pattern that the request matched. A path that is known under another method counts as not matched. */
export function routeOf(c: Context, { route }: Pick<RequestRecord, 'route'>): string {
  if (route !== undefined) return route;
  const path = routePath(c, -1);
  // Only middleware matched.
  return path === '' || path.endsWith('*') ? UNMATCHED : path;
}

/** Faults of ours and of upstream are warnings, whatever the route. */
function levelOf(status: number, ofGoodAnswers: 'info' | 'debug'): 'debug' | 'info' | 'warn' {
  if (status >= 500) return 'warn';
  return status < 400 ? ofGoodAnswers : 'info';
}

const DENIALS: ReadonlySet<string> = new Set([
  'unauthenticated',
  'forbidden',
  'rate_limited',
  'keys_unavailable',
]);

/** For the audit: a caller that was turned away, which is something else than an error after it was let in. */
function accessDenied(problem: RequestRecord['problem']): 'refused' | undefined {
  return problem !== undefined && DENIALS.has(problem.code) ? 'refused' : undefined;
}
