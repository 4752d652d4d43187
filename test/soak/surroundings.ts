import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasRedisServer, type RedisServer, startRedisServer } from '../runtime/node/redis/redis-server.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { type CallerTokens, createCallerTokens } from './caller-tokens.ts';
import { changeList } from './change-lists.ts';
import { createListHistory, type ListHistory } from './list-history.ts';
import { createRandomStream, type RandomStream } from './random-stream.ts';
import { type AccessKeyRotation, createAccessKeyRotation } from './rotate-access-keys.ts';
import { type RotatingIssuer, startRotatingIssuer } from './rotating-issuer.ts';
import { REDIS_PASSWORD } from './secrets.ts';
import { createSituation, type Situation } from './situation.ts';
import { within } from './stretch.ts';
import type { Tally } from './tally.ts';

const START_TIMEOUT_MS = 120_000;

/** All that the service meets. */
export interface Surroundings {
  readonly situation: Situation;
  readonly lists: ListHistory;
  readonly simulator: Simulator;
  readonly issuer: RotatingIssuer;
  readonly accessKeys: AccessKeyRotation;
  readonly tokens: CallerTokens;
  /** Undefined where none is installed. */
  readonly redis: RedisServer | undefined;
  /** A stream for each part that disturbs. */
  readonly random: Readonly<Record<'lists' | 'upstream' | 'signingKeys' | 'redis', RandomStream>>;
  /** For logs; removed at the end unless something was wrong. */
  readonly folder: string;
  /** Where everything is, for the service. */
  readonly environment: Readonly<Record<string, string>>;
}

/** @param cleanUps what to do at the end, last first; some of it even when this rejects */
export async function startSurroundings(
  seed: number,
  tally: Tally,
  cleanUps: (() => unknown)[],
): Promise<Surroundings> {
  const situation = createSituation();
  const lists = createListHistory(tally);
  const folder = await mkdtemp(join(tmpdir(), 'imagecaches-soak-'));
  cleanUps.push(async () => {
    if (tally.isClean) await rm(folder, { recursive: true, force: true });
    else process.stderr.write(`what the replicas printed is kept in ${folder}\n`);
  });
  const redis = hasRedisServer() ? await startRedis() : undefined;
  if (redis !== undefined) cleanUps.push(redis.stop);
  const simulator = await startSimulator();
  cleanUps.push(simulator.stop);
  const issuer = await startRotatingIssuer();
  cleanUps.push(issuer.stop);

  const random = {
    lists: createRandomStream(seed, 'lists'),
    upstream: createRandomStream(seed, 'upstream'),
    signingKeys: createRandomStream(seed, 'signing keys'),
    redis: createRandomStream(seed, 'redis'),
  };
  changeList({ simulator, lists, random: random.lists });
  const files = { accessKeyId: join(folder, 'ak'), secretAccessKey: join(folder, 'sk') };
  const accessKeys = await createAccessKeyRotation(files, {
    simulator,
    situation,
    random: createRandomStream(seed, 'access keys'),
    tally,
  });
  const tokens = createCallerTokens(issuer);
  await tokens.begin();
  return {
    situation,
    lists,
    simulator,
    issuer,
    accessKeys,
    tokens,
    redis,
    random,
    folder,
    environment: {
      ...placeOf(simulator),
      HUAWEICLOUD_SDK_AK_FILE: files.accessKeyId,
      HUAWEICLOUD_SDK_SK_FILE: files.secretAccessKey,
      AUTH_ISSUER: issuer.issuer,
      ...(redis && { REDIS_URL: redis.url.replace('//', `//:${REDIS_PASSWORD}@`) }),
    },
  };
}

const startRedis = (): Promise<RedisServer> =>
  within(START_TIMEOUT_MS, 'the start of redis-server', startRedisServer(['--requirepass', REDIS_PASSWORD]));

/** Of the stand-in's variables those that say where it is to the service: the key pair is in files here, the rest for SDKs. */
function placeOf({ environment }: Simulator): Readonly<Record<string, string>> {
  const names = ['CCE_ENDPOINT', 'HUAWEICLOUD_SDK_PROJECT_ID'];
  return Object.fromEntries(Object.entries(environment).filter(([name]) => names.includes(name)));
}
