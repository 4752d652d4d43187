import type { Fleet } from '../fleet/fleet.ts';
import type { Logger } from '../observability/logger.ts';
import type { Metrics, TargetMetrics } from '../observability/metrics.ts';
import type { Tracer } from '../observability/tracing.ts';
import type { Digests } from '../signing/digests.ts';
import type { Fetch } from './fetch.ts';
import type { PageFiles } from './page-file.ts';
import type { Schedule } from './schedule.ts';
import type { SingleFlight } from './single-flight.ts';

/** The part of a request that tells where it came from. */
export interface ClientRequest {
  readonly headers: { get(name: string): string | null };
}

/**
 * Everything that comes from outside, and only that: the core builds the rest from it. Its shape is the same on Node,
 * on Workers, in the doctor and in tests, which pass a fake clock, a scripted fetch and a recording logger.
 */
export interface Platform {
  readonly fetch: Fetch;
  /**
   * Wall-clock time: milliseconds since 1970. It may be set, back or forward, by any amount: only for what is compared
   * with the outside.
   */
  readonly now: () => number;
  /**
   * Elapsed time: milliseconds since some moment in the past, with fractions. It never goes back and is not set: for every
   * duration.
   */
  readonly elapsed: () => number;
  /** On the clock of `elapsed`. */
  readonly schedule: Schedule;
  /** A number from 0 (inclusive) to 1 (exclusive), for jitter. */
  readonly random: () => number;
  /** Faster digests than those of WebCrypto, where the runtime has some. */
  readonly digests?: Digests;
  /** Compresses a body without blocking other requests; absent where a proxy in front does it. */
  readonly compress?: (
    body: Uint8Array<ArrayBuffer>,
    coding: 'br' | 'gzip',
  ) => Promise<Uint8Array<ArrayBuffer>>;
  /** Reads a text file; rejects on runtimes without files. */
  readonly readTextFile: (path: string) => Promise<string>;
  /** How often a file whose changes are followed is read, at most, in milliseconds. Default: 1000. */
  readonly fileCheckIntervalMs?: number;
  /** Keeps the runtime alive until background work ends. The promise never rejects. */
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Lets concurrent requests share work, in the way that the runtime allows. */
  readonly createSingleFlight: () => SingleFlight;
  /** True where nothing runs before the first request, so that a probe is the first to load what the service needs. */
  readonly isStartedByRequests?: boolean;
  /** The address of the client, past the proxies that are trusted; absent: not known. */
  readonly clientAddress?: (request: ClientRequest, env: unknown) => string | undefined;
  /**
   * Counts a request of a principal where the platform limits them: false when it is over the limit, undefined when the
   * platform does not say. Absent: this service limits them itself. Never rejects.
   */
  readonly limitRate?: (key: string) => Promise<boolean | undefined>;
  /** The store that replicas share; absent where each instance is alone. */
  readonly fleet?: Fleet;
  /** The files of the page that shows the API document; absent where the runtime has no files. */
  readonly docsFiles?: PageFiles;
  /** The files of the console; absent where the runtime has no files. */
  readonly consoleFiles?: PageFiles;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Absent when nothing is traced. */
  readonly tracer?: Tracer;
}

/** The platform as the parts of one target see it: what they report is the target's. */
export type TargetPlatform = Omit<Platform, 'metrics'> & { readonly metrics: TargetMetrics };
