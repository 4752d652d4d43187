import type { RedisLocation } from '../../../config/redis-url.ts';
import type { SharedLack, SharedOperation } from '../../../observability/metrics.ts';
import { runWithin } from '../../../outbound/run-within.ts';
import type { Platform } from '../../../platform/platform.ts';
import type { RedisCommands } from './open-redis.ts';
import { faultOf, RedisLocationError, RedisTimeoutError } from './redis-fault.ts';
import { RedisHealth } from './redis-health.ts';
import type { RedisLacks } from './redis-lacks.ts';
import { createRedisRecovery, type RedisRecovery } from './redis-recovery.ts';
import { openRedisSession, type RedisSession, type Subscription } from './redis-session.ts';

/** No request waits longer for Redis: 50 ms. */
export const REDIS_TIMEOUT_MS = 50;
/** Longest time of a trial, for which no request waits: 2 seconds. */
const TRIAL_TIMEOUT_MS = 2000;
/** Nobody waits longer for the first connection: 2 seconds. */
const REACHED_TIMEOUT_MS = 2000;
/** Commands in a row that did not answer in time, after which Redis is left alone: 3. */
const TIMEOUTS_BEFORE_PAUSE = 3;
/**
 * While Redis is only read from, it is tried at this interval: 5 seconds. Reading shows neither that it is full nor that it
 * has become a replica.
 */
const PROOF_MS = 5000;
/** Operations that write. */
const WRITES: ReadonlySet<SharedOperation> = new Set(['share', 'limits', 'keys']);
/** Faults of a command that say how the server is, not what was sent. */
const NOT_HEALTH: ReadonlySet<string> = new Set(['other', 'ERR', 'ASK', 'CROSSSLOT']);

export interface RedisConnection {
  /** Resolves when Redis was first seen to work or not to work, and after 2 seconds. Never rejects. */
  readonly reached: Promise<void>;
  /** What the server forbids. */
  readonly lacks: RedisLacks;
  /**
   * Runs commands, all of them within REDIS_TIMEOUT_MS. Never rejects.
   *
   * @returns undefined when Redis did not do it
   */
  run<Value>(
    operation: SharedOperation,
    work: (redis: RedisCommands) => Promise<Value>,
  ): Promise<Value | undefined>;
  /** Opens the connection, unless that was done; commands are tried on keys of this namespace. */
  join(namespace: () => Promise<string>): void;
  /** Listens to a channel from now on, also after the connection was replaced. */
  subscribe(channel: () => Promise<string>, onMessage: (message: string) => void): void;
  stop(): void;
}

type Deps = Pick<Platform, 'elapsed' | 'schedule' | 'random' | 'logger' | 'metrics'>;

/**
 * Keeps a connection to Redis, and the rest of the service from waiting for it: it is used once all commands were tried, and
 * left alone while it is gone, slow, or answers with errors. One line of the log for each change, and metrics.
 */
