import type { RedisLocation } from '../../../config/redis-url.ts';
import { openRedis, type RedisCommands } from './open-redis.ts';
import { isForbidden } from './redis-fault.ts';
import { type TrialResult, tryRedisCommands } from './try-redis-commands.ts';

/** A channel, and who listens to it. */
export interface Subscription {
  readonly channel: () => Promise<string>;
  readonly onMessage: (message: string) => void;
}

/** One client of the library, from its connection to its end. */
export interface RedisSession {
  readonly commands: RedisCommands;
  readonly isReady: boolean;
  /** A trial is under way. */
  isTried: boolean;
  connect(): Promise<unknown>;
  /** Subscribes where that was not done, and tries each command. Rejects when the connection ends meanwhile. */
  tryAll(start: string, subscriptions: readonly Subscription[]): Promise<SessionTrial>;
  /** Ends it at once; what is under way rejects. */
  end(): void;
}

export interface SessionTrial extends Omit<TrialResult, 'commands'> {
  readonly commands: readonly string[];
}

export interface SessionEvents {
  /** It is connected, for the first time or again. */
  readonly onReady: () => void;
  /** There is no connection, for this reason. Called for each attempt. */
  readonly onError: (error: unknown) => void;
}

/** A session that is not connected yet. It goes on trying by itself, except where a cluster has no node that answers. */
export function openRedisSession(location: RedisLocation, { onReady, onError }: SessionEvents): RedisSession {
  const client = openRedis(location);
  const listening = new Map<Subscription, Promise<unknown>>();
  client.on('error', (error) => {
    // The library tells of sentinels in its own words first, and then gives the error.
    if (!client.isReady && error instanceof Error) onError(error);
  });
  client.on('ready', onReady);

  function listen(subscription: Subscription): Promise<unknown> {
    const known = listening.get(subscription);
    if (known !== undefined) return known;
    const begun = subscription.channel().then((channel) => client.subscribe(channel, subscription.onMessage));
    listening.set(subscription, begun);
    begun.catch(() => listening.delete(subscription));
    return begun;
  }

  /** Whether all channels are listened to; rejects for any other reason than that it is forbidden. */
  async function listenToAll(subscriptions: readonly Subscription[]): Promise<boolean> {
    const settled = await Promise.allSettled(subscriptions.map(listen));
    const reasons = settled.flatMap((one) => (one.status === 'rejected' ? [one.reason as unknown] : []));
    const other = reasons.find((reason) => !isForbidden(reason));
    if (other !== undefined) throw other;
    return reasons.length === 0;
  }

  return {
    commands: client,
    get isReady() {
      return client.isReady;
    },
    isTried: false,
    connect: () => client.connect(),
    async tryAll(start, subscriptions) {
      const result = await tryRedisCommands(client, start);
      if (result.fault !== undefined || (await listenToAll(subscriptions))) return result;
      return {
        ...result,
        commands: [...result.commands, 'SUBSCRIBE'],
        lacks: result.lacks.includes('channels') ? result.lacks : [...result.lacks, 'channels'],
      };
    },
    end() {
      // A client that never got its connection may throw.
      try {
        const ended = client.destroy();
        if (ended instanceof Promise) ended.catch(() => undefined);
      } catch {
        // It is gone, which is what was wanted.
      }
    },
  };
}
