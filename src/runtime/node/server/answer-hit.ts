import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Hit, HitRequest, Hits } from '../../../hits.ts';
import type { TraceDecision } from '../../../observability/tracing.ts';

/** What the tracer decided of requests that the app is asked for after all. */
export type TraceDecisions = WeakMap<IncomingMessage, TraceDecision>;

/** A request of Node's as hits.ts reads it. */
class NodeHitRequest implements HitRequest {
  readonly #incoming: IncomingMessage;
  readonly method: string;
  readonly target: string;
  traceDecision?: TraceDecision;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
    this.method = incoming.method ?? '';
    this.target = incoming.url ?? '';
  }

  get scheme(): 'http' | 'https' {
    return (this.#incoming.socket as { readonly encrypted?: boolean }).encrypted === true ? 'https' : 'http';
  }

  get httpVersion(): string {
    return this.#incoming.httpVersion;
  }

  /** Node joins a header that is repeated, and gives only Set-Cookie, which no request has, as a list. */
  get(name: string): string | null {
    const value = this.#incoming.headers[name];
    return typeof value === 'string' ? value : null;
  }
}

/** Answers a request, if it is a hit; see createHits. */
export function answerHit(
  hits: Hits,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  decisions: TraceDecisions,
): boolean {
  const request = new NodeHitRequest(incoming);
  const hit = hits(request);
  if (hit === undefined) {
    if (request.traceDecision !== undefined) decisions.set(incoming, request.traceDecision);
    return false;
  }
  send(outgoing, hit);
  return true;
}

function send(outgoing: ServerResponse, { status, headers, requestId, body }: Hit): void {
  const pairs = pairsOf(headers);
  // Node has read them when writeHead returns.
  pairs[pairs.length - 1] = requestId;
  outgoing.writeHead(status, pairs);
  outgoing.end(body);
}

/** Names and values in turn, as writeHead takes them, made once for all answers that share their headers. */
const madePairs = new WeakMap<Hit['headers'], string[]>();

/** The last value is for the id of a request. */
function pairsOf(headers: Hit['headers']): string[] {
  const known = madePairs.get(headers);
  if (known !== undefined) return known;
  const pairs = [...Object.entries(headers).flat(), 'x-request-id', ''];
  madePairs.set(headers, pairs);
  return pairs;
}
