import { describeError } from '../../../observability/describe-error.ts';
import { pauseAfterFailures } from '../../../outbound/backoff.ts';
import type { Platform } from '../../../platform/platform.ts';

/** Commands in a row that did not answer in time, after which Redis is left alone for a while: 3. */
const TIMEOUTS_BEFORE_PAUSE = 3;
/** Longest time that Redis is left alone: 10 seconds. */
const LONGEST_PAUSE_MS = 10_000;

/** Whether Redis answers, with one log line for each change, and a pause while it is too slow. */
export class RedisHealth {
  readonly #platform: Pick<Platform, 'elapsed' | 'random' | 'logger' | 'metrics'>;
  /** Undefined until the first connection, or its failure. */
  #isUp: boolean | undefined;
  #timeouts = 0;
  #pauses = 0;
  #pausedUntilMs = 0;

  constructor(platform: Pick<Platform, 'elapsed' | 'random' | 'logger' | 'metrics'>) {
    this.#platform = platform;
  }

  get isDown(): boolean {
    return this.#isUp === false;
  }

  get isPaused(): boolean {
    return this.#platform.elapsed() < this.#pausedUntilMs;
  }

  noteUp(): void {
    this.#timeouts = 0;
    this.#pauses = 0;
    this.#pausedUntilMs = 0;
    if (this.#isUp === true) return;
    this.#isUp = true;
    this.#platform.metrics.sharedStoreChanged(true);
    this.#platform.logger.info({}, 'the shared store answers');
  }

  noteDown(error: unknown): void {
    if (this.#isUp === false) return;
    this.#isUp = false;
    this.#platform.metrics.sharedStoreChanged(false);
    this.#platform.logger.warn(
      { error: describeError(error) },
      'the shared store does not answer; going on without it',
    );
  }

  noteTimeout(error: unknown): void {
    this.#timeouts += 1;
    if (this.#timeouts < TIMEOUTS_BEFORE_PAUSE) return;
    this.#pauses += 1;
    const pauseMs = pauseAfterFailures(this.#pauses, this.#platform.random());
    this.#pausedUntilMs = this.#platform.elapsed() + Math.min(LONGEST_PAUSE_MS, pauseMs);
    this.noteDown(error);
  }
}
