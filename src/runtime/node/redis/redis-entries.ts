import { randomBytes } from 'node:crypto';
import type { Dependencies } from '../../../deps.ts';
import type { LookUp, SharedEntries, SharedEntry } from '../../../shared-entries.ts';
import { CLOCK_TOLERANCE_MS, ENTRY_FORMAT, readEntryFields, writeEntryTimes } from '../../entry-fields.ts';
import type { RedisCommands } from './open-redis.ts';
import type { RedisConnection } from './redis-connection.ts';

/** A turn ends by itself so long after its holder was last heard of: 2 seconds. */
const TURN_MS = 2000;
/** The holder says so often that it is still loading. */
const RENEW_MS = 700;
/** The same as the longest deadline of a load, with room: a turn is not renewed for ever. */
const LONGEST_TURN_MS = 330_000;
/** Who waits for the load of another looks again after this time, should no message come. */
const LOOK_AGAIN_MS = 500;
/**
 * KEYS: entry, turn. ARGV: begun, stored, fresh, body, milliseconds to keep, token, channel, message, format, newest.
 * A load that began before that of the entry is late, and changes nothing; one from the future is not believed.
 */
const SHARE = `
local type = redis.call('TYPE', KEYS[1]).ok
if type ~= 'hash' and type ~= 'none' then redis.call('DEL', KEYS[1]) end
local begun = tonumber(redis.call('HGET', KEYS[1], 'begun') or '0') or 0
if begun <= tonumber(ARGV[1]) or begun > tonumber(ARGV[10]) then
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

export interface RedisEntriesOptions {
  /** Begins every key and is the name of the channel: what other services, accounts and projects hold stays apart. */
  readonly namespace: string;
  /** How long entries are kept after they were fresh: milliseconds. */
  readonly keepStaleMs: number;
}

export interface RedisEntries extends SharedEntries {
  /** What came on the channel. */
  readonly onMessage: (message: string) => void;
}

/**
 * Shared entries in Redis. Who loads is agreed by a key that expires, with a token, so that nobody ends the turn of
 * another. Each change is told on a channel; who misses a message has what it has until that is no longer fresh.
 */
export function createRedisEntries(
  { namespace, keepStaleMs }: RedisEntriesOptions,
  connection: () => RedisConnection,
  deps: Pick<Dependencies, 'now' | 'schedule'>,
): RedisEntries {
  const sender = randomBytes(8).toString('hex');
  const message = /^([0-9a-f]{16}) ([+-]) (\*|[A-Za-z0-9._-]{1,128})$/;
  const waiting = new Map<string, Set<() => void>>();
  let listener: (key: string) => void = () => undefined;

  // The braces make a cluster keep both keys on one node.
  const entryKey = (key: string) => `${namespace}:entry:{${key}}`;
  const turnKey = (key: string) => `${namespace}:turn:{${key}}`;

  async function read(redis: RedisCommands, key: string): Promise<SharedEntry | undefined> {
    let fields: Record<string, string>;
    try {
      fields = await redis.hGetAll(entryKey(key));
    } catch (error) {
      // Somebody else's value under our key: it makes room.
      if (!(error instanceof Error && error.message.startsWith('WRONGTYPE'))) throw error;
      await redis.del(entryKey(key));
      return undefined;
    }
    const { body, ...times } = fields;
    return readEntryFields(
      { ...times, body: body === undefined ? undefined : new TextEncoder().encode(body) },
      deps.now(),
    );
  }

  /** Resolves at the next message about the key, or when it is time to look again. */
  function nextChange(key: string): { readonly promise: Promise<void>; readonly forget: () => void } {
    let done = () => {};
    const promise = new Promise<void>((resolve) => {
      const cancel = deps.schedule(() => done(), LOOK_AGAIN_MS);
      done = () => {
        cancel();
        const waiters = waiting.get(key);
        waiters?.delete(done);
        if (waiters?.size === 0) waiting.delete(key);
        resolve();
      };
    });
    const waiters = waiting.get(key) ?? new Set();
    waiters.add(done);
    waiting.set(key, waiters);
    return { promise, forget: done };
  }

  function hold(key: string, token: string, isHeld: boolean): LookUp {
    const begunMs = deps.now();
    let cancel = () => {};
    const renewLater = () => {
      cancel = deps.schedule(() => {
        void connection().run('look_up', (redis) =>
          redis.eval(RENEW, { keys: [turnKey(key)], arguments: [token, String(TURN_MS)] }),
        );
        if (deps.now() - begunMs < LONGEST_TURN_MS) renewLater();
      }, RENEW_MS);
    };
    if (isHeld) renewLater();
    return {
      state: 'ours',
      async settle(entry) {
        cancel();
        if (entry === undefined) {
          await connection().run('share', (redis) =>
            redis.eval(GIVE_UP, {
              keys: [turnKey(key)],
              arguments: [token, namespace, `${sender} - ${key}`],
            }),
          );
          return;
        }
        const { begun, stored, fresh } = writeEntryTimes(entry);
        const keepMs = Math.ceil(entry.freshUntilMs - deps.now()) + keepStaleMs;
        const values = [
          begun,
          stored,
          fresh,
          new TextDecoder().decode(entry.body),
          String(Math.max(1, keepMs)),
          token,
          namespace,
          `${sender} + ${key}`,
          ENTRY_FORMAT,
          String(Math.round(deps.now() + CLOCK_TOLERANCE_MS)),
        ];
        await connection().run('share', (redis) =>
          redis.eval(SHARE, { keys: [entryKey(key), turnKey(key)], arguments: values }),
        );
      },
    };
  }

  return {
    async lookUp(key, serves) {
      const token = randomBytes(16).toString('hex');
      // Before the turn is asked for: a message that comes while the answer is on its way counts.
      const change = nextChange(key);
      const found = await connection().run('look_up', async (redis): Promise<'served' | 'ours' | 'taken'> => {
        const entry = await read(redis, key);
        if (entry !== undefined && serves(entry)) return 'served';
        const taken = await redis.set(turnKey(key), token, {
          condition: 'NX',
          expiration: { type: 'PX', value: TURN_MS },
        });
        return taken === null ? 'taken' : 'ours';
      });
      if (found === 'taken') return { state: 'taken', changed: change.promise };
      change.forget();
      if (found === 'served') return { state: 'served' };
      // Without Redis everyone loads; what was loaded is offered all the same, as it may be back by then.
      return hold(key, token, found === 'ours');
    },
    get: (key) => connection().run('get', (redis) => read(redis, key)),
    discard(key) {
      void connection().run('share', (redis) => redis.del(entryKey(key)));
    },
    onShared(newListener) {
      listener = newListener;
    },
    onMessage(text) {
      const [, from, sign, key] = message.exec(text) ?? [];
      if (key === undefined || from === sender) return;
      for (const done of [...(waiting.get(key) ?? [])]) done();
      if (sign === '+') listener(key);
    },
  };
}
