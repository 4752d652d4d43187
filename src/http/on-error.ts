import type { Context, ErrorHandler, NotFoundHandler } from 'hono';
import { createMiddleware } from 'hono/factory';
import { HTTPException } from 'hono/http-exception';
import { describeError } from '../observability/describe-error.ts';
import type { Logger } from '../observability/logger.ts';
import { UpstreamError } from '../vendor/upstream-error.ts';
import type { AppEnv } from './env.ts';
import { UNMATCHED } from './observe.ts';
import { PROBLEM_KINDS, ProblemError, problemOfStatus, problemResponse } from './problem.ts';
import { isVendorPath, vendorErrorResponse } from './vendor-error.ts';

/** How a problem goes out: as problem+json, or as the vendor's clients expect it. */
export type ProblemForm = (problem: ProblemError, requestId: string) => Response;

/** Something was thrown that is no Error. Its value is not kept: it could be anything. */
class ThrownValue extends Error {
  override readonly name = 'ThrownValue';
}

/**
 * Turns whatever is thrown into an Error: Hono gives only those to its error handler, and rejects with anything else.
 */
export const throwErrorsOnly = () =>
  createMiddleware(async (_c, next) => {
    try {
      await next();
    } catch (thrown) {
      throw asError(thrown);
    }
  });

function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new ThrownValue(typeof thrown);
}

/** The error handler: every error becomes a problem, in the form of the room. */
export function answerErrors(logger: Logger, form: ProblemForm = problemResponse): ErrorHandler<AppEnv> {
  return (error, c) => respondWith(c, problemFor(error, c.get('requestId'), logger), form);
}

/** The 404 of a path that nothing serves. */
export const notFound: NotFoundHandler<AppEnv> = (c) =>
  respondUnmatched(c, new ProblemError('not_found', { detail: 'there is nothing at this path' }));

/** The 405 of a path that is served to other methods (RFC 9110, section 15.5.6). */
export function methodNotAllowedAnswer(c: Context<AppEnv>, methods: readonly string[]): Response {
  const allow = methods.join(', ');
  return respondUnmatched(
    c,
    new ProblemError('method_not_allowed', {
      detail: `only ${methods.join(' and ')} are allowed here`,
      headers: { allow },
    }),
  );
}

function respondUnmatched(c: Context<AppEnv>, problem: ProblemError): Response {
  c.get('record').route = UNMATCHED;
  return respondWith(c, problem, isVendorPath(c.req.path) ? vendorErrorResponse : problemResponse);
}

function respondWith(c: Context<AppEnv>, problem: ProblemError, form: ProblemForm): Response {
  c.get('record').problem = problem;
  return form(problem, c.get('requestId'));
}

/**
 * The problem that an error becomes. Its own text goes nowhere; a fault of ours is logged as an error.
 *
 * @param error anything that was thrown
 */
export function problemFor(error: unknown, requestId: string, logger: Logger): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof UpstreamError) {
    return new ProblemError(error.kind, {
      reason: error.reason,
      ...(PROBLEM_KINDS[error.kind].status === 503 && { retryAfterSeconds: error.retryAfterSeconds ?? 1 }),
    });
  }
  if (error instanceof HTTPException && error.status < 500) return problemOfStatus(error.status);
  logger.error({ requestId, error: describeError(error) }, 'internal error');
  return error instanceof HTTPException
    ? problemOfStatus(error.status)
    : new ProblemError('internal', { reason: 'unexpected' });
}
