import { type App, createApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/config.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Platform } from '../../src/platform/platform.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createNodeFetch } from '../../src/runtime/node/platform/fetch.ts';
import { createConnector } from '../../src/runtime/node/platform/outbound/connector.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { createRecordingLogger, type RecordingLogger } from '../support/recording-logger.ts';
import { createTestKey, signTestToken, TEST_AUDIENCE, TEST_ISSUER } from '../support/test-keys.ts';

/** The service's defaults: an attempt has 5 seconds, and a call that was given up is read on for 30 seconds. */
const ATTEMPT_MS = 5000;
const LATE_ANSWER_MS = 30_000;
/** What the test waits in place of either, once the call has arrived: a moment, in which headers or a part of a body may come. */
const GIVEN_UP_MS = 100;
/** Pauses between looks, such as those for a turn with the key, are at most this long. */
const LONGEST_LOOK_MS = 200;
/** Longer than any test: no connection to the stand-in fails for a machine that is busy with other things. */
const CONNECT_MS = 60_000;

const LIST_PATH = '/v5/imagecaches';

export interface FaultService {
  readonly app: App;
  readonly simulator: Simulator;
  readonly logger: RecordingLogger;
  /** Moves the clocks of the service and of the stand-in on. */
  readonly advance: (ms: number) => void;
  readonly get: (path?: string) => Promise<Response>;
  /** Waits for background refreshes, and for calls that were given up. */
  readonly settled: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const ignore = () => undefined;
const sharedKey = createTestKey('ES256');

/**
 * The real app over the real fetch and the stand-in, with a clock that moves only when it is told to. Nothing times out by
 * itself, however slow the machine is: a fault ends the call, or else the test does.
 *
 * @param givesUp whether calls are given up that have arrived while the stand-in has a rule: for faults that end by a timeout
 *   and by nothing else
 */
export async function startFaultService(
  { givesUp = false } = {},
  overrides: Partial<Platform> = {},
): Promise<FaultService> {
  const key = await sharedKey;
  let nowMs = Date.UTC(2026, 0, 2, 3, 4, 5);
  const now = () => nowMs;
  const simulator = await startSimulator({ now });
  const config = parseConfig({
    CCE_ENDPOINT: simulator.url,
    HUAWEICLOUD_SDK_AK: simulator.environment.HUAWEICLOUD_SDK_AK,
    HUAWEICLOUD_SDK_SK: simulator.environment.HUAWEICLOUD_SDK_SK,
    AUTH_ISSUER: TEST_ISSUER,
    AUTH_AUDIENCE: TEST_AUDIENCE,
    AUTH_JWKS_FILE: '/jwks.json',
  });
  const { fetch, close } = createNodeFetch(createConnector({ timeoutMs: CONNECT_MS }));
  const isFaulty = () => givesUp && simulator.pendingRules.length > 0;
  const background: Promise<unknown>[] = [];
  const logger = createRecordingLogger();
  const app = createApp(
    config,
    {
      fetch,
      now,
      elapsed: now,
      schedule: (callback, delayMs) => {
        let timer: NodeJS.Timeout | undefined;
        let isCancelled = false;
        const start = (ms: number) => {
          if (!isCancelled) timer = setTimeout(callback, ms);
        };
        if (delayMs <= LONGEST_LOOK_MS) start(delayMs);
        else if (isFaulty() && delayMs === ATTEMPT_MS)
          simulator
            .received(simulator.count(LIST_PATH) + 1, LIST_PATH)
            .then(() => start(GIVEN_UP_MS), ignore);
        else if (isFaulty() && delayMs === LATE_ANSWER_MS) start(GIVEN_UP_MS);
        return () => {
          isCancelled = true;
          clearTimeout(timer);
        };
      },
      random: () => 0,
      readTextFile: async () => JSON.stringify({ keys: [key.publicJwk] }),
      waitUntil: (promise) => background.push(promise),
      createSingleFlight: createSharedFlight,
      logger,
      metrics: NO_METRICS,
      ...overrides,
    },
    () => 'serving',
  );
  return {
    app,
    simulator,
    logger,
    advance: (ms) => {
      nowMs += ms;
    },
    get: async (path = '/imagecaches') =>
      app.request(path, { headers: { authorization: `Bearer ${await signTestToken(key, now())}` } }),
    settled: async () => {
      // Some of it leads to more, such as reading a call on that was given up.
      while (background.length > 0) await Promise.allSettled(background.splice(0));
    },
    stop: async () => {
      await close();
      await simulator.stop();
    },
  };
}
