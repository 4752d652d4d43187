import type { RedisLocation } from '../../../config/redis-url.ts';
import type { SharedOperation } from '../../../observability/metrics.ts';
import { runWithin } from '../../../outbound/run-within.ts';
import type { Platform } from '../../../platform/platform.ts';
import { openRedis, type RedisClient, type RedisCommands } from './open-redis.ts';
import { RedisHealth } from './redis-health.ts';

/** No request waits longer for Redis: 50 ms. */
export const REDIS_TIMEOUT_MS = 50;
/** Nobody waits longer for the first connection: 2 seconds. */
const REACHED_TIMEOUT_MS = 2000;
/** A connection that has given nothing for 10 seconds is replaced, with the settings read again. */
const STUCK_MS = 10_000;

export interface RedisConnection {
  /** Resolves when Redis has answered for the first time, when it cannot be reached, and after 2 seconds. */
  readonly reached: Promise<void>;
  /**
   * Runs commands, all of them within REDIS_TIMEOUT_MS. Never rejects.
   *
   * @returns undefined when Redis did not do it
   */
  run<Value>(
    operation: SharedOperation,
    work: (redis: RedisCommands) => Promise<Value>,
  ): Promise<Value | undefined>;
  /** Listens to a channel from now on, also after the connection was replaced. */
  subscribe(channel: () => Promise<string>, onMessage: (message: string) => void): void;
  stop(): void;
}

interface Subscription {
  readonly channel: () => Promise<string>;
  readonly onMessage: (message: string) => void;
}

class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';
}

/**
 * Keeps a connection to Redis, and the rest of the service from waiting for it: while it is gone, or slow, it is not
 * asked. One line of the log for each change, and metrics.
 *
 * @param locate asked each time a connection is opened, so that a changed password is found
 */
export function keepRedisConnection(
  locate: () => Promise<RedisLocation | undefined>,
  deps: Pick<Platform, 'elapsed' | 'schedule' | 'random' | 'logger' | 'metrics'>,
): RedisConnection {
  const health = new RedisHealth(deps);
  const subscriptions: Subscription[] = [];
  let client: RedisClient | undefined;
  /** Since when nothing comes of asking; undefined: something did. */
  let failingSinceMs: number | undefined;
  let isStopped = false;
  const reached = Promise.withResolvers<void>();
  const cancel = deps.schedule(reached.resolve, REACHED_TIMEOUT_MS);

  function noteReached(): void {
    cancel();
    reached.resolve();
  }

  function noteUp(): void {
    noteReached();
    failingSinceMs = undefined;
    health.noteUp();
  }

  function noteDown(error: unknown): void {
    noteReached();
    if (!isStopped) health.noteDown(error);
  }

  async function open(): Promise<void> {
    failingSinceMs = undefined;
    try {
      const location = await locate();
      if (location === undefined) throw new Error('the location of Redis is not valid');
      if (isStopped) return;
      const opened = openRedis(location);
      client = opened;
      opened.on('error', (error) => {
        if (opened === client && !opened.isReady) noteDown(error);
      });
      opened.on('ready', () => {
        if (opened === client && health.isDown) noteUp();
      });
      await opened.connect();
      for (const subscription of subscriptions) await listen(opened, subscription);
      if (opened === client) noteUp();
    } catch (error) {
      noteDown(error);
    }
  }

  async function listen(opened: RedisClient, { channel, onMessage }: Subscription): Promise<void> {
    await opened.subscribe(await channel(), onMessage);
  }

  function replaceIfStuck(): void {
    failingSinceMs ??= deps.elapsed();
    if (isStopped || deps.elapsed() - failingSinceMs < STUCK_MS) return;
    const stuck = client;
    client = undefined;
    end(stuck);
    void open();
  }

  void open();

  return {
    reached: reached.promise,
    async run(operation, work) {
      const used = client;
      if (!used?.isReady || health.isPaused) {
        deps.metrics.sharedStoreUsed(operation, 'skipped');
        replaceIfStuck();
        return undefined;
      }
      try {
        const value = await runWithin(
          REDIS_TIMEOUT_MS,
          deps.schedule,
          () => work(used),
          () => new RedisTimeoutError(),
        );
        deps.metrics.sharedStoreUsed(operation, 'ok');
        noteUp();
        return value;
      } catch (error) {
        const isTimeout = error instanceof RedisTimeoutError;
        deps.metrics.sharedStoreUsed(operation, isTimeout ? 'timeout' : 'error');
        if (isTimeout) {
          health.noteTimeout(error);
          replaceIfStuck();
        } else if (!used.isReady) noteDown(error);
        return undefined;
      }
    },
    subscribe(channel, onMessage) {
      const subscription = { channel, onMessage };
      subscriptions.push(subscription);
      // A connection that is still being opened subscribes by itself.
      if (client?.isReady) listen(client, subscription).catch(noteDown);
    },
    stop() {
      isStopped = true;
      noteReached();
      end(client);
    },
  };
}

/** A client that never got its connection may throw. */
function end(client: RedisClient | undefined): void {
  try {
    const ended = client?.destroy();
    if (ended instanceof Promise) ended.catch(() => undefined);
  } catch {
    // It is gone, which is what was wanted.
  }
}
