import type { SharedLack } from '../../../observability/metrics.ts';
import type { RedisCommands } from './open-redis.ts';
import { isForbidden } from './redis-fault.ts';

/** What the server forbids, as far as it is known. */
export interface RedisLacks {
  has(lack: SharedLack): boolean;
  /** The server has just forbidden it. */
  note(lack: SharedLack): void;
}

/** A script, and the same in single commands. */
export interface RedisAction<Value> {
  readonly script: string;
  readonly keys: string[];
  readonly arguments: string[];
  /** What the script answers: undefined when it is none of it. */
  readonly read: (answer: unknown) => Value;
  /** Not atomic: another replica may come between its commands. */
  readonly inSteps: () => Promise<Value>;
}

/** Runs a script, or its steps where scripting is forbidden. */
export async function perform<Value>(
  redis: RedisCommands,
  lacks: RedisLacks,
  action: RedisAction<Value>,
): Promise<Value> {
  if (lacks.has('scripting')) return action.inSteps();
  try {
    const answer = await redis.eval(action.script, { keys: action.keys, arguments: action.arguments });
    return action.read(answer);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    // Whether it was the script, or the keys too, is seen now.
    const value = await action.inSteps();
    lacks.note('scripting');
    return value;
  }
}

/** Publishes a message, where that is allowed. */
export async function tell(
  redis: RedisCommands,
  lacks: RedisLacks,
  channel: string,
  message: string,
): Promise<void> {
  if (lacks.has('channels')) return;
  try {
    await redis.publish(channel, message);
  } catch (error) {
    if (!isForbidden(error)) throw error;
    lacks.note('channels');
  }
}
