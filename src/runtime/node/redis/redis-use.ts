import { createHash } from 'node:crypto';
import type { SharedUse } from '../../../fleet/use.ts';
import type { RedisCommands } from './open-redis.ts';
import type { RedisConnection } from './redis-connection.ts';
import { perform } from './redis-lacks.ts';

/**
 * KEYS: use. ARGV: milliseconds to add, most milliseconds ahead. By the clock of Redis, which is one for all
 * instances; answers how far ahead the use now is. "nan", which Lua reads as a
 * number, compares false with every time, so the check says what a time must be to count.
 */
const ADD = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local til = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if not (til >= now and til <= now + 2 * tonumber(ARGV[2])) then til = now end
til = math.min(til + tonumber(ARGV[1]), now + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.3f', til), 'PX', math.max(1, math.ceil(til - now)))
return string.format('%.3f', til - now)`;

/** Uses of limits in Redis. Who used them is written as a digest only. */
export function createRedisUse(namespace: () => Promise<string>, connection: RedisConnection): SharedUse {
  connection.join(namespace);
  const keyOf = (start: string, key: string) =>
    `${start}:use:{${createHash('sha256').update(key).digest('base64url').slice(0, 22)}}`;
  return {
    async add(uses, limitMs) {
      const start = await namespace();
      const answers = await connection.run('limits', (redis) =>
        Promise.all(
          uses.map(({ key, addedMs }) =>
            perform(redis, connection.lacks, {
              script: ADD,
              keys: [keyOf(start, key)],
              arguments: [addedMs.toFixed(3), String(limitMs)],
              read: (answer) => answer,
              inSteps: () => addInSteps(redis, keyOf(start, key), addedMs, limitMs),
            }),
          ),
        ),
      );
      return uses.map((_use, index) => toMilliseconds(answers?.[index], limitMs));
    },
  };
}

/** As the script, but of two replicas that add at the same moment one is not counted. */
async function addInSteps(
  redis: RedisCommands,
  key: string,
  addedMs: number,
  limitMs: number,
): Promise<string> {
  const [[seconds, microseconds], known] = await Promise.all([redis.time(), redis.get(key)]);
  const nowMs = Number(seconds) * 1000 + Math.floor(Number(microseconds) / 1000);
  const knownMs = Number(known ?? 0);
  const isBelieved = knownMs >= nowMs && knownMs <= nowMs + 2 * limitMs;
  const untilMs = Math.min((isBelieved ? knownMs : nowMs) + addedMs, nowMs + limitMs);
  const expiration = { type: 'PX', value: Math.max(1, Math.ceil(untilMs - nowMs)) } as const;
  await redis.set(key, untilMs.toFixed(3), { expiration });
  return (untilMs - nowMs).toFixed(3);
}

function toMilliseconds(answer: unknown, limitMs: number): number | undefined {
  const ms = typeof answer === 'string' && answer !== '' ? Number(answer) : Number.NaN;
  return ms >= 0 && ms <= limitMs ? ms : undefined;
}
