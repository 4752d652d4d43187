import type { SharedStoreConfig } from '../../../config.ts';
import type { Dependencies } from '../../../deps.ts';
import { parseRedisUrl } from '../../../redis-url.ts';
import type { SharedEntries } from '../../../shared-entries.ts';
import type { SharedUse } from '../../../shared-use.ts';
import { keepRedisConnection } from './redis-connection.ts';
import { createRedisEntries } from './redis-entries.ts';
import { createRedisUse } from './redis-use.ts';

export interface RedisStore {
  readonly entries: SharedEntries;
  readonly use: SharedUse;
  readonly stop: () => void;
}

export interface RedisStoreOptions extends SharedStoreConfig {
  /** Made by sharedNamespace. */
  readonly namespace: string;
  /** How long entries are kept after they were fresh: milliseconds. */
  readonly keepStaleMs: number;
}

/** Entries and limits that instances share in Redis. Connects in the background, and does not fail. */
export function createRedisStore(
  { url, file, namespace, keepStaleMs }: RedisStoreOptions,
  deps: Pick<Dependencies, 'now' | 'schedule' | 'random' | 'logger' | 'metrics' | 'readTextFile'>,
): RedisStore {
  const entries = createRedisEntries({ namespace, keepStaleMs }, () => connection, deps);
  const connection = keepRedisConnection(
    {
      locate: async () => parseRedisUrl(file === undefined ? url : (await deps.readTextFile(file)).trim()),
      channel: namespace,
      onMessage: entries.onMessage,
    },
    deps,
  );
  return {
    entries,
    use: createRedisUse(namespace, () => connection),
    stop: connection.stop,
  };
}
