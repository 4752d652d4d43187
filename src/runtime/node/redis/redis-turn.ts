import type { SharedEntry } from '../../../fleet/entries.ts';
import { CLOCK_TOLERANCE_MS, ENTRY_FORMAT, writeEntryTimes } from '../../../fleet/entry-fields.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { RedisCommands } from './open-redis.ts';
import type { RedisChanges } from './redis-changes.ts';
import type { RedisConnection } from './redis-connection.ts';
import { isWrongType } from './redis-fault.ts';
import { perform, type RedisLacks, tell } from './redis-lacks.ts';

/** A turn ends by itself this long after its holder was last heard of: 2 seconds. */
export const TURN_MS = 2000;
/** Interval at which a holder renews its turn. */
const RENEW_MS = 700;
/** Longer than the longest deadline of a load: a turn is not renewed for ever. */
const LONGEST_TURN_MS = 330_000;
/** Answers 0 where channels are forbidden. Without a channel nobody is told. */
const TELL = `
local function tell(channel, message)
  if channel == '' then return 1 end
  local told = redis.pcall('PUBLISH', channel, message)
  if type(told) == 'table' then return 0 end
  return 1
end`;
/**
 * KEYS: entry, turn. ARGV: begun, stored, fresh, body, milliseconds to keep, token, channel, message, format, newest.
 * A load that began before that of the entry is late, and changes nothing; one from the future is not believed, nor is what
 * is no number, such as "nan", which is neither before nor after.
 */
const SHARE = `${TELL}
local held = redis.pcall('HGET', KEYS[1], 'begun')
if type(held) == 'table' then
  redis.call('DEL', KEYS[1])
  held = false
end
local begun = tonumber(held or '0') or 0
if not (begun > tonumber(ARGV[1]) and begun <= tonumber(ARGV[10])) then
  redis.call('HSET', KEYS[1], 'format', ARGV[9], 'begun', ARGV[1], 'stored', ARGV[2], 'fresh', ARGV[3], 'body', ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[5])
end
if redis.call('GET', KEYS[2]) == ARGV[6] then redis.call('DEL', KEYS[2]) end
return tell(ARGV[7], ARGV[8])`;

/** KEYS: turn. ARGV: token, channel, message. */
const GIVE_UP = `${TELL}
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return tell(ARGV[2], ARGV[3])`;

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
  lacks: RedisLacks,
  { turn, channel }: RedisNames,
  token: string,
  message: string,
): Promise<void> {
  await perform(redis, lacks, {
    script: GIVE_UP,
    keys: [turn],
    arguments: [token, lacks.has('channels') ? '' : channel, message],
    read: (answer) => noteTold(answer, lacks),
    async inSteps() {
      if ((await redis.get(turn)) === token) await redis.del(turn);
      await tell(redis, lacks, channel, message);
    },
  });
}

function noteTold(answer: unknown, lacks: RedisLacks): void {
  if (answer === 0) lacks.note('channels');
}

async function renewTurn(
  redis: RedisCommands,
  lacks: RedisLacks,
  { turn }: RedisNames,
  token: string,
): Promise<void> {
  await perform(redis, lacks, {
    script: RENEW,
    keys: [turn],
    arguments: [token, String(TURN_MS)],
    read: () => undefined,
    async inSteps() {
      if ((await redis.get(turn)) === token) await redis.pExpire(turn, TURN_MS);
    },
  });
}

/** An entry, and all that is sent with it. */
interface Sharing {
  readonly names: RedisNames;
  readonly token: string;
  readonly message: string;
  readonly fields: {
    readonly begun: string;
    readonly stored: string;
    readonly fresh: string;
    readonly body: string;
  };
  readonly keepMs: number;
  /** A time of the future, after which a held entry is not believed. */
  readonly newestMs: number;
}

/** Shares an entry, unless a newer one is there, and gives up the turn. */
async function shareEntry(
  redis: RedisCommands,
  lacks: RedisLacks,
  { names, token, message, fields, keepMs, newestMs }: Sharing,
): Promise<void> {
  const { entry, turn, channel } = names;
  const { begun, stored, fresh, body } = fields;
  await perform(redis, lacks, {
    script: SHARE,
    keys: [entry, turn],
    arguments: [
      ...[begun, stored, fresh, body, String(keepMs), token],
      ...[lacks.has('channels') ? '' : channel, message, ENTRY_FORMAT, String(newestMs)],
    ],
    read: (answer) => noteTold(answer, lacks),
    async inSteps() {
      const [held, holder] = await Promise.all([readBegun(redis, entry), redis.get(turn)]);
      const isNewer = Number(held) > Number(begun) && Number(held) <= newestMs;
      await Promise.all([
        ...(isNewer
          ? []
          : [redis.hSet(entry, { format: ENTRY_FORMAT, ...fields }), redis.pExpire(entry, keepMs)]),
        ...(holder === token ? [redis.del(turn)] : []),
        tell(redis, lacks, channel, message),
      ]);
    },
  });
}

async function readBegun(redis: RedisCommands, entry: string): Promise<string | null> {
  try {
    return await redis.hGet(entry, 'begun');
  } catch (error) {
    if (!isWrongType(error)) throw error;
    await redis.del(entry);
    return null;
  }
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
  const { lacks } = connection;
  const begunMs = elapsed();
  let cancel = () => {};
  const renewLater = () => {
    cancel = schedule(() => {
      void connection.run('look_up', (redis) => renewTurn(redis, lacks, names, token));
      if (elapsed() - begunMs < LONGEST_TURN_MS) renewLater();
    }, RENEW_MS);
  };
  if (isHeld) renewLater();

  async function giveUp(): Promise<void> {
    const message = changes.message('-', key);
    await connection.run('share', (redis) => giveUpTurn(redis, lacks, names, token, message));
  }

  async function share(entry: SharedEntry): Promise<void> {
    const keepMs = Math.max(1, Math.ceil(entry.freshUntilMs - now()) + keepStaleMs);
    const sharing = {
      names,
      token,
      message: changes.message('+', key),
      fields: { ...writeEntryTimes(entry), body: new TextDecoder().decode(entry.body) },
      keepMs,
      newestMs: Math.round(now() + CLOCK_TOLERANCE_MS),
    };
    await connection.run('share', async (redis) => {
      try {
        await shareEntry(redis, lacks, sharing);
      } catch (error) {
        // A server that is full still deletes; else the others would wait for the end of the turn.
        await giveUpTurn(redis, lacks, names, token, changes.message('-', key)).catch(() => undefined);
        throw error;
      }
    });
  }

  return async (entry) => {
    cancel();
    await (entry === undefined ? giveUp() : share(entry));
  };
}
