import { callUntilEnd } from './call-service.ts';
import { changeListsUntilEnd } from './change-lists.ts';
import { disturbRedis, type RedisDisturbances } from './disturb-redis.ts';
import { disturbUpstream } from './disturb-upstream.ts';
import { createJudge } from './judge-answer.ts';
import { scrapeUntilEnd } from './resources.ts';
import { rotateSigningKeysUntilEnd } from './rotate-signing-keys.ts';
import type { SoakOptions } from './soak-options.ts';
import type { SoakedService } from './soaked-service.ts';
import type { Stretch } from './stretch.ts';
import type { Surroundings } from './surroundings.ts';
import type { Tally } from './tally.ts';
import { watchStallsDuring } from './watch-stalls.ts';

/** So many requests are always under way, shared out among the replicas. */
export const CONNECTIONS = 64;
/**
 * A service leaves Redis alone for 10 seconds at most, and looks again when it is asked something; on a machine that is
 * busy an answer of Redis may be late a few times before it is used.
 */
const REDIS_USED_AGAIN_MS = 60_000;
const FEW_CONNECTIONS = 2;
const FEW_REQUESTS_MS = 200;

export interface Load {
  /**
   * Full load and all disturbances at once for so long. Then Redis is there and used, and nothing is under way.
   *
   * @returns the most resident memory that each service had
   */
  readonly run: (ms: number) => Promise<number[]>;
  readonly listChanges: number;
  readonly redis: Readonly<RedisDisturbances>;
}

export function createLoad(
  services: readonly SoakedService[],
  surroundings: Surroundings,
  { seed, pace }: SoakOptions,
  { tally, signal }: { readonly tally: Tally; readonly signal: AbortSignal },
): Load {
  const { situation, lists, simulator, issuer, accessKeys, tokens, redis, random } = surroundings;
  const callers = { seed, tokens, judge: createJudge(lists, situation, tally), situation, tally };
  const redisDone: RedisDisturbances = { restarts: 0, freezes: 0 };
  let listChanges = 0;

  async function untilRedisIsUsed(service: SoakedService): Promise<void> {
    const untilMs = Date.now() + REDIS_USED_AGAIN_MS;
    while (!signal.aborted) {
      if ((await service.metrics())?.includes('\nimagecaches_shared_store_up 1\n')) return;
      if (Date.now() > untilMs) {
        tally.wrong(`${service.name} does not use Redis although it is there again`);
        return;
      }
      const stretch: Stretch = { endsAtMs: Date.now() + FEW_REQUESTS_MS, signal };
      await callUntilEnd(service, FEW_CONNECTIONS, stretch, callers);
    }
  }

  async function run(ms: number): Promise<number[]> {
    const stretch: Stretch = { endsAtMs: Date.now() + ms, signal };
    const perService = CONNECTIONS / services.length;
    const [peaks, changes] = await Promise.all([
      Promise.all(services.map((service) => scrapeUntilEnd(service, stretch, tally))),
      changeListsUntilEnd(stretch, { simulator, lists, random: random.lists }),
      disturbUpstream(stretch, pace, { simulator, situation, random: random.upstream }),
      accessKeys.untilEnd(stretch, pace.betweenAccessKeysMs),
      rotateSigningKeysUntilEnd(stretch, { issuer, random: random.signingKeys }),
      tokens.renewUntilEnd(stretch),
      redis && disturbRedis(stretch, pace.betweenRedisMs, { redis, random: random.redis, done: redisDone }),
      ...services.map((service) => callUntilEnd(service, perService, stretch, callers)),
    ]);
    listChanges += changes;
    if (redis !== undefined) await Promise.all(services.map(untilRedisIsUsed));
    return peaks;
  }

  return {
    run: (ms) => watchStallsDuring(situation, () => run(ms)),
    get listChanges() {
      return listChanges;
    },
    redis: redisDone,
  };
}
