import type { Tracer } from '../../../src/observability/tracing.ts';
import type { FetchedResponse, FetchInit } from '../../../src/platform/fetch.ts';
import type { Platform } from '../../../src/platform/platform.ts';
import type { Credential } from '../../../src/signing/credential.ts';
import type { CredentialSource } from './credential-source.ts';
import { type GivenList, type GivenLists, vendorText } from './given-lists.ts';
import { UNFILTERED_KEY } from './whole-list.ts';

/**
 * `ok`: the list as the world was when the call was sent; 401 when the key was revoked. `429 in 3`: with Retry-After. `garbage`: a 200 that is
 * no list. `broken`: a list in which every entry breaks the model.
 */
export const ANSWER_KINDS = [
  'ok',
  '500',
  'reset',
  '401',
  '429',
  '429 in 3',
  '429 in 20',
  'garbage',
  'broken',
] as const;
export type AnswerKind = (typeof ANSWER_KINDS)[number];
/** `given up`: the service did not wait any longer. It reads such a call on, so it may have another ending later. */
export type Ending = AnswerKind | 'given up';

export interface UpstreamCall {
  /** Of the cache. */
  readonly key: string;
  readonly credential: Credential;
  readonly sentAtMs: number;
}

export interface CallWatcher {
  /**
   * @param others calls that have not ended
   * @param late those that were given up and are read on
   * @returns the earliest time at which its load can have begun
   */
  sent(call: UpstreamCall, others: readonly UpstreamCall[], late: readonly UpstreamCall[]): number;
  /** @param given the list, where the service has to take the answer for one */
  ended(call: UpstreamCall, ending: Ending, given: GivenList | undefined): void;
  /** A call that was given up has ended; `given up`: it is not read any longer. */
  endedLate(call: UpstreamCall, ending: Ending, given: GivenList | undefined): void;
}

export interface ScriptedUpstream {
  /** What calls are answered with as they come; `held`: they wait for `answer`. */
  mode: AnswerKind | 'held';
  /** Names that exist. */
  readonly names: Set<string>;
  readonly revoked: Set<Credential>;
  readonly underWay: readonly UpstreamCall[];
  /** All calls since the beginning. */
  readonly calls: readonly UpstreamCall[];
  fetch(url: string, init: FetchInit): Promise<FetchedResponse>;
  /** Tells when the service gives a call up. */
  readonly tracer: Tracer;
  /** Answers a call that waits. */
  answer(call: UpstreamCall, kind: AnswerKind): void;
  /** The service was stopped: its calls are of no interest any more, and get no answer. */
  forget(): void;
}

interface OpenCall extends UpstreamCall {
  readonly begunAfterMs: number;
  /** Those that existed when it was sent. */
  readonly names: readonly string[];
  readonly gate: PromiseWithResolvers<FetchedResponse>;
}

export function createScriptedUpstream(
  credentials: CredentialSource,
  given: GivenLists,
  { now }: Pick<Platform, 'now'>,
  watcher: () => CallWatcher,
): ScriptedUpstream {
  let underWay: OpenCall[] = [];
  let late: readonly OpenCall[] = [];
  const calls: UpstreamCall[] = [];

  /** False when it has ended before. */
  function end(call: OpenCall, ending: Ending, list?: GivenList): boolean {
    if (!underWay.includes(call)) return false;
    underWay = underWay.filter((other) => other !== call);
    const isLate = late.includes(call);
    late = late.filter((other) => other !== call);
    if (isLate) watcher().endedLate(call, ending, list);
    else watcher().ended(call, ending, list);
    return true;
  }

  function giveUp(call: OpenCall): void {
    if (!underWay.includes(call)) return;
    late = [...late, call];
    watcher().ended(call, 'given up', undefined);
  }

  function listFor(call: OpenCall): GivenList {
    const { key } = call;
    const names = call.names.filter((name) => key === UNFILTERED_KEY || name === key);
    return given.add({
      key,
      names,
      begunAfterMs: call.begunAfterMs,
      begunUntilMs: call.sentAtMs,
      storedAtMs: now(),
      isLate: late.includes(call),
    });
  }

  function answer(call: OpenCall, wanted: AnswerKind): void {
    const kind = wanted === 'ok' && upstream.revoked.has(call.credential) ? '401' : wanted;
    const list = isListAnswer(kind) ? listFor(call) : undefined;
    if (!end(call, kind, list)) return;
    if (kind === 'reset') call.gate.reject(new TypeError('fetch failed'));
    else call.gate.resolve(responseOf(kind, list));
  }

  const upstream: ScriptedUpstream = {
    mode: 'ok',
    names: new Set(['a', 'b', 'm0', 'm2', 'm4']),
    revoked: new Set(),
    get underWay() {
      return underWay;
    },
    calls,
    fetch(url, { headers, signal }) {
      const sent: UpstreamCall = {
        key: new URL(url).searchParams.get('name') ?? UNFILTERED_KEY,
        credential: credentials.signerOf(new Headers(headers).get('authorization') ?? ''),
        sentAtMs: now(),
      };
      const waitedFor = underWay.filter((other) => !late.includes(other));
      const call: OpenCall = Object.assign(sent, {
        begunAfterMs: watcher().sent(sent, waitedFor, late),
        names: [...upstream.names],
        gate: Promise.withResolvers<FetchedResponse>(),
      });
      calls.push(call);
      underWay = [...underWay, call];
      signal?.addEventListener('abort', () => {
        if (end(call, 'given up')) call.gate.reject(new TypeError('aborted'));
      });
      if (upstream.mode !== 'held') answer(call, upstream.mode);
      return call.gate.promise;
    },
    tracer: {
      decide: () => ({ isSampled: false, traceId: '', isContinued: false }),
      inSpan({ kind }, work) {
        const before = calls.length;
        const result = work({
          ids: { traceId: '', spanId: undefined },
          setAttribute: () => undefined,
          fail: () => undefined,
        });
        const call = calls[before];
        // The work of the span of a call sends it at once, and ends when nobody waits for it any longer.
        if (kind === 'client' && result instanceof Promise && call !== undefined)
          result.catch(() => giveUp(call as OpenCall));
        return result;
      },
    },
    answer: (call, kind) => answer(call as OpenCall, kind),
    forget() {
      underWay = [];
      late = [];
    },
  };
  return upstream;
}

/** Has the service to take this for a list? */
export function isListAnswer(ending: Ending): ending is 'ok' {
  return ending === 'ok';
}

function responseOf(kind: AnswerKind, list: GivenList | undefined): FetchedResponse {
  if (kind === 'ok') return response(200, vendorText(list as GivenList));
  if (kind === 'broken') return response(200, '{"image_caches":[{"name":"a"},{"name":"b"}]}');
  if (kind === 'garbage') return response(200, '{"image_caches":');
  const [status, seconds] = kind.split(' in ');
  return response(Number(status), '{"error_code":"APIGW.0301"}', seconds);
}

/** What the core reads of an answer, without the streams of a real one. */
function response(status: number, text: string, retryAfter?: string): FetchedResponse {
  let chunk: Uint8Array | undefined = new TextEncoder().encode(text);
  const cancel = async () => undefined;
  return {
    status,
    headers: { get: (name) => (name.toLowerCase() === 'retry-after' ? (retryAfter ?? null) : null) },
    body: {
      getReader: () => ({
        read: async () => {
          const value = chunk;
          chunk = undefined;
          return { done: value === undefined, value };
        },
        cancel,
      }),
      cancel,
    },
  };
}
