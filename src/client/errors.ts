/** The codes of this version. A later service may send others. */
export type ProblemCode =
  | 'bad_request'
  | 'invalid_query'
  | 'unauthenticated'
  | 'forbidden'
  | 'not_found'
  | 'method_not_allowed'
  | 'request_timeout'
  | 'rate_limited'
  | 'headers_too_large'
  | 'expectation_failed'
  | 'internal'
  | 'upstream_rejected'
  | 'upstream_failed'
  | 'keys_unavailable'
  | 'credentials_unavailable'
  | 'upstream_throttled'
  | 'overloaded'
  | 'upstream_timeout';

interface ProblemMembers {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  readonly instance: string | undefined;
  readonly retryAfterMs: number | undefined;
}

/** An error of the service, as its problem document says it (RFC 9457). */
export class ImageCachesProblem extends Error {
  override readonly name = 'ImageCachesProblem';
  /** Stable: decide by it. */
  readonly code: ProblemCode | (string & {});
  readonly status: number;
  readonly title: string;
  readonly detail: string | undefined;
  /** The request id, for the operator of the service. */
  readonly instance: string | undefined;
  /** When it is worth while to try again, in milliseconds from the answer; undefined when it did not say. */
  readonly retryAfterMs: number | undefined;

  constructor({ code, status, title, detail, instance, retryAfterMs }: ProblemMembers) {
    super(detail === undefined ? `${title} (${code})` : `${title} (${code}): ${detail}`);
    this.code = code;
    this.status = status;
    this.title = title;
    this.detail = detail;
    this.instance = instance;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What came is not what the service sends: something else answered, or another version. */
export class UnexpectedAnswerError extends Error {
  override readonly name = 'UnexpectedAnswerError';
  readonly status: number;

  constructor(status: number, what: string) {
    super(`${what} (status ${status})`);
    this.status = status;
  }
}
