import { setTimeout as wait } from 'node:timers/promises';
import type { SoakedService } from './soaked-service.ts';
import { rest, type Stretch } from './stretch.ts';
import type { Tally } from './tally.ts';

/** The most tokens that are remembered (docs/sizing.md). */
const VERIFIED_TOKEN_MAX_ENTRIES = 10_000;

const METRICS = {
  rssBytes: 'process_resident_memory_bytes',
  heapBytes: 'nodejs_heap_size_used_bytes',
  externalBytes: 'nodejs_external_memory_bytes',
  handles: 'nodejs_active_handles_total',
  openFiles: 'process_open_fds',
} as const;

/** What a process holds. Not a number where the system does not say. */
export type Resources = Readonly<Record<keyof typeof METRICS, number>>;

const MIB = 1_048_576;
const LOOK_MS = 150;
const SCRAPE_MS = 2000;

/**
 * How much more may be held after the load than after the warm-up. V8 and the allocator keep pages that they had once,
 * so resident memory says little; the heap is looked at after a collection, and says much.
 */
const MAX_GROWTH: Resources = {
  rssBytes: 128 * MIB,
  heapBytes: 8 * MIB,
  externalBytes: 8 * MIB,
  // Connections to upstream, of which there are as many as calls were under way at once.
  handles: 8,
  openFiles: 8,
};
/** Allowed on top for each token made meanwhile: a verified token and its caller's limit are remembered. */
const HEAP_BYTES_PER_TOKEN = 2048;

/** How much more may be held after so many new tokens. */
export function maxGrowthWith(newTokens: number): Resources {
  const remembered = Math.min(newTokens, VERIFIED_TOKEN_MAX_ENTRIES);
  return { ...MAX_GROWTH, heapBytes: MAX_GROWTH.heapBytes + HEAP_BYTES_PER_TOKEN * remembered };
}

function parseResources(metrics: string): Resources {
  const read = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]);
  const entries = Object.entries(METRICS).map(([key, name]) => [key, read(name)]);
  return Object.fromEntries(entries) as unknown as Resources;
}

/**
 * What is held while nothing is asked: the least of several looks within a time, each after a collection.
 *
 * @returns undefined when the service does not say
 */
export async function readSettled(service: SoakedService, settleMs: number): Promise<Resources | undefined> {
  const looks: Resources[] = [];
  const untilMs = Date.now() + settleMs;
  do {
    service.child.kill('SIGUSR2');
    await wait(LOOK_MS);
    const metrics = await service.metrics();
    if (metrics === undefined) return undefined;
    looks.push(parseResources(metrics));
  } while (Date.now() < untilMs);
  const least = (key: keyof Resources) => Math.min(...looks.map((look) => look[key]));
  return {
    rssBytes: least('rssBytes'),
    heapBytes: least('heapBytes'),
    externalBytes: least('externalBytes'),
    handles: least('handles'),
    openFiles: least('openFiles'),
  };
}

/**
 * Scrapes as Prometheus does.
 *
 * @returns the most resident memory seen
 */
export async function scrapeUntilEnd(
  service: SoakedService,
  stretch: Stretch,
  tally: Tally,
): Promise<number> {
  let mostBytes = 0;
  do {
    const metrics = await service.metrics();
    if (metrics !== undefined) mostBytes = Math.max(mostBytes, parseResources(metrics).rssBytes);
    else if (!stretch.signal.aborted) tally.wrong(`${service.name} gives no metrics`);
  } while (await rest(SCRAPE_MS, stretch));
  return mostBytes;
}

/** Says what has grown beyond its bound. */
export function judgeGrowth(
  name: string,
  start: Resources,
  end: Resources,
  maxGrowth: Resources,
  tally: Tally,
): void {
  for (const key of Object.keys(maxGrowth) as (keyof Resources)[]) {
    const growth = end[key] - start[key];
    if (growth > maxGrowth[key])
      tally.wrong(`${METRICS[key]} of ${name} grew by ${growth}, and may by ${maxGrowth[key]}`);
  }
}
