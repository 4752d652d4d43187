import { randomBytes } from 'node:crypto';
import type { SharedEntries, SharedEntry } from '../../../fleet/entries.ts';
import { readEntryFields } from '../../../fleet/entry-fields.ts';
import type { SharedEntriesOptions } from '../../../fleet/fleet.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { RedisCommands } from './open-redis.ts';
import { createRedisChanges } from './redis-changes.ts';
import type { RedisConnection } from './redis-connection.ts';
import { giveUpTurn, holdRedisTurn, type RedisNames, TURN_MS } from './redis-turn.ts';

/**
 * Shared entries in Redis. Who loads is agreed by a key that expires, with a token, so that nobody ends the turn of
 * another. Each change is told on a channel; an instance that misses a message keeps what it has until that is no
 * longer fresh.
 */
export function createRedisEntries(
  { namespace, keepStaleMs, reportInvalid }: SharedEntriesOptions,
  connection: RedisConnection,
  platform: Pick<Platform, 'now' | 'elapsed' | 'schedule'>,
): SharedEntries {
  const listeners: ((key: string) => void)[] = [];
  const changes = createRedisChanges(platform.schedule, (key) => {
    for (const listener of listeners) listener(key);
  });
  connection.subscribe(namespace, changes.receive);

  async function namesOf(key: string): Promise<RedisNames> {
    const start = await namespace();
    // The braces make a cluster keep both keys on one node.
    return { entry: `${start}:entry:{${key}}`, turn: `${start}:turn:{${key}}`, channel: start };
  }

  async function read(redis: RedisCommands, { entry }: RedisNames): Promise<SharedEntry | undefined> {
    let fields: Record<string, string>;
    try {
      fields = await redis.hGetAll(entry);
    } catch (error) {
      // Somebody else's value under our key: it makes room.
      if (!(error instanceof Error && error.message.startsWith('WRONGTYPE'))) throw error;
      return drop(redis, entry);
    }
    if (Object.keys(fields).length === 0) return undefined;
    const { body, ...times } = fields;
    const found = readEntryFields(
      { ...times, body: body === undefined ? undefined : new TextEncoder().encode(body) },
      platform.now(),
    );
    return found ?? drop(redis, entry);
  }

  async function drop(redis: RedisCommands, entry: string): Promise<undefined> {
    reportInvalid?.();
    await redis.del(entry);
  }

  return {
    async lookUp(key, serves) {
      const names = await namesOf(key);
      const token = randomBytes(16).toString('hex');
      // Before the turn is asked for: a message that comes while the answer is on its way counts.
      const change = changes.next(key);
      const found = await connection.run('look_up', async (redis): Promise<'served' | 'ours' | 'taken'> => {
        const entry = await read(redis, names);
        if (entry !== undefined && serves(entry)) return 'served';
        const taken = await redis.set(names.turn, token, {
          condition: 'NX',
          expiration: { type: 'PX', value: TURN_MS },
        });
        if (taken === null) return 'taken';
        // The turn may be free because another instance has shared the entry since the first look.
        const since = await read(redis, names);
        if (since === undefined || !serves(since)) return 'ours';
        await giveUpTurn(redis, names, token, changes.message('-', key));
        return 'served';
      });
      if (found === 'taken') return { state: 'taken', changed: change.promise };
      change.forget();
      if (found === 'served') return { state: 'served' };
      // Without Redis every instance loads; what was loaded is offered all the same, as it may be back by then.
      const turn = { key, names, token, isHeld: found === 'ours' };
      return { state: 'ours', settle: holdRedisTurn(turn, keepStaleMs, connection, changes, platform) };
    },
    async get(key) {
      const names = await namesOf(key);
      return connection.run('get', (redis) => read(redis, names));
    },
    discard(key) {
      void namesOf(key).then(({ entry }) => connection.run('share', (redis) => redis.del(entry)));
    },
    onShared(listener) {
      listeners.push(listener);
    },
  };
}
