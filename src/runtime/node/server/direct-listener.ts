import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Route, RouteRequest } from '../../../http/route.ts';
import { type AnswerSenderOptions, createAnswerSender } from './send-answer.ts';

/**
 * Targets and hosts that no URL parser would change, and whose path can be compared as it is. All else is rare, and
 * goes the long way.
 */
const PLAIN_TARGET = /^(\/[a-z0-9/._-]*)(?:\?[a-zA-Z0-9=&._~-]*)?$/;
const PLAIN_HOST = /^[a-z0-9.-]+(?::[1-9]\d{3,4})?$/;

/** A request of Node's as the routes read it; what few of them need is made when it is asked for. */
class DirectRequest implements RouteRequest {
  readonly #incoming: IncomingMessage;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
  }

  get method(): string {
    return this.#incoming.method as string;
  }

  get url(): string {
    return `http://${this.#incoming.headers.host}${this.#incoming.url}`;
  }

  get target(): string {
    return this.#incoming.url as string;
  }

  get env(): { readonly incoming: IncomingMessage } {
    return { incoming: this.#incoming };
  }

  /** Itself, so that a hit makes one object and not two. */
  get headers(): RouteRequest['headers'] {
    return this;
  }

  /** Node joins a header that is repeated, and gives only Set-Cookie, which no request has, as a list. */
  get(name: string): string | null {
    const value = this.#incoming.headers[name];
    return typeof value === 'string' ? value : null;
  }
}

/**
 * Answers plain requests for the routes by Node's own means: making a fetch request, finding the route and taking a fetch
 * response apart again costs as much as all that this service does for a hit. The answers are the same.
 *
 * @returns a listener that says whether the request was one for it
 */
export function createDirectListener(
  routes: Readonly<Record<string, Route>>,
  options: AnswerSenderOptions,
): (incoming: IncomingMessage, outgoing: ServerResponse) => boolean {
  const byPath = new Map(Object.entries(routes));
  const send = createAnswerSender(options);
  /** Most requests name the same host. */
  let lastPlainHost: string | undefined;

  function isPlainHost(host: string | undefined): boolean {
    if (host === undefined) return false;
    if (host === lastPlainHost) return true;
    if (!PLAIN_HOST.test(host)) return false;
    lastPlainHost = host;
    return true;
  }

  return (incoming, outgoing) => {
    const { method, url = '' } = incoming;
    if ((method !== 'GET' && method !== 'HEAD') || !isPlainHost(incoming.headers.host)) return false;
    // A target without a query is a path.
    const route = byPath.get(url) ?? byPath.get(PLAIN_TARGET.exec(url)?.[1] ?? '');
    if (route === undefined) return false;
    const answer = route(new DirectRequest(incoming));
    if (answer instanceof Promise) void answer.then((ready) => send(outgoing, ready));
    else send(outgoing, answer);
    return true;
  };
}
