/** The work that a call started or joined. */
export interface Flight<Value> {
  readonly promise: Promise<Value>;
  /** True when another caller had started the work. */
  readonly joined: boolean;
}

export interface SingleFlight {
  /** Starts the work for a key, or joins the one under way. A failure reaches everyone who joined it. */
  run<Value>(key: string, work: () => Promise<Value>): Flight<Value>;
}

/**
 * One piece of work per key at a time, shared by everyone who asks meanwhile, where a promise may be shared. The work
 * belongs to nobody: a caller that leaves neither stops it nor takes it along, and it is forgotten as soon as it settles,
 * so a failure is never remembered.
 */
export function createSharedFlight(): SingleFlight {
  const flights = new Map<string, Promise<unknown>>();
  return {
    run<Value>(key: string, work: () => Promise<Value>): Flight<Value> {
      const running = flights.get(key) as Promise<Value> | undefined;
      if (running !== undefined) return { promise: running, joined: true };
      // `async` turns a synchronous throw of the work into a rejection, which the cleanup below then sees.
      const promise = (async () => work())();
      flights.set(key, promise);
      const forget = () => {
        flights.delete(key);
      };
      promise.then(forget, forget);
      return { promise, joined: false };
    },
  };
}
