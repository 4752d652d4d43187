import { type App, createApp } from '../../src/app.ts';
import type { Lifecycle } from '../../src/composition/readiness.ts';
import { type Config, parseConfig } from '../../src/config/config.ts';
import { NO_METRICS } from '../../src/observability/metrics.ts';
import type { Platform } from '../../src/platform/platform.ts';
import { createSharedFlight } from '../../src/platform/single-flight.ts';
import { createFakeClock, type FakeClock } from './fake-clock.ts';
import { createRecordingLogger, type RecordingLogger } from './recording-logger.ts';
import { createTestKey, signTestToken, TEST_AUDIENCE, TEST_ISSUER, type TestKey } from './test-keys.ts';

export const TEST_ACCESS_KEY_ID = 'AKTESTPLANTED0000001';
export const TEST_SECRET_ACCESS_KEY = 'SKtestPlanted+not/a=real-secret-0000000001';

export const TEST_ENVIRONMENT: Readonly<Record<string, string>> = {
  CCE_ENDPOINT: 'https://cce.example.test',
  HUAWEICLOUD_SDK_AK: TEST_ACCESS_KEY_ID,
  HUAWEICLOUD_SDK_SK: TEST_SECRET_ACCESS_KEY,
  AUTH_ISSUER: TEST_ISSUER,
  AUTH_AUDIENCE: TEST_AUDIENCE,
  AUTH_JWKS_URL: `${TEST_ISSUER}/jwks.json`,
};

export interface UpstreamCall {
  readonly url: URL;
  readonly init: RequestInit;
  readonly headers: Headers;
}

export type Upstream = (call: UpstreamCall, index: number) => Response | Promise<Response>;

export interface TestService {
  readonly app: App;
  readonly config: Config;
  readonly clock: FakeClock;
  readonly logger: RecordingLogger;
  /** Calls to the image cache API, in order. */
  readonly calls: UpstreamCall[];
  /** Resolves when so many calls to the image cache API have arrived since the start. */
  arrived(count: number): Promise<void>;
  /** Calls to the issuer, in order. */
  readonly keyCalls: string[];
  readonly key: TestKey;
  readonly background: Promise<unknown>[];
  /** What the image cache API answers from now on. */
  upstream: Upstream;
  /** What the issuer answers from now on. */
  issuer: (url: string) => Response | Promise<Response>;
  lifecycle: Lifecycle;
  token(claims?: Parameters<typeof signTestToken>[2]): Promise<string>;
  /** GET with a good token, unless `init` brings an Authorization of its own. */
  get(path: string, init?: RequestInit): Promise<Response>;
}

/** One valid entry as the vendor would send it. */
export function vendorEntry(name = 'web-base', more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    id: '0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0',
    name,
    created_at: '2024-11-25 06:32:34.923248 +0000 UTC',
    images: ['swr.cn-north-4.myhuaweicloud.com/team/web:1.0'],
    image_cache_size: 20,
    retention_days: 7,
    status: 'Available',
    message: '',
    building_config: { cluster: 'a-cluster-uid', image_pull_secrets: ['default:pull-secret'] },
    ...more,
  };
}

export function vendorList(...entries: unknown[]): Response {
  return Response.json({ image_caches: entries });
}

const sharedKey = createTestKey();

/** The whole app over a scripted upstream and issuer, a fake clock and a recording logger. */
export async function createTestService(
  environment: Record<string, string | undefined> = {},
  overrides: Partial<Platform> = {},
): Promise<TestService> {
  const key = await sharedKey;
  const config = parseConfig({ ...TEST_ENVIRONMENT, ...environment });
  const clock = createFakeClock();
  const logger = createRecordingLogger();
  const calls: UpstreamCall[] = [];
  const keyCalls: string[] = [];
  const background: Promise<unknown>[] = [];
  const arrivals = new Map<number, PromiseWithResolvers<void>>();
  const arrival = (count: number) => {
    const existing = arrivals.get(count) ?? Promise.withResolvers<void>();
    arrivals.set(count, existing);
    return existing;
  };

  const deps: Platform = {
    fetch: async (url, init) => {
      if (url.startsWith(TEST_ISSUER)) {
        keyCalls.push(url);
        return service.issuer(url);
      }
      const call = { url: new URL(url), init, headers: new Headers(init.headers) };
      calls.push(call);
      arrival(calls.length).resolve();
      return service.upstream(call, calls.length - 1);
    },
    now: clock.now,
    elapsed: clock.elapsed,
    schedule: clock.schedule,
    random: () => 0,
    readTextFile: async () => {
      throw new Error('no files here');
    },
    waitUntil: (promise) => {
      background.push(promise);
    },
    createSingleFlight: createSharedFlight,
    logger,
    metrics: NO_METRICS,
    ...overrides,
  };
  const service: TestService = {
    app: createApp(config, deps, () => service.lifecycle),
    config,
    clock,
    logger,
    calls,
    arrived: (count) => arrival(count).promise,
    keyCalls,
    key,
    background,
    upstream: () => vendorList(vendorEntry()),
    issuer: () => Response.json({ keys: [key.publicJwk] }),
    lifecycle: 'serving',
    token: (claims) => signTestToken(key, clock.now(), claims),
    get: async (path, init = {}) => {
      const headers = new Headers(init.headers);
      if (!headers.has('authorization')) headers.set('authorization', `Bearer ${await service.token()}`);
      return service.app.request(path, { ...init, headers });
    },
  };
  return service;
}
