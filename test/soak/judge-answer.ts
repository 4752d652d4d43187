import { PROBLEM_CONTENT_TYPE, PROBLEM_KINDS, type ProblemCode } from '../../src/http/problem.ts';
import { type ListHistory, OLDEST_SERVED_MS } from './list-history.ts';
import { findSecret } from './secrets.ts';
import type { Situation } from './situation.ts';
import type { SoakRequest } from './soak-request.ts';
import type { Tally } from './tally.ts';

export interface SoakAnswer {
  /** The name of the replica. */
  readonly from: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
  readonly sentMs: number;
  readonly answeredMs: number;
}

/** A request is on its way for a moment, and times of tokens are whole seconds. */
const TOKEN_GREY_MS = 1000;

const CODES = Object.keys(PROBLEM_KINDS) as ProblemCode[];

/** Is this the answer that was due? Counts it by its kind, and says what is wrong with it. */
export type JudgeAnswer = (request: SoakRequest, answer: SoakAnswer) => void;

export function createJudge(lists: ListHistory, situation: Situation, tally: Tally): JudgeAnswer {
  /** The same tag has to stand for the same bytes, whichever replica gave it. */
  const bodiesOfEtags = new Map<string, string>();

  const wrong = (request: SoakRequest, answer: SoakAnswer, fault: string) => {
    const { method, path, token } = request;
    const { from, status, headers } = answer;
    const key = status === 401 && token !== undefined ? `, token of signing key ${token.keyNumber}` : '';
    const how = headers['cache-status'] === undefined ? '' : ` ${String(headers['cache-status'])}`;
    tally.wrong(`${from}, ${method} ${path}, ${status}${how}${key}: ${fault}`);
  };

  function judgeAge(request: SoakRequest, answer: SoakAnswer, body: string): void {
    // When it was sent, since it may have been answered then, and lain here unread.
    const ageMs = lists.ageMs(request.path, body, answer.sentMs);
    if (ageMs === undefined) wrong(request, answer, `a body that upstream never gave: ${body.slice(0, 200)}`);
    else if (ageMs > OLDEST_SERVED_MS) wrong(request, answer, 'a list that is too old to be served');
  }

  function judgeList(request: SoakRequest, answer: SoakAnswer): void {
    const { status, headers, body } = answer;
    const cacheStatus = String(headers['cache-status'] ?? 'without Cache-Status');
    tally.count(`${status} ${cacheStatus.replace(/^imagecaches; /, '').replace(/; ttl=-?\d+/, '')}`);
    if (request.due !== 'list') wrong(request, answer, `${request.due} was due`);
    if (answer.sentMs > refusedFromMsOf(request) + TOKEN_GREY_MS)
      wrong(request, answer, 'an expired token was let in');
    if (!cacheStatus.startsWith('imagecaches; ')) wrong(request, answer, 'no Cache-Status');
    if (Number(headers.age) * 1000 > OLDEST_SERVED_MS) wrong(request, answer, `Age is ${headers.age}`);
    const etag = String(headers.etag);
    if (status === 304) {
      const sent = request.headers['if-none-match'];
      if (sent === undefined || sent !== etag) wrong(request, answer, 'a 304 for another tag');
      judgeAge(request, answer, bodiesOfEtags.get(etag) ?? '');
      if (body !== '') wrong(request, answer, 'a body with a 304');
    } else if (request.method === 'HEAD') {
      if (!lists.hasLength(request.path, Number(headers['content-length']), answer.sentMs))
        wrong(request, answer, `no list has ${String(headers['content-length'])} bytes`);
    } else {
      judgeAge(request, answer, body);
      if (bodiesOfEtags.get(etag) !== body) wrong(request, answer, 'one tag for two bodies');
      if (headers['content-type'] !== 'application/json') wrong(request, answer, 'no JSON');
    }
  }

  /** Is this code due, or excused by what is going on? */
  function isAllowed(code: ProblemCode, request: SoakRequest, answer: SoakAnswer): boolean {
    if (request.due === code) return true;
    const mayBeExpired = answer.answeredMs > refusedFromMsOf(request) - TOKEN_GREY_MS;
    if (code === 'unauthenticated' && mayBeExpired) return true;
    // A token that was refused for its own sake is not told of upstream.
    return request.due === 'list' && situation.allows(code, answer.sentMs, answer.answeredMs);
  }

  function judgeHeadProblem(request: SoakRequest, answer: SoakAnswer): void {
    tally.count(`${answer.status} to HEAD`);
    const codes = CODES.filter((code) => PROBLEM_KINDS[code].status === answer.status);
    if (!codes.some((code) => isAllowed(code, request, answer))) wrong(request, answer, 'not called for');
  }

  function judgeProblem(request: SoakRequest, answer: SoakAnswer): void {
    const { status, headers, body } = answer;
    const { code = 'no code', instance } = parseProblem(body);
    const isExpired = code === 'unauthenticated' && request.due === 'list';
    tally.count(`${status} ${code}${isExpired ? ', token expired while in use' : ''}`);
    if (!isProblemCode(code) || PROBLEM_KINDS[code].status !== status)
      wrong(request, answer, `the code ${code}: ${body.slice(0, 200)}`);
    else if (!isAllowed(code, request, answer)) wrong(request, answer, `${code} is not called for`);
    if (headers['content-type'] !== PROBLEM_CONTENT_TYPE) wrong(request, answer, 'no problem document');
    if (instance === undefined || instance !== headers['x-request-id'])
      wrong(request, answer, 'another request id');
    if (status === 401 && headers['www-authenticate'] === undefined)
      wrong(request, answer, 'a 401 without a challenge');
    if (status === 503 && headers['retry-after'] === undefined)
      wrong(request, answer, 'a 503 without Retry-After');
  }

  return (request, answer) => {
    const { status, headers, body, sentMs, answeredMs } = answer;
    const secret =
      findSecret(JSON.stringify(headers)) ?? (status === 200 && body !== '' ? undefined : findSecret(body));
    if (secret !== undefined) wrong(request, answer, `${secret} in an answer`);
    // Whether it is judged or not: its caller will ask with the tag.
    const etag = headers.etag;
    if (status === 200 && request.method === 'GET' && typeof etag === 'string' && !bodiesOfEtags.has(etag))
      bodiesOfEtags.set(etag, body);
    situation.runs(answeredMs);
    if (situation.isCalm(sentMs, answeredMs)) tally.countCalm();
    if (situation.stoodStill(sentMs, answeredMs)) tally.count('not judged, this machine stood still');
    else if (request.due === 'ready') {
      tally.count(`${status} /readyz`);
      if (status !== 200) wrong(request, answer, `not ready: ${body.slice(0, 200)}`);
    } else if (status === 200 || status === 304) judgeList(request, answer);
    else if (request.method === 'HEAD') judgeHeadProblem(request, answer);
    else judgeProblem(request, answer);
  };
}

function refusedFromMsOf({ token }: SoakRequest): number {
  return token?.refusedFromMs ?? Number.POSITIVE_INFINITY;
}

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEM_KINDS, code);
}

function parseProblem(body: string): { readonly code?: string; readonly instance?: string } {
  try {
    return JSON.parse(body) as { code?: string; instance?: string };
  } catch {
    return {};
  }
}
