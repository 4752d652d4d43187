import type { CredentialProvider } from './credentials/credential-provider.ts';
import type { Metrics } from './metrics.ts';
import type { RouteRequest } from './route.ts';
import type { SharedEntries } from './shared-entries.ts';
import type { SharedUse } from './shared-use.ts';
import type { Credential } from './signing/credentials.ts';
import type { Digests } from './signing/digests.ts';
import type { SingleFlight } from './single-flight.ts';
import type { Tracer } from './tracing.ts';

/** A file of a page for people. */
export interface DocsFile {
  readonly body: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}

/** One JSON line per call. Fields are chosen one by one by the caller; nothing is logged whole. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  /** The line of a request, message `request`, where the runtime has a quicker way for it. */
  request?(level: 'debug' | 'info' | 'warn', fields: RequestFields): void;
}

/** What is logged of each request; members that are undefined are left out. */
export interface RequestFields {
  /** Letters, digits, `-` and `_`. */
  readonly requestId: string;
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
}

/** Stops a scheduled call that has not happened yet. Calling it again, or too late, does nothing. */
export type Cancel = () => void;

/** What the core reads of an answer; fetch's Response is one. */
export interface FetchedResponse {
  readonly status: number;
  readonly headers: Pick<Headers, 'get'>;
  /** After any content coding. Whoever does not read it to its end cancels it. */
  readonly body: {
    getReader(): {
      read(): Promise<{ readonly done?: boolean | undefined; readonly value?: Uint8Array | undefined }>;
      cancel(): Promise<void>;
    };
    cancel(): Promise<void>;
  } | null;
}

/** What the core asks for. */
export interface FetchInit {
  /** GET by default. */
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A redirect is an answer like any other, and never followed. */
  readonly redirect: 'manual';
  readonly signal?: AbortSignal;
}

/**
 * Everything the core needs from outside. Only src/runtime builds the real ones; tests pass a fake clock, a
 * scripted fetch and a recording logger.
 */
export interface Dependencies {
  /** Rejects when there is no answer. The runtime sets the connect timeout. */
  readonly fetch: (url: string, init: FetchInit) => Promise<FetchedResponse>;
  /** The time in milliseconds since the epoch. */
  readonly now: () => number;
  /** Calls back once after `delayMs` milliseconds, on the same clock as `now`. */
  readonly schedule: (callback: () => void, delayMs: number) => Cancel;
  /** A number from 0 (inclusive) to 1 (exclusive), for jitter. */
  readonly random: () => number;
  /** SHA-256 of the text, in any spelling that is one to one. Synchronous where the runtime can. */
  readonly hashToken: (text: string) => string | Promise<string>;
  /** Faster digests, for signatures and entity tags, than those of WebCrypto, where the runtime has some. */
  readonly digests?: Digests;
  /** Compresses a body off the way of other requests; absent where whoever stands in front does it. */
  readonly compress?: (
    body: Uint8Array<ArrayBuffer>,
    coding: 'br' | 'gzip',
  ) => Promise<Uint8Array<ArrayBuffer>>;
  /** Reads a text file; refuses on runtimes that have none. */
  readonly readTextFile: (path: string) => Promise<string>;
  /** Keeps the runtime alive until background work ends. The promise never rejects. */
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Joins concurrent work where the runtime lets one request wait for another, else starts it each time. */
  readonly createSingleFlight: () => SingleFlight;
  readonly credentialProvider: CredentialProvider;
  /**
   * Finds the project id to send with a call signed by this credential, where none is configured: at once when
   * it is known. Absent: the configured one, if any, is sent. Rejects with CredentialUnavailableError.
   */
  readonly resolveProjectId?: (credential: Credential) => string | undefined | Promise<string | undefined>;
  /** Where a request came from, past the proxies that are trusted; absent: not known. */
  readonly clientAddress?: (request: RouteRequest) => string | undefined;
  /** The cache that instances share; absent where there is none. */
  readonly sharedEntries?: SharedEntries;
  /** The limits that instances share; absent where each counts alone. */
  readonly sharedUse?: SharedUse;
  /** The files of the page that shows the API document; absent where the runtime has no files. */
  readonly docsFiles?: Readonly<Record<string, () => Promise<DocsFile>>>;
  /** The same of the console. */
  readonly consoleFiles?: Readonly<Record<string, () => Promise<DocsFile>>>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Absent when nothing is traced. */
  readonly tracer?: Tracer;
}
