/**
 * RFC 9457 problem details: the codes a caller can meet and the only table from code to HTTP status.
 * Adding a code here is all it takes; the compiler then asks for its title and status.
 */

import { answer } from './answer.ts';
import { SECURITY_HEADERS } from './security-headers.ts';

interface ProblemKind {
  readonly status: number;
  readonly title: string;
}

/** The table. Exported for the API document, which lists every code. */
export const PROBLEM_KINDS = {
  bad_request: { status: 400, title: 'Bad request' },
  invalid_query: { status: 400, title: 'Invalid query' },
  unauthenticated: { status: 401, title: 'Authentication required' },
  forbidden: { status: 403, title: 'Forbidden' },
  not_found: { status: 404, title: 'Not found' },
  method_not_allowed: { status: 405, title: 'Method not allowed' },
  request_timeout: { status: 408, title: 'The request took too long to arrive' },
  expectation_failed: { status: 417, title: 'Expectation failed' },
  rate_limited: { status: 429, title: 'Too many requests' },
  headers_too_large: { status: 431, title: 'Request headers too large' },
  internal: { status: 500, title: 'Internal error' },
  upstream_rejected: { status: 502, title: 'The cloud refused this service' },
  upstream_failed: { status: 502, title: 'The cloud gave no usable answer' },
  keys_unavailable: { status: 503, title: 'Tokens cannot be verified at the moment' },
  credentials_unavailable: { status: 503, title: 'This service has no credential for the cloud' },
  upstream_throttled: { status: 503, title: 'The cloud is throttling this service' },
  overloaded: { status: 503, title: 'Too busy' },
  upstream_timeout: { status: 504, title: 'The cloud did not answer in time' },
} as const satisfies Record<string, ProblemKind>;

/** A stable, machine-readable cause. It goes to the caller as the member `code`. */
export type ProblemCode = keyof typeof PROBLEM_KINDS;

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

export interface ProblemErrorOptions {
  /** Shown to the caller. Never build it from a token, a credential or anything that came from upstream. */
  readonly detail?: string | undefined;
  /** Response headers that the problem needs, such as WWW-Authenticate or Allow. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Becomes Retry-After, rounded up to whole seconds, at least 1. */
  readonly retryAfterSeconds?: number;
  /** For the log only: a short word of our own that tells two causes with the same code apart. */
  readonly reason?: string | undefined;
  /** For the log only: the claims that failed, by the names that the settings or the RFCs have for them; never a value. */
  readonly claim?: string | undefined;
  /** Another status than the table has for the code. Default: the table's. */
  readonly status?: number;
  /** What the vendor calls this, for its clients. Default: what it calls the code, see vendorErrorResponse. */
  readonly vendorCode?: string | undefined;
}

/** An error with a place in the contract. Whatever is thrown and is not one of these becomes `internal`. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly code: ProblemCode;
  readonly status: number;
  readonly detail: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly reason: string | undefined;
  readonly claim: string | undefined;
  readonly vendorCode: string | undefined;

  constructor(code: ProblemCode, options: ProblemErrorOptions = {}) {
    super(code);
    this.code = code;
    this.status = options.status ?? PROBLEM_KINDS[code].status;
    this.detail = options.detail;
    this.reason = options.reason;
    this.claim = options.claim;
    this.vendorCode = options.vendorCode;
    this.headers =
      options.retryAfterSeconds === undefined
        ? (options.headers ?? {})
        : { ...options.headers, 'retry-after': String(Math.max(1, Math.ceil(options.retryAfterSeconds))) };
  }
}

/** The problem in a few words, the same for every occurrence. */
export function problemTitle(code: ProblemCode): string {
  return PROBLEM_KINDS[code].title;
}

/**
 * The problem for a status that a library answers with: the first code of that status, or `bad_request`; from 500 on
 * `internal`, since the codes there name causes of ours. The status stays as it is.
 */
export function problemOfStatus(status: number): ProblemError {
  const codes = Object.keys(PROBLEM_KINDS) as ProblemCode[];
  const known = codes.find((code) => PROBLEM_KINDS[code].status === status) ?? 'bad_request';
  return new ProblemError(status < 500 ? known : 'internal', { status, reason: 'http_exception' });
}

/** A problem as it goes out, for answers that are written without a Response. */
export interface RenderedProblem {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** The members of a problem document (RFC 9457), as a value. */
export interface ProblemValue {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly instance: string;
  readonly code: ProblemCode;
  /** In place of the header Retry-After, where there are no headers. */
  readonly retry_after_seconds?: number;
}

/** The problem for callers that get values and no answers of HTTP. */
export function problemValue(problem: ProblemError, requestId: string): ProblemValue {
  const retryAfter = problem.headers['retry-after'];
  return {
    ...problemMembers(problem, requestId),
    ...(retryAfter !== undefined && { retry_after_seconds: Number(retryAfter) }),
  };
}

function problemMembers(problem: ProblemError, requestId: string): ProblemValue {
  return {
    type: `urn:imagecaches-bff:problem:${problem.code}`,
    title: problemTitle(problem.code),
    status: problem.status,
    ...(problem.detail === undefined ? {} : { detail: problem.detail }),
    instance: requestId,
    code: problem.code,
  };
}

/**
 * The answer for a problem (RFC 9457). `instance` is the request id, which is also in X-Request-Id and
 * in the log, so that a caller's report leads to the line that says more.
 */
export function renderProblem(problem: ProblemError, requestId: string): RenderedProblem {
  const body = JSON.stringify(problemMembers(problem, requestId));
  return {
    status: problem.status,
    headers: {
      'content-type': PROBLEM_CONTENT_TYPE,
      'cache-control': 'no-store',
      ...SECURITY_HEADERS,
      'x-request-id': requestId,
      ...problem.headers,
    },
    body,
  };
}

/** The same as a Response. */
export function problemResponse(problem: ProblemError, requestId: string): Response {
  const { status, headers, body } = renderProblem(problem, requestId);
  return answer(status, body, headers);
}
