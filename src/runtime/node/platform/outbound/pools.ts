import { Pool } from 'undici';
import { targetOf } from './choose-proxy.ts';
import type { Connect } from './connector.ts';

/** Idle connections are kept this long: 30 seconds, less than common gateways do. */
const KEEP_ALIVE_MS = 30_000;
/** The longest life of a connection: 5 minutes. The next one resolves the name again. */
const MAX_LIFE_MS = 300_000;

/** The kept connections of each origin. */
export interface Pools {
  /**
   * @param origin of a URL
   * @throws TypeError once all connections were ended
   */
  readonly of: (origin: string) => Pool;
  /**
   * Uses no connection of this pool for another request: something went wrong with one, and the name may lead to another
   * address by now. What is under way on it ends as it would.
   */
  readonly retire: (origin: string, pool: Pool) => void;
  /** Ends all connections. */
  readonly destroy: () => Promise<void>;
}

export function createPools(connect: Connect): Pools {
  const inUse = new Map<string, Pool>();
  const retired = new Set<Pool>();
  let isDestroyed = false;
  const open = (origin: string) =>
    new Pool(origin, {
      connect: ({ servername }, callback) => {
        connect({ ...targetOf(new URL(origin)), serverName: servername }).then(
          (socket) => callback(null, socket),
          (error) => callback(error as Error, null),
        );
      },
      clientTtl: MAX_LIFE_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Whatever a server offers.
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      // undici's own clocks are off by up to a second and count per socket; the core's deadlines rule.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  return {
    of: (origin) => {
      if (isDestroyed) throw new TypeError('connections are closed');
      const pool = inUse.get(origin) ?? open(origin);
      inUse.set(origin, pool);
      return pool;
    },
    retire: (origin, pool) => {
      if (inUse.get(origin) !== pool) return;
      inUse.delete(origin);
      retired.add(pool);
      const forget = () => void retired.delete(pool);
      pool.close().then(forget, forget);
    },
    destroy: async () => {
      isDestroyed = true;
      await Promise.allSettled([...inUse.values(), ...retired].map((pool) => pool.destroy()));
    },
  };
}
