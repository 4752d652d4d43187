import type { Representation } from '../cache/encoded-bodies.ts';
import type { CacheAnswer } from '../cache/list-cache.ts';
import { SECURITY_HEADERS } from '../http/security-headers.ts';
import type { CacheOutcome } from '../observability/metrics.ts';

/** The headers of a list, but for those that depend on the request. */
export interface ListHeaders {
  /** Those of every answer. */
  readonly always: Readonly<Record<string, string>>;
  /** The same, and those of an answer with a body. */
  readonly full: Readonly<Record<string, string>>;
}

export interface ListHeadersOptions {
  /** The caller forced a refresh. */
  readonly isForced: boolean;
  /** The value of Vary. */
  readonly vary: string;
  /** Elapsed time. */
  readonly nowMs: number;
}

interface HeaderMemo {
  readonly outcome: CacheOutcome;
  readonly ttlSeconds: number;
  readonly ageSeconds: number;
  readonly headers: ListHeaders;
}

/** The headers of the last hit of each representation, by Vary: they change once a second, or twice. */
const hitHeaders = new WeakMap<Representation, Record<string, HeaderMemo>>();

/** The headers of a list: ETag, Age, Cache-Control, Cache-Status, Vary, and those of every answer. */
export function listHeaders(
  representation: Representation,
  answer: CacheAnswer,
  { isForced, vary, nowMs }: ListHeadersOptions,
): ListHeaders {
  const { response, outcome } = answer;
  // Negative once it is stale, as RFC 9211 has it.
  const ttlSeconds = Math.floor((response.freshUntilMs - nowMs) / 1000);
  const ageSeconds = Math.max(0, Math.floor((nowMs - response.storedAtMs) / 1000));
  const make = () =>
    makeHeaders(representation, vary, ageSeconds, ttlSeconds, cacheStatus(answer, ttlSeconds, isForced));
  // All that is served at once, stale lists too: in an outage every answer is one.
  if (answer.forwarded !== undefined || answer.stored) return make();
  const memos = hitHeaders.get(representation) ?? {};
  const memo = memos[vary];
  if (memo?.outcome === outcome && memo.ttlSeconds === ttlSeconds && memo.ageSeconds === ageSeconds)
    return memo.headers;
  const headers = make();
  memos[vary] = { outcome, ttlSeconds, ageSeconds, headers };
  hitHeaders.set(representation, memos);
  return headers;
}

function makeHeaders(
  { body, etag, coding }: Representation,
  vary: string,
  ageSeconds: number,
  ttlSeconds: number,
  status: string,
): ListHeaders {
  const always = {
    etag,
    age: String(ageSeconds),
    'cache-control': `private, max-age=${Math.max(0, ttlSeconds)}`,
    'cache-status': status,
    vary,
    ...SECURITY_HEADERS,
  };
  const full = {
    ...always,
    'content-type': 'application/json',
    // Servers count the body of a GET by themselves; that of HEAD is gone when they look.
    'content-length': String(body.byteLength),
    ...(coding && { 'content-encoding': coding }),
  };
  return { always, full };
}

/** What the outcomes that RFC 9211 has no word for are called in its parameter `detail`. */
const OUTCOME_DETAILS: Readonly<Partial<Record<CacheOutcome, string>>> = {
  derived: 'derived',
  shared: 'shared',
  stale: 'stale-while-revalidate',
  stale_error: 'stale-if-error',
};

/** RFC 9211: one member for this cache, with how it answered. */
function cacheStatus(answer: CacheAnswer, ttlSeconds: number, forced: boolean): string {
  const { outcome, forwarded, stored } = answer;
  if (outcome === 'hit') return `imagecaches; hit; ttl=${ttlSeconds}`;
  const detail = OUTCOME_DETAILS[outcome];
  const parameters = [
    forwarded === undefined ? 'hit' : `fwd=${forced ? 'request' : forwarded}`,
    ...(detail === undefined ? [] : [`ttl=${ttlSeconds}`, `detail=${detail}`]),
    ...(stored ? ['stored'] : []),
    ...(outcome === 'collapsed' ? ['collapsed'] : []),
  ];
  return `imagecaches; ${parameters.join('; ')}`;
}
