import { join } from 'node:path';
import { judgeLog } from './judge-log.ts';
import { createLoad } from './load-services.ts';
import { judgeGrowth, maxGrowthWith, type Resources, readSettled } from './resources.ts';
import type { SoakOptions } from './soak-options.ts';
import { type SoakedService, startSoakedService } from './soaked-service.ts';
import { type Surroundings, startSurroundings } from './surroundings.ts';
import { createTally, type FaultTimes, type Tally } from './tally.ts';

/** With Redis between them; without it there is one alone. */
const REPLICAS = 2;

export interface ServiceReport {
  readonly name: string;
  readonly afterWarmUp: Resources;
  readonly atTheEnd: Resources;
  readonly peakRssBytes: number;
  /** Uses of Redis by operation and result. */
  readonly redisOperations: Readonly<Record<string, number>>;
}

export interface SoakReport {
  readonly isGood: boolean;
  readonly faults: Readonly<Record<string, FaultTimes>>;
  readonly seed: number;
  readonly loadSeconds: number;
  readonly answers: Readonly<Record<string, number>>;
  /** Of those, so many came while upstream had no fault and took the key. */
  readonly calmAnswers: number;
  readonly upstreamCalls: number;
  readonly listChanges: number;
  readonly callerTokens: number;
  readonly accessKeyRotations: number;
  readonly accessKeyRefusals: number;
  readonly signingKeyRotations: number;
  readonly keySetLoads: number;
  readonly stalls: number;
  /** Undefined where there is no redis-server. */
  readonly redis: { readonly restarts: number; readonly freezes: number } | undefined;
  readonly services: readonly ServiceReport[];
  /** How much more each may hold at the end than after the warm-up. */
  readonly maxGrowth: Resources;
}

/** Puts the service under load and disturbs everything around it, and judges each answer and what is left behind. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  const { seed, pace } = options;
  const tally = createTally();
  const broken = new AbortController();
  const interrupt = () => {
    tally.wrong('it was interrupted');
    broken.abort();
  };
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const cleanUps: (() => unknown)[] = [];
  try {
    const surroundings = await startSurroundings(seed, tally, cleanUps);
    const { situation, simulator, issuer, accessKeys, tokens, redis } = surroundings;
    const services = await startServices(surroundings, cleanUps);
    let isStopping = false;
    for (const { name, exited } of services)
      void exited.then((code) => {
        if (isStopping) return;
        tally.wrong(`${name} ended with ${code}`);
        broken.abort();
      });
    const load = createLoad(services, surroundings, options, { tally, signal: broken.signal });
    const readAll = () => Promise.all(services.map((service) => readSettled(service, pace.settleMs)));

    await load.run(pace.warmUpMs);
    const [start, tokensBefore] = [await readAll(), tokens.made];
    const peaks = await load.run(pace.loadMs);
    const [end, newTokens] = [await readAll(), tokens.made - tokensBefore];

    const maxGrowth = maxGrowthWith(newTokens);
    const serviceReports: ServiceReport[] = [];
    for (const [index, service] of services.entries()) {
      const [afterWarmUp, atTheEnd, metrics] = [start[index], end[index], await service.metrics()];
      if (afterWarmUp === undefined || atTheEnd === undefined || metrics === undefined) {
        tally.wrong(`${service.name} gives no metrics`);
        continue;
      }
      judgeGrowth(service.name, afterWarmUp, atTheEnd, maxGrowth, tally);
      if (!metrics.includes('\nimagecaches_shared_entries_rejected_total 0\n'))
        tally.wrong(`${service.name} found entries in Redis that no load can have given`);
      serviceReports.push({
        name: service.name,
        afterWarmUp,
        atTheEnd,
        peakRssBytes: peaks[index] as number,
        redisOperations: redisOperationsIn(metrics),
      });
    }
    isStopping = true;
    for (const service of services)
      await stopAndJudge(service, { wasKeyRefused: accessKeys.refusals > 0 }, tally);

    if (!Object.keys(tally.kinds).some((kind) => kind.startsWith('200 ')))
      tally.wrong('no list was answered');
    if (accessKeys.rotations === 0) tally.wrong('no access key was rotated');
    if (issuer.rotations === 0) tally.wrong('no signing key was rotated');
    if (redis !== undefined && load.redis.restarts === 0) tally.wrong('Redis was not restarted');
    return {
      isGood: tally.isClean,
      faults: tally.faults,
      seed,
      loadSeconds: Math.round((pace.warmUpMs + pace.loadMs) / 1000),
      answers: tally.kinds,
      calmAnswers: tally.calm,
      upstreamCalls: simulator.count('/v5/imagecaches'),
      listChanges: load.listChanges,
      callerTokens: tokens.made,
      accessKeyRotations: accessKeys.rotations,
      accessKeyRefusals: accessKeys.refusals,
      signingKeyRotations: issuer.rotations,
      keySetLoads: issuer.keySetLoads,
      stalls: situation.stalls,
      redis: redis && load.redis,
      services: serviceReports,
      maxGrowth,
    };
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    for (const cleanUp of cleanUps.reverse()) await cleanUp();
  }
}

function startServices(
  { redis, folder, environment }: Surroundings,
  cleanUps: (() => unknown)[],
): Promise<SoakedService[]> {
  const names = Array.from(
    { length: redis === undefined ? 1 : REPLICAS },
    (_, index) => `replica ${index + 1}`,
  );
  return Promise.all(
    names.map((name) =>
      startSoakedService({ name, logFile: join(folder, `${name}.log`), environment, cleanUps }),
    ),
  );
}

async function stopAndJudge(
  { name, logFile, stop }: SoakedService,
  expected: { readonly wasKeyRefused: boolean },
  tally: Tally,
): Promise<void> {
  const code = await stop();
  if (code !== 0) tally.wrong(`${name} ended with ${code} when it was asked to stop`);
  await judgeLog(logFile, expected, tally);
}

function redisOperationsIn(metrics: string): Readonly<Record<string, number>> {
  const line = /^imagecaches_shared_store_operations_total\{operation="(\w+)",result="(\w+)"\} (\d+)$/gm;
  return Object.fromEntries(
    Array.from(metrics.matchAll(line), ([, operation, result, count]) => [
      `${operation} ${result}`,
      Number(count),
    ]),
  );
}
