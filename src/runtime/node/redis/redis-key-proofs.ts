import { randomBytes } from 'node:crypto';
import { KeyMemory } from '../../../fleet/key-memory.ts';
import { nameKey } from '../../../fleet/key-name.ts';
import type { KeyProofs, KeyUse } from '../../../fleet/key-proofs.ts';
import {
  announceCall,
  judgeCall,
  type KeyCall,
  type KeyChange,
  type KeyFields,
  noteAccepted,
  noteRejected,
  outdatedFields,
} from '../../../fleet/key-state.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { RedisCommands } from './open-redis.ts';
import type { RedisConnection } from './redis-connection.ts';

/** What is known of a key is kept for 1 day after the last call with it. */
const KEEP_MS = 86_400_000;
/** What keeps a key from being locked is tried up to 3 times; then Redis is left alone. */
const MAX_TRIES = 3;
/** Temporary credentials bring new access keys all the time: the last 16 are remembered. */
const MAX_REMEMBERED_KEYS = 16;

/**
 * What instances know of keys together, in one hash of Redis for each access key id, which is written as a digest. A call
 * is announced before the others are read, so that of two instances at least one sees the other, without a script.
 */
export function createRedisKeyProofs(
  namespace: () => Promise<string>,
  connection: RedisConnection,
  { random, elapsed }: Pick<Platform, 'random' | 'elapsed'>,
): KeyProofs {
  connection.join(namespace);
  const memories = new Map<string, KeyMemory>();

  function memoryOf(name: string): KeyMemory {
    const memory = memories.get(name) ?? new KeyMemory();
    memories.delete(name);
    memories.set(name, memory);
    for (const oldest of memories.keys()) {
      if (memories.size <= MAX_REMEMBERED_KEYS) break;
      memories.delete(oldest);
    }
    return memory;
  }

  /** @param work the second argument is aborted when nobody waits for it any more */
  async function run<Value>(
    tries: number,
    work: (redis: RedisCommands, signal: AbortSignal) => Promise<Value>,
  ): Promise<Value | undefined> {
    for (let left = tries; ; left -= 1) {
      const given = new AbortController();
      const value = await connection.run('keys', (redis) => work(redis, given.signal));
      if (value !== undefined) return value;
      given.abort();
      if (left <= 1) return undefined;
    }
  }

  function permissionFor(name: string, call: KeyCall, fields: KeyFields, wasAccepted: boolean): KeyUse {
    return {
      async leave(verdict) {
        await run(MAX_TRIES, async (redis) => {
          if (verdict === 'accepted') await change(redis, name, noteAccepted(fields, call));
          else if (verdict === 'neutral') await redis.hDel(name, [`call:${call.token}`]);
          else {
            const nowMs = await readTimeMs(redis);
            await change(redis, name, noteRejected(fields, call, wasAccepted, nowMs, random()));
          }
          return true;
        });
      },
    };
  }

  return {
    async enter(credential, known, leaseMs) {
      // Instances that start together are still connecting.
      if (!known.isAccepted) await connection.reached;
      const { name, digest } = await nameKey(credential);
      const ask = async (
        redis: RedisCommands,
        signal: AbortSignal,
      ): Promise<KeyUse | 'busy' | 'locked_out'> => {
        const token = randomBytes(12).toString('base64url');
        const call: KeyCall = { token, digest, begunAtMs: await readTimeMs(redis) };
        const [, , read] = await Promise.all([
          redis.hSet(name, announceCall(call, leaseMs)),
          redis.pExpire(name, KEEP_MS),
          redis.hGetAll(name),
        ]);
        const repaired = memoryOf(name).repair(read, call.begunAtMs, elapsed());
        if (Object.keys(repaired).length > 0) await redis.hSet(name, repaired);
        const fields = { ...read, ...repaired };
        const judged = judgeCall(fields, call, known);
        const removed = outdatedFields(fields, call.begunAtMs);
        // Of an answer that came too late nobody makes use, and nobody would end the call.
        if (judged !== 'ours' || signal.aborted) removed.push(`call:${token}`);
        if (removed.length > 0) await redis.hDel(name, removed);
        return judged === 'ours' ? permissionFor(name, call, fields, known.isAccepted) : judged;
      };
      return run(known.isAccepted ? 1 : MAX_TRIES, ask);
    },
  };
}

async function change(redis: RedisCommands, name: string, { set, remove }: KeyChange): Promise<void> {
  await Promise.all([
    ...(Object.keys(set).length > 0 ? [redis.hSet(name, set)] : []),
    redis.hDel(name, remove),
  ]);
}

/** By the clock of Redis, which is one for all instances. */
async function readTimeMs(redis: RedisCommands): Promise<number> {
  const [seconds, microseconds] = await redis.time();
  return Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
}
