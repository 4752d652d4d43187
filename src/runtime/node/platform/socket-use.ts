import { subscribe } from 'node:diagnostics_channel';

/** What is known of the socket that carries a request. */
export interface SocketUse {
  /** Another request went over it before. */
  isReused: boolean;
}

/** Sockets over which a request went. */
const used = new WeakSet<object>();
/** By undici's requests. */
const uses = new WeakMap<object, SocketUse>();
let starting: SocketUse | undefined;

// Documented in undici's docs/api/DiagnosticsChannel.md. Requests of others pass here too, and are not known.
subscribe('undici:request:create', (message) => {
  if (starting !== undefined) uses.set((message as { request: object }).request, starting);
});
subscribe('undici:client:sendHeaders', (message) => {
  const { request, socket } = message as { request: object; socket: object };
  const use = uses.get(request);
  if (use === undefined) return;
  use.isReused = used.has(socket);
  used.add(socket);
});

/**
 * Starts a request of undici, and watches which socket carries it.
 *
 * @param use written when its headers are sent
 * @param start makes the request before it returns
 */
export function watchSocket<Result>(use: SocketUse, start: () => Result): Result {
  starting = use;
  try {
    return start();
  } finally {
    starting = undefined;
  }
}
