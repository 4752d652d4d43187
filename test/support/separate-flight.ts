import type { SingleFlight } from '../../src/platform/single-flight.ts';

/** Joins nothing: work of one key overlaps, as it does where work that seemed lost was taken over. */
export function createSeparateFlight(): SingleFlight {
  return {
    run: (_key, work) => ({ promise: (async () => work())(), joined: false }),
  };
}
