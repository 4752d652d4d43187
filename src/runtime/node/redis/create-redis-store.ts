import type { SharedStoreConfig } from '../../../config/config.ts';
import { parseRedisUrl } from '../../../config/redis-url.ts';
import type { Fleet } from '../../../fleet/fleet.ts';
import type { Platform } from '../../../platform/platform.ts';
import { KeptRedisConnection } from './redis-connection.ts';
import { createRedisEntries } from './redis-entries.ts';
import { createRedisKeyProofs } from './redis-key-proofs.ts';
import { createRedisUse } from './redis-use.ts';

export interface RedisStore extends Required<Fleet> {
  readonly stop: () => void;
}

/** Lists and limits that instances share in Redis, over one connection. Connects in the background, and does not fail. */
export function createRedisStore(
  { url, file }: SharedStoreConfig,
  platform: Pick<Platform, 'now' | 'elapsed' | 'schedule' | 'random' | 'logger' | 'metrics' | 'readTextFile'>,
): RedisStore {
  const connection = new KeptRedisConnection(
    async () => parseRedisUrl(file === undefined ? url : (await platform.readTextFile(file)).trim()),
    platform,
  );
  return {
    openEntries: (options) => createRedisEntries(options, connection, platform),
    reached: connection.reached,
    openKeyProofs: (namespace) => createRedisKeyProofs(namespace, connection, platform),
    openUse: (namespace) => createRedisUse(namespace, connection),
    stop: () => connection.stop(),
  };
}
