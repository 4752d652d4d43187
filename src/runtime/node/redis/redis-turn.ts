import type { SharedEntry } from '../../../fleet/entries.ts';
import { CLOCK_TOLERANCE_MS, ENTRY_FORMAT, writeEntryTimes } from '../../../fleet/entry-fields.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { RedisCommands } from './open-redis.ts';
import type { RedisChanges } from './redis-changes.ts';
import type { RedisConnection } from './redis-connection.ts';

/** A turn ends by itself this long after its holder was last heard of: 2 seconds. */
export const TURN_MS = 2000;
/** Interval at which a holder renews its turn. */
const RENEW_MS = 700;
/** Longer than the longest deadline of a load: a turn is not renewed for ever. */
const LONGEST_TURN_MS = 330_000;
/**
 * KEYS: entry, turn. ARGV: begun, stored, fresh, body, milliseconds to keep, token, channel, message, format, newest.
 * A load that began before that of the entry is late, and changes nothing; one from the future is not believed, nor is what
 * is no number, such as "nan", which is neither before nor after.
 */
const SHARE = `
local type = redis.call('TYPE', KEYS[1]).ok
if type ~= 'hash' and type ~= 'none' then redis.call('DEL', KEYS[1]) end
local begun = tonumber(redis.call('HGET', KEYS[1], 'begun') or '0') or 0
if not (begun > tonumber(ARGV[1]) and begun <= tonumber(ARGV[10])) then
  redis.call('HSET', KEYS[1], 'format', ARGV[9], 'begun', ARGV[1], 'stored', ARGV[2], 'fresh', ARGV[3], 'body', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if redis.call('GET', KEYS[2]) == ARGV[6] then redis.call('DEL', KEYS[2]) end
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 1`;

/** KEYS: turn. ARGV: token, channel, message. */
const GIVE_UP = `
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1`;

/** KEYS: turn. ARGV: token, milliseconds. */
const RENEW = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`;

/** What a cache key is called in Redis. */
export interface RedisNames {
  readonly entry: string;
  readonly turn: string;
  readonly channel: string;
}

/** The turn of this instance to load one key. */
export interface RedisTurn {
  readonly key: string;
  readonly names: RedisNames;
  /** Proves whose turn it is. */
  readonly token: string;
  /** False where Redis did not say: what is loaded is offered all the same. */
  readonly isHeld: boolean;
}

/**
 * Lets others load again, unless the turn is no longer that of `token`.
 *
 * @param message told on the channel: others wait for it
 */
export async function giveUpTurn(
  redis: RedisCommands,
  { turn, channel }: RedisNames,
  token: string,
  message: string,
): Promise<void> {
  await redis.eval(GIVE_UP, { keys: [turn], arguments: [token, channel, message] });
}

/**
 * Holds a turn until it is settled.
 *
 * @param keepStaleMs time that the entry is kept after it was fresh
 * @returns `settle`: shares what was loaded, or nothing after a failure, and lets others load again; never rejects
 */
export function holdRedisTurn(
  { key, names, token, isHeld }: RedisTurn,
  keepStaleMs: number,
  connection: RedisConnection,
  changes: Pick<RedisChanges, 'message'>,
  { now, elapsed, schedule }: Pick<Platform, 'now' | 'elapsed' | 'schedule'>,
): (entry?: SharedEntry) => Promise<void> {
  const begunMs = elapsed();
  let cancel = () => {};
  const renewLater = () => {
    cancel = schedule(() => {
      void connection.run('look_up', (redis) =>
        redis.eval(RENEW, { keys: [names.turn], arguments: [token, String(TURN_MS)] }),
      );
      if (elapsed() - begunMs < LONGEST_TURN_MS) renewLater();
    }, RENEW_MS);
  };
  if (isHeld) renewLater();

  async function giveUp(): Promise<void> {
    const message = changes.message('-', key);
    await connection.run('share', (redis) => giveUpTurn(redis, names, token, message));
  }

  async function share(entry: SharedEntry): Promise<void> {
    const { begun, stored, fresh } = writeEntryTimes(entry);
    const keepMs = Math.ceil(entry.freshUntilMs - now()) + keepStaleMs;
    const values = [
      begun,
      stored,
      fresh,
      new TextDecoder().decode(entry.body),
      String(Math.max(1, keepMs)),
      token,
      names.channel,
      changes.message('+', key),
      ENTRY_FORMAT,
      String(Math.round(now() + CLOCK_TOLERANCE_MS)),
    ];
    await connection.run('share', (redis) =>
      redis.eval(SHARE, { keys: [names.entry, names.turn], arguments: values }),
    );
  }

  return async (entry) => {
    cancel();
    await (entry === undefined ? giveUp() : share(entry));
  };
}
