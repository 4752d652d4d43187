import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { createRequestRecord } from '../../../http/env.ts';
import { reportAnswer, traceOfCaller, UNMATCHED } from '../../../http/observe.ts';
import {
  type ProblemCode,
  ProblemError,
  type RenderedProblem,
  renderProblem,
} from '../../../http/problem.ts';
import { requestIdFor } from '../../../http/request-id.ts';
import type { Platform } from '../../../platform/platform.ts';

/** What stands for the method of a request that could not be read. */
const UNKNOWN_METHOD = 'OTHER';

export interface UnroutedRequest {
  readonly method?: string | undefined;
  /** The value of X-Request-Id. */
  readonly sentId?: string | undefined;
  /** The value of that header. */
  readonly traceparent?: string | undefined;
}

/** Refuses requests that never reach the app, as problems that are counted and logged like all other answers. */
export type RefuseUnrouted = (
  code: ProblemCode,
  detail?: string,
  request?: UnroutedRequest,
) => RenderedProblem;

export function createRefuseUnrouted(platform: Pick<Platform, 'logger' | 'metrics'>): RefuseUnrouted {
  return (code, detail, { method = UNKNOWN_METHOD, sentId, traceparent } = {}) => {
    const headers = code === 'method_not_allowed' ? { allow: 'GET, HEAD' } : {};
    const problem = new ProblemError(code, { ...(detail !== undefined && { detail }), headers });
    const requestId = requestIdFor(sentId);
    const record = { ...createRequestRecord(), problem, trace: traceOfCaller(traceparent) };
    const answered = { requestId, method, route: UNMATCHED, status: problem.status, ms: 0 };
    reportAnswer(platform, answered, record);
    return renderProblem(problem, requestId);
  };
}

/** Writes an answer to a connection that has no request of Node's, and closes it. */
export function endSocket(socket: Duplex, { status, headers, body }: RenderedProblem): void {
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    `content-length: ${Buffer.byteLength(body)}`,
    `date: ${new Date().toUTCString()}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
