import { describeError } from '../../../observability/describe-error.ts';
import type { SharedFault, SharedLack } from '../../../observability/metrics.ts';
import type { Platform } from '../../../platform/platform.ts';

/** Faults of which the error says more: its name and code. */
const OF_OURS: ReadonlySet<SharedFault> = new Set(['unreachable', 'timeout', 'location', 'other']);
/** Faults in which there is no answer. */
const SILENT: ReadonlySet<SharedFault> = new Set(['unreachable', 'timeout', 'location']);

/** Whether Redis works, with one log line and metrics for each change. */
export class RedisHealth {
  readonly #platform: Pick<Platform, 'logger' | 'metrics'>;
  /** Undefined until the first trial, or the first failure. */
  #isUp: boolean | undefined;
  #faults = '';

  constructor(platform: Pick<Platform, 'logger' | 'metrics'>) {
    this.#platform = platform;
  }

  get isUp(): boolean {
    return this.#isUp === true;
  }

  /** @param commands those that are forbidden, where that is known */
  noteUp(lacks: readonly SharedLack[], commands: readonly string[] = []): void {
    if (!this.#change(true, lacks)) return;
    if (lacks.length === 0) this.#platform.logger.info({}, 'the shared store answers');
    else
      this.#platform.logger.warn(
        { lacks, ...(commands.length > 0 && { commands }) },
        'the shared store answers, and forbids something that is done without',
      );
  }

  /**
   * @param error what showed it; only its name and code are logged, and of Redis's own errors nothing but the word
   * @param commands those that failed, where that is known
   */
  noteDown(fault: Exclude<SharedFault, SharedLack>, error: unknown, commands: readonly string[] = []): void {
    if (!this.#change(false, [fault])) return;
    this.#platform.logger.warn(
      {
        fault,
        ...(commands.length > 0 && { commands }),
        ...(OF_OURS.has(fault) && error !== undefined && { error: describeError(error) }),
      },
      SILENT.has(fault)
        ? 'the shared store does not answer; going on without it'
        : 'the shared store does not work; going on without it',
    );
  }

  #change(isUp: boolean, faults: readonly SharedFault[]): boolean {
    const sorted = [...faults].sort();
    const text = sorted.join();
    if (this.#isUp === isUp && this.#faults === text) return false;
    this.#isUp = isUp;
    this.#faults = text;
    this.#platform.metrics.sharedStoreChanged(isUp, sorted);
    return true;
  }
}
