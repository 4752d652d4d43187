import { randomBytes } from 'node:crypto';
import type { SharedFault, SharedLack } from '../../../observability/metrics.ts';
import type { RedisCommands } from './open-redis.ts';
import { faultOf, isForbidden } from './redis-fault.ts';

/** Commands without which the store is left alone. */
const NEEDED = ['HGETALL', 'GET', 'SET', 'DEL', 'HGET', 'HSET', 'HDEL', 'PEXPIRE', 'TIME'] as const;
/** Commands that are done without, and what is missing then. */
const SPARED = { EVAL: 'scripting', PUBLISH: 'channels' } as const satisfies Record<string, SharedLack>;

export type TriedCommand = (typeof NEEDED)[number] | keyof typeof SPARED;

export interface TrialResult {
  /** Why the store does not work; undefined when it does. */
  readonly fault: Exclude<SharedFault, SharedLack> | undefined;
  /** The commands that failed for this reason, and those that are forbidden and done without. */
  readonly commands: readonly TriedCommand[];
  readonly lacks: readonly SharedLack[];
}

/** What is tried is gone after this time, also where nothing may be deleted: 2 seconds. */
const KEEP_MS = 2000;
const OWN_KEY = randomBytes(8).toString('hex');

/**
 * Tries each command of the service, on keys and a channel of its own. All are sent at once. Rejects when the connection
 * ends meanwhile.
 *
 * @param start the namespace
 */
export async function tryRedisCommands(redis: RedisCommands, start: string): Promise<TrialResult> {
  const entry = `${start}:trial:{${OWN_KEY}}`;
  const turn = `${start}:trial-turn:{${OWN_KEY}}`;
  const tried: readonly (readonly [TriedCommand, Promise<unknown>])[] = [
    ['HSET', redis.hSet(entry, { tried: '1' })],
    ['PEXPIRE', redis.pExpire(entry, KEEP_MS)],
    ['HGET', redis.hGet(entry, 'tried')],
    ['HGETALL', redis.hGetAll(entry)],
    ['HDEL', redis.hDel(entry, ['tried'])],
    ['SET', redis.set(turn, OWN_KEY, { condition: 'NX', expiration: { type: 'PX', value: KEEP_MS } })],
    ['GET', redis.get(turn)],
    ['TIME', redis.time()],
    ['EVAL', redis.eval('return 1', { keys: [turn], arguments: [] })],
    // To nobody: who listens to the service's own channel does not hear of it.
    ['PUBLISH', redis.publish(`${start}:trial`, '')],
    ['DEL', Promise.all([redis.del(entry), redis.del(turn)])],
  ];
  const settled = await Promise.allSettled(tried.map(([, answer]) => answer));
  const failed = tried.flatMap(([command], index) => {
    const outcome = settled[index];
    return outcome?.status === 'rejected' ? [{ command, error: outcome.reason as unknown }] : [];
  });
  return judge(failed);
}

function judge(failed: readonly { command: TriedCommand; error: unknown }[]): TrialResult {
  const lacks: SharedLack[] = [];
  const forbidden: TriedCommand[] = [];
  const faults: { readonly command: TriedCommand; readonly fault: TrialResult['fault'] }[] = [];
  for (const { command, error } of failed) {
    if (command in SPARED && isForbidden(error)) {
      lacks.push(SPARED[command as keyof typeof SPARED]);
      forbidden.push(command);
    } else faults.push({ command, fault: faultOf(error) });
  }
  // A replica without its primary is READONLY too, and that says less.
  const fault = (faults.find((one) => one.fault === 'MASTERDOWN') ?? faults[0])?.fault;
  if (fault === undefined) return { fault, commands: forbidden, lacks };
  return {
    fault,
    commands: faults.filter((one) => one.fault === fault).map(({ command }) => command),
    lacks,
  };
}
