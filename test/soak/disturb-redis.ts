import type { RedisServer } from '../runtime/node/redis/redis-server.ts';
import type { RandomStream } from './random-stream.ts';
import { rest, type Span, type Stretch, within } from './stretch.ts';

const RESTART_SHARE = 0.5;
const DOWN_MS: Span = [0, 3000];
const FROZEN_MS: Span = [50, 2000];
const START_TIMEOUT_MS = 120_000;

export interface RedisDisturbances {
  restarts: number;
  freezes: number;
}

/** Kills Redis and starts it again, empty, or stops it for a moment with its connections open. Ends with it running. */
export async function disturbRedis(
  stretch: Stretch,
  betweenMs: Span,
  {
    redis,
    random,
    done,
  }: { readonly redis: RedisServer; readonly random: RandomStream; readonly done: RedisDisturbances },
): Promise<void> {
  while (await rest(random.between(betweenMs), stretch)) {
    // One of each at first, so that a short run has both.
    const isRestart = done.restarts === 0 || (done.freezes > 0 && random.next() < RESTART_SHARE);
    if (isRestart) {
      await redis.kill();
      await rest(random.between(DOWN_MS), stretch);
      await within(START_TIMEOUT_MS, 'the start of redis-server', redis.restart());
      done.restarts += 1;
    } else {
      redis.freeze();
      await rest(random.between(FROZEN_MS), stretch);
      redis.thaw();
      done.freezes += 1;
    }
  }
}
