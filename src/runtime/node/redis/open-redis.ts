import { createClient, createCluster, createSentinel } from '@redis/client';
import type { RedisLocation } from '../../../config/redis-url.ts';

/** The commands in use, which are the same for one server, a cluster and sentinels. */
export interface RedisCommands {
  readonly isReady: boolean;
  hGetAll(key: string): Promise<Record<string, string>>;
  hGet(key: string, field: string): Promise<string | null>;
  hSet(key: string, fields: Record<string, string>): Promise<unknown>;
  hDel(key: string, fields: string[]): Promise<unknown>;
  get(key: string): Promise<string | null>;
  set(
    key: string,
    value: string,
    options: { condition?: 'NX'; expiration: { type: 'PX'; value: number } },
  ): Promise<string | null>;
  pExpire(key: string, milliseconds: number): Promise<unknown>;
  del(key: string): Promise<number>;
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>;
  publish(channel: string, message: string): Promise<unknown>;
  /** The server's clock: seconds and microseconds. */
  time(): Promise<readonly [seconds: string, microseconds: string]>;
}

export interface RedisClient extends RedisCommands {
  connect(): Promise<unknown>;
  subscribe(channel: string, listener: (message: string) => void): Promise<unknown>;
  /** What is told is an Error, or a text of the library that an Error follows. */
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'ready', listener: () => void): unknown;
  /** Ends it at once; what is under way rejects. */
  destroy(): unknown;
}

const CONNECT_TIMEOUT_MS = 2000;
const MAX_RECONNECT_DELAY_MS = 2000;
/** More commands than this do not wait in a connection that is stuck. */
const MAX_QUEUED_COMMANDS = 10_000;

/** Nothing is sent that the service does not need: a user with few permissions would have it in its ACL log. */
const QUIET = { disableClientInfo: true, maintNotifications: 'disabled' } as const;

/** A client that is not connected yet. It tries again by itself, for ever, and says nothing. */
export function openRedis(location: RedisLocation): RedisClient {
  const socket = {
    connectTimeout: CONNECT_TIMEOUT_MS,
    reconnectStrategy: (retries: number) =>
      Math.min(MAX_RECONNECT_DELAY_MS, 50 * 2 ** Math.min(retries, 8)) * (1 - 0.2 * Math.random()),
  };
  // Nothing waits for a connection: without one the service goes on alone.
  const common = { ...QUIET, disableOfflineQueue: true, commandsQueueMaxLength: MAX_QUEUED_COMMANDS };
  const tls = location.kind === 'sentinel' && location.isTls ? { tls: true as const } : {};
  switch (location.kind) {
    case 'single':
      return createClient({ ...common, url: location.url, socket }) as unknown as RedisClient;
    case 'cluster': {
      const [{ username, password, protocol }] = location.urls.map((url) => new URL(url)) as [URL];
      return createCluster({
        rootNodes: location.urls.map((url) => ({ ...QUIET, url })),
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
      const { primaryName, sentinels, username, password, sentinelUsername, sentinelPassword } = location;
      return createSentinel({
        name: primaryName,
        sentinelRootNodes: [...sentinels],
        nodeClientOptions: {
          ...common,
          ...(username !== undefined && { username }),
          ...(password !== undefined && { password }),
          socket: { ...socket, ...tls },
        },
        sentinelClientOptions: {
          ...QUIET,
          ...(sentinelUsername !== undefined && { username: sentinelUsername }),
          ...(sentinelPassword !== undefined && { password: sentinelPassword }),
          socket: { ...socket, ...tls },
        },
        // Else a primary that refuses the password would say nothing for as long as it is tried.
        passthroughClientErrorEvents: true,
      }) as unknown as RedisClient;
    }
  }
}
