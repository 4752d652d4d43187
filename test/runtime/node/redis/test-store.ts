import { createClient } from '@redis/client';
import type { LookUp, SharedEntries, SharedEntry } from '../../../../src/fleet/entries.ts';
import type { KeyProofs } from '../../../../src/fleet/key-proofs.ts';
import type { SharedUse } from '../../../../src/fleet/use.ts';
import { NO_METRICS } from '../../../../src/observability/metrics.ts';
import { createRedisStore } from '../../../../src/runtime/node/redis/create-redis-store.ts';
import { createRecordingLogger, type RecordingLogger } from '../../../support/recording-logger.ts';
import { type RedisServer, startRedisServer } from './redis-server.ts';

export const NAMESPACE = 'imagecaches-bff:1:test';

export interface TestStore {
  /** Entries that could not be read. */
  readonly invalid: () => number;
  readonly stop: () => void;
  readonly entries: SharedEntries;
  readonly use: SharedUse;
  readonly keyProofs: KeyProofs;
  readonly logger: RecordingLogger;
  /** operation:result, in order. */
  readonly used: string[];
  /** The times that were asked for of timers: milliseconds. */
  readonly delays: Set<number>;
  /** Resolves when the store has come up, or gone down, so many times in all. */
  readonly changed: (isUp: boolean, times?: number) => Promise<void>;
  /** `up`, or `down` or `up` with its faults, as metrics were told. */
  readonly states: string[];
  readonly shared: string[];
  readonly sharedOnce: () => Promise<string>;
  /** Lets the timers of this delay go off. */
  readonly fire: (delayMs: number) => void;
  /** Ends the pause in which Redis is left alone, unless a trial is under way: some pauses last as long as that may. */
  readonly endPause: () => void;
  /** Timers that wait. */
  readonly timers: () => number;
  /** From now on Redis is given no time to answer, or all that it takes. */
  readonly loseAnswers: (areLost: boolean) => void;
}

/** No request waits longer for Redis. */
const ANSWER_MS = 50;
/** No pause is shorter. A trial, which has 2 seconds, begins when the next pause is set. */
const SHORTEST_PAUSE_MS = 1000;

export const closing: (() => unknown)[] = [];

/** Ends all that was opened, the last first. */
export async function closeAll(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

export async function startServer(...args: Parameters<typeof startRedisServer>): Promise<RedisServer> {
  const server = await startRedisServer(...args);
  closing.push(server.stop);
  return server;
}

export interface OpenOptions {
  readonly file?: string;
  readonly now?: () => number;
  readonly readTextFile?: (path: string) => Promise<string>;
}

/**
 * A store whose timers go off when the test says so: how long this machine takes to answer for Redis is no matter then.
 */
export function openStore(
  url: string,
  { file, now = Date.now, readTextFile = () => Promise.reject(new Error('no files')) }: OpenOptions = {},
): TestStore {
  const logger = createRecordingLogger();
  const used: string[] = [];
  const states: string[] = [];
  const delays = new Set<number>();
  const changes = { true: 0, false: 0 };
  const listeners = new Set<() => void>();
  const timers = new Set<{ readonly delayMs: number; readonly callback: () => void }>();
  let areAnswersLost = false;
  const fire = (delayMs: number) => {
    for (const timer of [...timers]) if (timer.delayMs === delayMs && timers.delete(timer)) timer.callback();
  };
  const store = createRedisStore(
    { url, file },
    {
      now,
      elapsed: now,
      schedule: (callback, delayMs) => {
        delays.add(delayMs);
        const timer = { delayMs, callback };
        timers.add(timer);
        if (areAnswersLost && delayMs === ANSWER_MS) setImmediate(fire, ANSWER_MS);
        return () => void timers.delete(timer);
      },
      random: () => 0,
      logger,
      readTextFile,
      metrics: {
        ...NO_METRICS,
        sharedStoreUsed: (operation, result) => used.push(`${operation}:${result}`),
        sharedStoreChanged: (isUp, faults) => {
          states.push([isUp ? 'up' : 'down', ...faults].join(' '));
          changes[`${isUp}`] += 1;
          for (const listener of [...listeners]) listener();
        },
      },
    },
  );
  let invalid = 0;
  const entries = store.openEntries({
    namespace: async () => NAMESPACE,
    keepStaleMs: 60_000,
    reportInvalid: () => {
      invalid += 1;
    },
  });
  const use = store.openUse(async () => NAMESPACE);
  const keyProofs = store.openKeyProofs(async () => NAMESPACE);
  const shared: string[] = [];
  let sharedNext = Promise.withResolvers<string>();
  entries.onShared?.((key) => {
    shared.push(key);
    sharedNext.resolve(key);
    sharedNext = Promise.withResolvers<string>();
  });
  closing.push(store.stop);
  return {
    stop: store.stop,
    entries,
    use,
    keyProofs,
    logger,
    used,
    states,
    delays,
    invalid: () => invalid,
    shared,
    sharedOnce: () => sharedNext.promise,
    fire,
    endPause: () => {
      const [pause, ...others] = [...timers].filter(({ delayMs }) => delayMs >= SHORTEST_PAUSE_MS);
      if (pause !== undefined && others.length === 0) fire(pause.delayMs);
    },
    timers: () => timers.size,
    loseAnswers: (areLost) => {
      areAnswersLost = areLost;
    },
    changed: (isUp, times = 1) =>
      new Promise((resolve) => {
        const look = () => {
          if (changes[`${isUp}`] < times) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
        look();
      }),
  };
}

/** A client of the test's own, which can write anything. */
export async function openClient(url: string) {
  const client = createClient({ url });
  client.on('error', () => undefined);
  await client.connect();
  closing.push(() => client.destroy());
  return client;
}

export function entry(text: string, begunAtMs = Date.now() - 5): SharedEntry {
  const body = new TextEncoder().encode(text);
  return { body, begunAtMs, storedAtMs: begunAtMs + 3, freshUntilMs: begunAtMs + 30_000 };
}

export const textOf = (found: SharedEntry | undefined) => found && new TextDecoder().decode(found.body);
export const never = () => false;
export const always = () => true;

export async function takeTurn(store: TestStore, key: string): Promise<Extract<LookUp, { state: 'ours' }>> {
  const found = await store.entries.lookUp(key, never);
  if (found.state !== 'ours') throw new Error(`the turn is ${found.state}`);
  return found;
}
