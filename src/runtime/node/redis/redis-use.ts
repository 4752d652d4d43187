import { createHash } from 'node:crypto';
import type { SharedUse } from '../../../fleet/use.ts';
import type { RedisConnection } from './redis-connection.ts';

/**
 * KEYS: use. ARGV: milliseconds to add, most milliseconds ahead. By the clock of Redis, which is one for all
 * instances; answers how far ahead the use now is.
 */
const ADD = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local til = tonumber(redis.call('GET', KEYS[1]) or '0') or 0
if til < now or til > now + 2 * tonumber(ARGV[2]) then til = now end
til = math.min(til + tonumber(ARGV[1]), now + tonumber(ARGV[2]))
redis.call('SET', KEYS[1], string.format('%.3f', til), 'PX', math.max(1, math.ceil(til - now)))
return string.format('%.3f', til - now)`;

/** Uses of limits in Redis. Who used them is written as a digest only. */
export function createRedisUse(namespace: () => Promise<string>, connection: RedisConnection): SharedUse {
  const keyOf = (start: string, key: string) =>
    `${start}:use:{${createHash('sha256').update(key).digest('base64url').slice(0, 22)}}`;
  return {
    async add(uses, limitMs) {
      const start = await namespace();
      const answers = await connection.run('limits', (redis) =>
        Promise.all(
          uses.map(({ key, addedMs }) =>
            redis.eval(ADD, { keys: [keyOf(start, key)], arguments: [addedMs.toFixed(3), String(limitMs)] }),
          ),
        ),
      );
      return uses.map((_use, index) => toMilliseconds(answers?.[index], limitMs));
    },
  };
}

function toMilliseconds(answer: unknown, limitMs: number): number | undefined {
  const ms = typeof answer === 'string' && answer !== '' ? Number(answer) : Number.NaN;
  return ms >= 0 && ms <= limitMs ? ms : undefined;
}
