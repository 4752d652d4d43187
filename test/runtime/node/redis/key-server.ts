import type { KeyProofs } from '../../../../src/fleet/key-proofs.ts';
import type { Platform } from '../../../../src/platform/platform.ts';
import type { RedisCommands } from '../../../../src/runtime/node/redis/open-redis.ts';
import { createRedisKeyProofs } from '../../../../src/runtime/node/redis/redis-key-proofs.ts';

interface KeyServerOptions extends Pick<Platform, 'now' | 'elapsed'> {
  /** Carries out a command when it arrives. */
  readonly carryOut: (command: () => unknown) => Promise<unknown>;
  /** Gives up the work of a connection that takes too long. Default: it waits. */
  readonly within?: <Value>(work: Promise<Value>) => Promise<Value | undefined>;
}

/** The part of Redis that holds what is known of keys, with a clock of its own. */
export interface KeyServer {
  /** As one more replica sees it. */
  readonly connect: () => KeyProofs;
  readonly fields: Map<string, string>;
  /** The server's clock minus `now`. */
  aheadMs: number;
}

export function createKeyServer({ now, elapsed, carryOut, within }: KeyServerOptions): KeyServer {
  const fields = new Map<string, string>();
  const work: Record<string, (...args: never[]) => unknown> = {
    hSet: (_key: string, values: Record<string, string>) => {
      for (const [field, value] of Object.entries(values)) fields.set(field, value);
    },
    hDel: (_key: string, names: string[]) => names.map((name) => fields.delete(name)),
    hGetAll: () => Object.fromEntries(fields),
    pExpire: () => 1,
    time: () => {
      const timeMs = Math.floor(now() + server.aheadMs);
      return [String(Math.floor(timeMs / 1000)), String((timeMs % 1000) * 1000)];
    },
  };
  const server: KeyServer = {
    fields,
    aheadMs: 0,
    connect() {
      // The commands of one connection keep their order.
      let last: Promise<unknown> = Promise.resolve();
      const commands = Object.fromEntries(
        Object.entries(work).map(([name, command]) => [
          name,
          (...args: never[]) => {
            last = last.then(() => carryOut(() => command(...args)));
            return last;
          },
        ]),
      ) as unknown as RedisCommands;
      const connection = {
        reached: Promise.resolve(),
        lacks: { has: () => false, note: () => undefined },
        run: <Value>(_operation: string, use: (redis: RedisCommands) => Promise<Value>) =>
          within === undefined ? use(commands) : within(use(commands)),
        join: () => undefined,
        subscribe: () => undefined,
        stop: () => undefined,
      };
      const namespace = async () => 'imagecaches-bff:2:test';
      return createRedisKeyProofs(namespace, connection, { random: () => 0, elapsed });
    },
  };
  return server;
}
