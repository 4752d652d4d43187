import { describeError } from '../observability/describe-error.ts';
import type { Logger, RequestFields } from '../observability/logger.ts';
import type { Platform } from '../platform/platform.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import { ProblemError, problemAnswer } from './problem.ts';
import { createRequestIdSource } from './request-id.ts';
import type { Answer, Route, RouteRequest } from './route.ts';

/** What is known of one request; it becomes the request's log line. */
export interface RequestScope {
  readonly requestId: string;
  /** The pattern of the route, never the path as sent. */
  readonly route: string;
  subject: string | undefined;
  issuer: string | undefined;
  /** Undefined: refused, or nobody had to be asked. */
  access: 'granted' | undefined;
  /** The name filter, once it is valid. */
  name: string | undefined;
  cache: string | undefined;
}

/** How a problem goes out: as problem+json, or as the vendor's clients expect it. */
export type ErrorForm = (problem: ProblemError, requestId: string) => Answer;

export type ScopedHandler = (request: RouteRequest, scope: RequestScope) => Answer | Promise<Answer>;

/** Short, and without a dot: a token that strays into this header is not taken for an id. */
const SANE_REQUEST_ID = /^[A-Za-z0-9_-]{1,128}$/;

/**
 * Wraps a handler with all that every request needs: an id, the way from any error to a problem, and one
 * log line. Hono's middleware is not used for it, because a chain of them makes every answer asynchronous
 * and gives its headers a detour, and a cache hit needs neither.
 *
 * @param route the route's pattern, for the log
 * @param level the level of the log line of a good answer; probes are frequent and say little
 * @param toAnswer the form of errors on this route
 */
export function scoped(
  route: string,
  deps: Pick<Platform, 'now' | 'logger' | 'metrics'>,
  handler: ScopedHandler,
  level: 'info' | 'debug' = 'info',
  toAnswer: ErrorForm = problemAnswer,
): Route {
  const makeRequestId = createRequestIdSource();
  const { logger } = deps;
  const log = (of: 'debug' | 'info' | 'warn', fields: RequestFields): void =>
    logger.request === undefined ? logger[of](fields, 'request') : logger.request(of, fields);
  return (request) => {
    const startedAtMs = deps.now();
    const sentId = request.headers.get('x-request-id');
    const scope: RequestScope = {
      requestId: sentId !== null && SANE_REQUEST_ID.test(sentId) ? sentId : makeRequestId(),
      route,
      subject: undefined,
      issuer: undefined,
      access: undefined,
      name: undefined,
      cache: undefined,
    };
    const finish = (answer: Answer, problem?: ProblemError): Answer => {
      const ms = deps.now() - startedAtMs;
      deps.metrics.requestAnswered(route, request.method, answer.status, ms);
      log(levelOf(answer.status, level), {
        requestId: scope.requestId,
        method: request.method,
        route,
        status: answer.status,
        ms,
        access: scope.access ?? accessRefused(problem),
        name: scope.name,
        cache: scope.cache,
        subject: scope.subject,
        issuer: scope.issuer,
        code: problem?.code,
        reason: problem?.reason,
      });
      return answer;
    };
    const fail = (error: unknown): Answer => {
      const problem = problemFor(error, scope.requestId, deps.logger);
      return finish(toAnswer(problem, scope.requestId), problem);
    };
    try {
      const answer = handler(request, scope);
      return answer instanceof Promise ? answer.then(finish, fail) : finish(answer);
    } catch (error) {
      return fail(error);
    }
  };
}

/** Faults of ours and of upstream are warnings, whatever the route. */
function levelOf(status: number, ofGoodAnswers: 'info' | 'debug'): 'debug' | 'info' | 'warn' {
  if (status >= 500) return 'warn';
  return status < 400 ? ofGoodAnswers : 'info';
}

const REFUSALS: ReadonlySet<string> = new Set([
  'unauthenticated',
  'forbidden',
  'rate_limited',
  'keys_unavailable',
]);

/** For the audit: whether the caller was turned away, which is something else than an error after it was let in. */
function accessRefused(problem: ProblemError | undefined): 'refused' | undefined {
  return problem !== undefined && REFUSALS.has(problem.code) ? 'refused' : undefined;
}

/** The problem that an error becomes. Its own text goes nowhere; what is ours to mend is logged as an error. */
function problemFor(error: unknown, requestId: string, logger: Logger): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof UpstreamError) {
    return new ProblemError(error.kind, {
      reason: error.reason,
      ...(error.kind === 'upstream_throttled' || error.kind === 'overloaded'
        ? { retryAfterSeconds: error.retryAfterSeconds ?? 1 }
        : {}),
    });
  }
  logger.error({ requestId, error: describeError(error) }, 'internal error');
  return new ProblemError('internal', { reason: 'unexpected' });
}
