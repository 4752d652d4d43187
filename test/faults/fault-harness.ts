import { type App, createApp } from '../../src/app.ts';
import { parseConfig } from '../../src/config/config.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Platform } from '../../src/platform/platform.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createNodeFetch } from '../../src/runtime/node/platform/fetch.ts';
import { type Simulator, startSimulator } from '../simulator/simulator.ts';
import { createRecordingLogger, type RecordingLogger } from '../support/recording-logger.ts';
import { createTestKey, signTestToken, TEST_AUDIENCE, TEST_ISSUER } from '../support/test-keys.ts';

/** The product's own timers, on the real clock. */
export interface FaultTimeouts {
  readonly attemptMs: number;
  readonly deadlineMs: number;
}

/** Short, for faults that end by a timeout and by nothing else. */
export const SHORT_TIMEOUTS: FaultTimeouts = { attemptMs: 300, deadlineMs: 1500 };
/** The defaults: no other fault comes near them, however busy the machine is. */
export const LONG_TIMEOUTS: FaultTimeouts = { attemptMs: 5000, deadlineMs: 8000 };

export interface FaultService {
  readonly app: App;
  readonly simulator: Simulator;
  readonly logger: RecordingLogger;
  /** Moves the clocks of the service and of the stand-in on. */
  readonly advance: (ms: number) => void;
  readonly get: (path?: string) => Promise<Response>;
  /** Waits for background refreshes. */
  readonly settled: () => Promise<unknown>;
  readonly stop: () => Promise<void>;
}

/** Calls that were given up are read for 30 seconds more, which nobody wants to wait for here. */
const LATE_ANSWER_MS = 30_000;
const SHORT_LATE_ANSWER_MS = 500;

const sharedKey = createTestKey('ES256');

/** The real app over the real fetch and the stand-in, with a clock that also moves when it is told to. */
export async function startFaultService(
  { attemptMs, deadlineMs }: FaultTimeouts,
  overrides: Partial<Platform> = {},
): Promise<FaultService> {
  const key = await sharedKey;
  const simulator = await startSimulator();
  const config = parseConfig({
    CCE_ENDPOINT: simulator.url,
    HUAWEICLOUD_SDK_AK: simulator.environment.HUAWEICLOUD_SDK_AK,
    HUAWEICLOUD_SDK_SK: simulator.environment.HUAWEICLOUD_SDK_SK,
    AUTH_ISSUER: TEST_ISSUER,
    AUTH_AUDIENCE: TEST_AUDIENCE,
    AUTH_JWKS_FILE: '/jwks.json',
    UPSTREAM_CONNECT_TIMEOUT_MS: '200',
    UPSTREAM_ATTEMPT_TIMEOUT_MS: String(attemptMs),
    UPSTREAM_DEADLINE_MS: String(deadlineMs),
  });
  let offsetMs = 0;
  const now = () => Date.now() + offsetMs;
  const { fetch, close } = createNodeFetch(config.target.upstream.connectTimeoutMs);
  const background: Promise<unknown>[] = [];
  const logger = createRecordingLogger();
  const app = createApp(
    config,
    {
      fetch,
      now,
      elapsed: now,
      schedule: (callback, delayMs) => {
        const timer = setTimeout(callback, delayMs === LATE_ANSWER_MS ? SHORT_LATE_ANSWER_MS : delayMs);
        return () => clearTimeout(timer);
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
      offsetMs += ms;
      simulator.setClockSkewMs(offsetMs);
    },
    get: async (path = '/imagecaches') =>
      app.request(path, { headers: { authorization: `Bearer ${await signTestToken(key, now())}` } }),
    settled: () => Promise.allSettled(background),
    stop: async () => {
      await close();
      await simulator.stop();
    },
  };
}
