import { randomBytes } from 'node:crypto';
import type { Schedule } from '../../../platform/schedule.ts';

/** Longest wait for a message about a key before its waiters look again: 500 ms. */
const LOOK_AGAIN_MS = 500;
/** The same where there are no messages: 100 ms. */
const POLL_MS = 100;
const MESSAGE =
  /^(?<sender>[0-9a-f]{16}) (?<sign>[+-]) (?<key>(?:[a-z0-9-]{1,64}\/){0,2}(?:\*|[A-Za-z0-9._-]{1,128}))$/;

/** The wait for the next change of a key. */
export interface Change {
  /** Resolves at the next message about the key, or when it is time to look again. Never rejects. */
  readonly promise: Promise<void>;
  /** Ends the wait. */
  readonly forget: () => void;
}

export interface RedisChanges {
  next(key: string): Change;
  /** The message that a key was shared (`+`), or that its turn was given up (`-`). */
  message(sign: '+' | '-', key: string): string;
  /** Takes a message of the channel; those of this instance are ignored. */
  receive(text: string): void;
}

/**
 * Changes that instances tell each other on a channel of Redis.
 *
 * @param hasMessages false while the server forbids channels
 * @param onShared told of each key that another instance has shared
 */
export function createRedisChanges(
  schedule: Schedule,
  hasMessages: () => boolean,
  onShared: (key: string) => void,
): RedisChanges {
  const ownSender = randomBytes(8).toString('hex');
  const waiting = new Map<string, Set<() => void>>();
  return {
    next(key) {
      let done = () => {};
      const promise = new Promise<void>((resolve) => {
        const cancel = schedule(() => done(), hasMessages() ? LOOK_AGAIN_MS : POLL_MS);
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
    },
    message: (sign, key) => `${ownSender} ${sign} ${key}`,
    receive(text) {
      const { sender, sign, key } = MESSAGE.exec(text)?.groups ?? {};
      if (key === undefined || sender === ownSender) return;
      for (const done of [...(waiting.get(key) ?? [])]) done();
      if (sign === '+') onShared(key);
    },
  };
}
