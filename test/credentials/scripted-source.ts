import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Platform, TargetPlatform } from '../../src/platform/platform.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import type { KeyPair } from '../../src/signing/credential.ts';
import { createFakeClock, type FakeClock } from '../support/fake-clock.ts';
import { createRecordingLogger, type RecordingLogger } from '../support/recording-logger.ts';

export interface ProviderDependencies {
  readonly clock: FakeClock;
  readonly logger: RecordingLogger;
  readonly background: Promise<unknown>[];
  /** Expiry times given to metrics.credentialLoaded. */
  readonly loaded: (number | undefined)[];
  readonly deps: Pick<
    TargetPlatform,
    'now' | 'elapsed' | 'schedule' | 'random' | 'waitUntil' | 'createSingleFlight' | 'logger' | 'metrics'
  >;
}

export function createProviderDependencies(
  createSingleFlight: Platform['createSingleFlight'] = createSharedFlight,
): ProviderDependencies {
  const clock = createFakeClock();
  const logger = createRecordingLogger();
  const background: Promise<unknown>[] = [];
  const loaded: (number | undefined)[] = [];
  return {
    clock,
    logger,
    background,
    loaded,
    deps: {
      now: clock.now,
      elapsed: clock.elapsed,
      schedule: clock.schedule,
      random: () => 0,
      waitUntil: (promise) => {
        background.push(promise);
      },
      createSingleFlight,
      logger,
      metrics: { ...NO_METRICS, credentialLoaded: (expiresAtMs) => loaded.push(expiresAtMs) },
    },
  };
}

/** A credential with planted secrets, the `number`th of its source. */
export function plantedCredential(number: number, expiresAtMs?: number): KeyPair {
  return {
    accessKeyId: `PLANTEDaccess${number}`,
    secretAccessKey: `PLANTEDsecret${number}`,
    securityToken: `PLANTEDtoken${number}`,
    expiresAtMs,
  };
}

export interface ScriptedSource<Value> {
  readonly load: () => Promise<Value>;
  /** How many times it was asked. */
  readonly calls: number;
  /** Loads that wait for their answer. */
  readonly waiting: number;
  /** Answers the oldest load that waits. */
  answer(value: Value): void;
  fail(error?: unknown): void;
}

/** A source that answers when it is told to. */
export function createScriptedSource<Value = KeyPair>(): ScriptedSource<Value> {
  const waiting: PromiseWithResolvers<Value>[] = [];
  let calls = 0;
  const oldest = () => {
    const load = waiting.shift();
    if (load === undefined) throw new Error('nothing is being loaded');
    return load;
  };
  return {
    load: () => {
      calls += 1;
      const load = Promise.withResolvers<Value>();
      waiting.push(load);
      return load.promise;
    },
    get calls() {
      return calls;
    },
    get waiting() {
      return waiting.length;
    },
    answer: (value) => oldest().resolve(value),
    fail: (error = new Error('PLANTEDmessage')) => oldest().reject(error),
  };
}
