import { createClient, createCluster, createSentinel } from '@redis/client';
import type { RedisLocation } from '../../../config/redis-url.ts';

/** The commands in use, which are the same for one server, a cluster and sentinels. */
export interface RedisCommands {
  readonly isReady: boolean;
  hGetAll(key: string): Promise<Record<string, string>>;
  set(
    key: string,
    value: string,
    options: { condition: 'NX'; expiration: { type: 'PX'; value: number } },
  ): Promise<string | null>;
  del(key: string): Promise<number>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
}

export interface RedisClient extends RedisCommands {
  connect(): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'ready', listener: () => void): unknown;
  /** Ends it at once; what is under way rejects. */
  destroy(): unknown;
}

const CONNECT_TIMEOUT_MS = 2000;
const MAX_RECONNECT_DELAY_MS = 2000;
/** More commands than this do not wait in a connection that is stuck. */
const MAX_QUEUED_COMMANDS = 10_000;

/** A client that is not connected yet. It tries again by itself, for ever, and says nothing. */
export function openRedis(location: RedisLocation): RedisClient {
  const socket = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectStrategy: (retries: number) =>
      Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(retries, 8)) * (1 - 0.2 * Math.random()),
  };
  // Nothing waits for a connection: without one the service goes on alone.
  const common = { disableOfflineQueue: true, commandsQueueMaxLength: MAX_QUEUED_COMMANDS };
  const tls = location.kind === 'sentinel' && location.isTls ? { tls: true as const } : {};
  switch (location.kind) {
    case 'single':
      return createClient({ ...common, url: location.url, socket }) as unknown as RedisClient;
    case 'cluster': {
      const [{ username, password, protocol }] = location.urls.map((url) => new URL(url)) as [URL];
      return createCluster({
        rootNodes: location.urls.map((url) => ({ url })),
        // Nodes that are found later are reached with these.
        defaults: {
          ...common,
          ...(username !== '' && { username: decodeURIComponent(username) }),
          ...(password !== '' && { password: decodeURIComponent(password) }),
          socket: protocol === 'rediss:' ? { ...socket, tls: true as const } : socket,
        },
      }) as unknown as RedisClient;
    }
    case 'sentinel': {
      const { primaryName, sentinels, username, password } = location;
      return createSentinel({
        name: primaryName,
        sentinelRootNodes: [...sentinels],
        nodeClientOptions: {
          ...common,
          ...(username !== undefined && { username }),
          ...(password !== undefined && { password }),
          socket: { ...socket, ...tls },
        },
        sentinelClientOptions: { socket: { ...socket, ...tls } },
      }) as unknown as RedisClient;
    }
  }
}
