import type { TraceIds } from '../observability/trace-ids.ts';
import type { ProblemError } from './problem.ts';

/** What is found out about one request on its way; it becomes the request's log line, metric and span. */
export interface RequestRecord {
  /** The pattern of the route for log and metrics, where it is not the one that matched. */
  route: string | undefined;
  /** The level of the log line of a good answer: probes are frequent and say little. */
  goodLevel: 'info' | 'debug';
  subject: string | undefined;
  issuer: string | undefined;
  /** Undefined: denied, or nobody had to be asked. */
  access: 'granted' | undefined;
  /** The name filter, once it is valid. */
  name: string | undefined;
  /** How the cache answered. */
  cache: string | undefined;
  /** The trace that it belongs to. */
  trace: TraceIds | undefined;
  /** The problem that the answer is. */
  problem: ProblemError | undefined;
}

/** The Hono environment of every room: `c.var.requestId`, `c.var.record`; each middleware adds its own. */
export interface AppEnv {
  /** Whatever the runtime passes with a request; see Platform.clientAddress. */
  Bindings: object;
  Variables: { requestId: string; record: RequestRecord };
}

/** A record of which nothing is known yet. */
export function createRequestRecord(): RequestRecord {
  return {
    route: undefined,
    goodLevel: 'info',
    subject: undefined,
    issuer: undefined,
    access: undefined,
    name: undefined,
    cache: undefined,
    trace: undefined,
    problem: undefined,
  };
}
