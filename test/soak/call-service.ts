import { setTimeout as wait } from 'node:timers/promises';
import { Pool } from 'undici';
import type { CallerTokens } from './caller-tokens.ts';
import type { JudgeAnswer } from './judge-answer.ts';
import { createRandomStream, type RandomStream } from './random-stream.ts';
import type { Situation } from './situation.ts';
import { nextRequest, type SoakRequest } from './soak-request.ts';
import type { SoakedService } from './soaked-service.ts';
import { isOver, type Stretch } from './stretch.ts';
import type { Tally } from './tally.ts';

/** An answer that takes longer is lost: 10 seconds, many times what the service may take. */
const ANSWER_TIMEOUT_MS = 10_000;
const CONNECT_TIMEOUT_MS = 5000;

export interface CallerParts {
  readonly seed: number;
  readonly tokens: CallerTokens;
  readonly judge: JudgeAnswer;
  readonly situation: Situation;
  readonly tally: Tally;
}

/**
 * So many callers, each with a connection that is kept, ask as fast as they get answers. Resolves when all have had
 * their last answer and the connections are closed.
 */
export async function callUntilEnd(
  { name, url }: Pick<SoakedService, 'name' | 'url'>,
  connections: number,
  stretch: Stretch,
  parts: CallerParts,
): Promise<void> {
  const pool = new Pool(url, {
    connections,
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
  const callers = Array.from({ length: connections }, async (_unused, caller) => {
    const random = createRandomStream(parts.seed, `${name} caller ${caller}`);
    const etags = new Map<string, string>();
    while (!isOver(stretch)) await callOnce({ name, pool, etags, random }, parts, stretch);
  });
  await Promise.all(callers);
  await pool.destroy();
}

interface Caller {
  /** Of the replica that it calls. */
  readonly name: string;
  readonly pool: Pool;
  readonly etags: Map<string, string>;
  readonly random: RandomStream;
}

async function callOnce(
  { name, pool, etags, random }: Caller,
  { tokens, judge, situation, tally }: CallerParts,
  stretch: Stretch,
): Promise<void> {
  const request = nextRequest(tokens, etags, random);
  const leaving = new AbortController();
  const leaveLater = request.leavesAfterMs !== undefined && leaveAfter(request.leavesAfterMs, leaving);
  const sentMs = Date.now();
  try {
    const { path, method, headers } = request;
    const response = await pool.request({ path, method, headers, signal: leaving.signal });
    const body = await response.body.text();
    const answer = {
      from: name,
      status: response.statusCode,
      headers: response.headers,
      body,
      sentMs,
      answeredMs: Date.now(),
    };
    rememberEtag(request, answer, etags);
    judge(request, answer);
  } catch (error) {
    situation.runs(Date.now());
    if (leaving.signal.aborted) tally.count('none, the caller went away');
    else if (situation.stoodStill(sentMs, Date.now())) tally.count('none, this machine stood still');
    else if (!stretch.signal.aborted)
      tally.wrong(`${name}, ${request.method} ${request.path}: no answer: ${String(error)}`);
  } finally {
    if (leaveLater) leaving.abort();
  }
}

/** Ends with the abort of the same signal, so that no timer is left behind. */
function leaveAfter(ms: number, leaving: AbortController): true {
  wait(ms, undefined, { signal: leaving.signal }).then(
    () => leaving.abort(),
    () => undefined,
  );
  return true;
}

function rememberEtag(
  { path }: SoakRequest,
  { status, headers }: { readonly status: number; readonly headers: Readonly<Record<string, unknown>> },
  etags: Map<string, string>,
): void {
  if (status === 200 && headers.etag !== undefined) etags.set(path, String(headers.etag));
}