export class KeptRedisConnection implements RedisConnection {
  readonly lacks: RedisLacks;
  readonly reached: Promise<void>;
  readonly #noteReached: () => void;
  readonly #locate: () => Promise<RedisLocation | undefined>;
  readonly #deps: Deps;
  readonly #health: RedisHealth;
  readonly #recovery: RedisRecovery;
  readonly #subscriptions: Subscription[] = [];
  readonly #lacking = new Set<SharedLack>();
  #namespace: (() => Promise<string>) | undefined;
  #session: RedisSession | undefined;
  /** Commands in a row that did not answer in time. */
  #timeouts = 0;
  /** When all was last seen to work. */
  #provedMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  /** @param locate asked each time a connection is opened, so that a changed password is found */
  constructor(locate: () => Promise<RedisLocation | undefined>, deps: Deps) {
    this.#locate = locate;
    this.#deps = deps;
    this.#health = new RedisHealth(deps);
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = deps.schedule(resolve, REACHED_TIMEOUT_MS);
    this.reached = promise;
    this.#noteReached = () => {
      cancel();
      resolve();
    };
    this.#recovery = createRedisRecovery(deps, {
      state: () => {
        if (this.#session === undefined) return 'none';
        return this.#session.isReady ? 'ready' : 'connecting';
      },
      tryAgain: () => this.#proveAgain(),
      replace: () => {
        this.#session?.end();
        this.#session = undefined;
        void this.#open();
      },
    });
    this.lacks = {
      has: (lack) => this.#lacking.has(lack),
      note: (lack) => {
        if (this.#lacking.has(lack) || !this.#health.isUp) return;
        this.#lacking.add(lack);
        this.#noteUp();
      },
    };
  }

  async run<Value>(
    operation: SharedOperation,
    work: (redis: RedisCommands) => Promise<Value>,
  ): Promise<Value | undefined> {
    const { metrics, schedule } = this.#deps;
    const used = this.#session;
    if (!used?.isReady || !this.#health.isUp) {
      metrics.sharedStoreUsed(operation, 'skipped');
      return undefined;
    }
    try {
      const value = await runWithin(
        REDIS_TIMEOUT_MS,
        schedule,
        () => work(used.commands),
        () => new RedisTimeoutError(),
      );
      metrics.sharedStoreUsed(operation, 'ok');
      this.#noteSuccess(operation);
      return value;
    } catch (error) {
      metrics.sharedStoreUsed(operation, error instanceof RedisTimeoutError ? 'timeout' : 'error');
      if (used === this.#session) this.#noteFailure(error);
      return undefined;
    }
  }

  join(namespace: () => Promise<string>): void {
    if (this.#namespace !== undefined) return;
    this.#namespace = namespace;
    void this.#open();
  }

  subscribe(channel: () => Promise<string>, onMessage: (message: string) => void): void {
    this.#subscriptions.push({ channel, onMessage });
    // A connection that is still being opened subscribes by itself.
    this.#proveAgain();
  }

  stop(): void {
    this.#isStopped = true;
    this.#noteReached();
    this.#recovery.stop();
    this.#session?.end();
    this.#session = undefined;
  }

  async #open(): Promise<void> {
    let opened: RedisSession | undefined;
    let told: unknown;
    const isCurrent = () => opened !== undefined && opened === this.#session;
    try {
      const location = await this.#locate();
      if (location === undefined) throw new RedisLocationError();
      if (this.#isStopped) return;
      opened = openRedisSession(location, {
        onReady: () => {
          if (!isCurrent()) return;
          // What was late came from the connection before.
          this.#timeouts = 0;
          this.#proveAgain();
        },
        onError: (error) => {
          told = error;
          if (isCurrent()) this.#noteDown(error);
        },
      });
      this.#session = opened;
      await opened.connect();
      await this.#prove(opened);
    } catch (error) {
      if (opened !== this.#session) return;
      opened?.end();
      this.#session = undefined;
      // Of a cluster without nodes the library says no more than that; what each node said came before.
      this.#noteDown(told ?? error);
    }
  }

  #proveAgain(): void {
    if (this.#session?.isReady) void this.#prove(this.#session);
  }

  /** Sees whether all works: tries each command, and subscribes. One trial at a time. */
  async #prove(tried: RedisSession): Promise<void> {
    if (tried.isTried || this.#namespace === undefined) return;
    tried.isTried = true;
    try {
      const start = await this.#namespace();
      // After timeouts only what is in time for requests shows that it is well.
      const limitMs = this.#timeouts >= TIMEOUTS_BEFORE_PAUSE ? REDIS_TIMEOUT_MS : TRIAL_TIMEOUT_MS;
      const { fault, commands, lacks } = await runWithin(
        limitMs,
        this.#deps.schedule,
        () => tried.tryAll(start, this.#subscriptions),
        () => new RedisTimeoutError(),
      );
      if (tried !== this.#session) return;
      if (fault !== undefined) return this.#noteDown(undefined, fault, commands);
      this.#lacking.clear();
      for (const lack of lacks) this.#lacking.add(lack);
      this.#noteUp(commands);
    } catch (error) {
      if (tried === this.#session) this.#noteDown(error);
    } finally {
      tried.isTried = false;
    }
  }

  #noteSuccess(operation: SharedOperation): void {
    this.#timeouts = 0;
    const nowMs = this.#deps.elapsed();
    if (WRITES.has(operation)) this.#provedMs = nowMs;
    else if (nowMs - this.#provedMs >= PROOF_MS) this.#proveAgain();
  }

  #noteFailure(error: unknown): void {
    if (error instanceof RedisTimeoutError) {
      this.#timeouts += 1;
      if (this.#timeouts >= TIMEOUTS_BEFORE_PAUSE) this.#noteDown(error);
      return;
    }
    const fault = faultOf(error);
    if (!NOT_HEALTH.has(fault)) this.#noteDown(error, fault);
  }

  #noteUp(commands: readonly string[] = []): void {
    this.#timeouts = 0;
    this.#provedMs = this.#deps.elapsed();
    this.#health.noteUp([...this.#lacking], commands);
    this.#noteReached();
    this.#recovery.noteUp(this.#lacking.size > 0);
  }

  #noteDown(error: unknown, fault = faultOf(error), commands: readonly string[] = []): void {
    if (this.#isStopped) return;
    const wasUp = this.#health.isUp;
    this.#health.noteDown(fault, error, commands);
    this.#noteReached();
    this.#recovery.noteDown(fault, wasUp);
  }
}
