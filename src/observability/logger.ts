/** One JSON line per call. Fields are chosen one by one by the caller; nothing is logged whole. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** The line of a request, message `request`, where the runtime has a quicker way for it. */
  request?(level: 'debug' | 'info' | 'warn', fields: RequestFields): void;
}

/** The fields of a request's log line; members that are undefined are left out. */
export interface RequestFields {
  /** Letters, digits, `-` and `_`. */
  readonly requestId: string;
  /** Hexadecimal digits, by OpenTelemetry's names for logs. The id of the caller's trace, or of ours. */
  readonly trace_id?: string | undefined;
  /** Of the request's span, where it is exported. */
  readonly span_id?: string | undefined;
  readonly method: string;
  /** The pattern of the route. */
  readonly route: string;
  readonly status: number;
  readonly ms: number;
  readonly access: string | undefined;
  /** The name filter, once it is valid. */
  readonly name: string | undefined;
  readonly cache: string | undefined;
  readonly subject: string | undefined;
  readonly issuer: string | undefined;
  /** Of the problem, where the answer is one. */
  readonly code: string | undefined;
  readonly reason: string | undefined;
  /** The names of the claims that failed. */
  readonly claim?: string | undefined;
}
