/** The part of a response that the core reads; the standard Response has it. */
export interface FetchedResponse {
  readonly status: number;
  readonly headers: Pick<Headers, 'get'>;
  /** After any content coding; nothing is decoded before a reader is taken. A reader that stops before the end cancels it. */
  readonly body: {
    getReader(): {
      read(): Promise<{ readonly done?: boolean | undefined; readonly value?: Uint8Array | undefined }>;
      cancel(): Promise<void>;
    };
    cancel(): Promise<void>;
  } | null;
  /** The whole body, where reading it at once costs less than piece by piece; absent otherwise. */
  arrayBuffer?(): Promise<ArrayBuffer>;
}

/** A request of the core. */
export interface FetchInit {
  /** Default: GET. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A redirect is an answer like any other, and never followed. */
  readonly redirect: 'manual';
  readonly signal?: AbortSignal;
}

/**
 * Why there is no answer: no connection came about in time, or one that had carried a request before was closed by the
 * other end, as idle ones are.
 */
export type NoAnswer = 'connect_timeout' | 'reused_connection';

/**
 * Rejects when there is no answer; the error has a member `noAnswer` where the runtime knows why. The runtime sets the
 * connect timeout.
 */
export type Fetch = (url: string, init: FetchInit) => Promise<FetchedResponse>;
