import { describe, expect, it } from 'vitest';
import { SETTING_NAMES } from '../../src/config/config.ts';
import { faultsOf, parsed } from '../support/parse-settings.ts';
import { TEST_ENVIRONMENT } from '../support/test-service.ts';

/** In the order of docs/configure.md: name, least, most, default, and what becomes of a value. */
const NUMBERS: [string, number, number, number, (value: number) => object][] = [
  ['PORT', 0, 65_535, 8080, (port) => ({ listen: { port } })],
  ['METRICS_PORT', 0, 65_535, 9090, (port) => ({ metrics: { port } })],
  ['MAX_CONNECTIONS', 10, 1_000_000, 2000, (connections) => ({ listen: { maxConnections: connections } })],
  [
    'UPSTREAM_CONNECT_TIMEOUT_MS',
    1,
    60_000,
    2000,
    (ms) => ({ target: { upstream: { connectTimeoutMs: ms } } }),
  ],
  [
    'UPSTREAM_ATTEMPT_TIMEOUT_MS',
    1,
    120_000,
    5000,
    (ms) => ({ target: { upstream: { attemptTimeoutMs: ms } } }),
  ],
  ['UPSTREAM_DEADLINE_MS', 1, 300_000, 8000, (ms) => ({ target: { upstream: { deadlineMs: ms } } })],
  ['UPSTREAM_MAX_CONCURRENT', 1, 10_000, 32, (calls) => ({ target: { upstream: { maxConcurrent: calls } } })],
  ['CACHE_TTL_SECONDS', 1, 86_400, 30, (seconds) => ({ target: { cache: { ttlMs: 1000 * seconds } } })],
  [
    'CACHE_EMPTY_TTL_SECONDS',
    1,
    86_400,
    5,
    (seconds) => ({ target: { cache: { emptyTtlMs: 1000 * seconds } } }),
  ],
  [
    'CACHE_STALE_WHILE_REVALIDATE_SECONDS',
    0,
    86_400,
    300,
    (seconds) => ({ target: { cache: { staleWhileRevalidateMs: 1000 * seconds } } }),
  ],
  [
    'CACHE_STALE_IF_ERROR_SECONDS',
    0,
    604_800,
    3600,
    (seconds) => ({ target: { cache: { staleIfErrorMs: 1000 * seconds } } }),
  ],
  ['CACHE_MAX_ENTRIES', 1, 1_000_000, 1000, (entries) => ({ target: { cache: { maxEntries: entries } } })],
  [
    'CACHE_MAX_BYTES',
    65_536,
    17_179_869_184,
    67_108_864,
    (bytes) => ({ target: { cache: { maxBytes: bytes } } }),
  ],
  ['RATE_LIMIT_PER_MINUTE', 0, 100_000_000, 600, (count) => ({ limits: { requestsPerMinute: count } })],
  ['AUTH_FAILURES_PER_MINUTE', 0, 1_000_000, 60, (count) => ({ limits: { failuresPerMinute: count } })],
  ['SHUTDOWN_DELAY_SECONDS', 0, 600, 5, (seconds) => ({ shutdown: { delayMs: 1000 * seconds } })],
  ['SHUTDOWN_GRACE_SECONDS', 0, 3600, 25, (seconds) => ({ shutdown: { graceMs: 1000 * seconds } })],
];

/** Of sources of credentials that exclude the key pair of the other tests; see groups/credentials.test.ts. */
const OF_SOURCES = ['HUAWEICLOUD_OIDC_DURATION_SECONDS', 'HUAWEICLOUD_ASSUME_DURATION_SECONDS'];

describe('a number', () => {
  /** Timeouts may not be longer than the one around them, and failures are counted for addresses. */
  function environmentOf(name: string, value: number): Record<string, string> {
    const timeouts = ['UPSTREAM_CONNECT_TIMEOUT_MS', 'UPSTREAM_ATTEMPT_TIMEOUT_MS', 'UPSTREAM_DEADLINE_MS'];
    const at = timeouts.indexOf(name);
    const shorter = timeouts.slice(0, Math.max(0, at)).map((timeout) => [timeout, '1']);
    const longer = (at < 0 ? [] : timeouts.slice(at + 1)).map((timeout, index, { length }) => [
      timeout,
      index === length - 1 ? '300000' : '120000',
    ]);
    return { TRUSTED_PROXIES: 'none', ...Object.fromEntries([...shorter, ...longer]), [name]: String(value) };
  }

  it.each(NUMBERS)(
    '%s goes from %i to %i, and is %i where it is not set',
    (name, least, most, usual, read) => {
      expect(parsed({ TRUSTED_PROXIES: 'none' })).toMatchObject(read(usual));
      for (const value of [least, most])
        expect(parsed(environmentOf(name, value)), String(value)).toMatchObject(read(value));
      for (const value of [least - 1, most + 1]) {
        const faults = faultsOf({ ...TEST_ENVIRONMENT, ...environmentOf(name, value) });
        expect(faults, String(value)).toMatchObject({
          [name]: expect.stringContaining(`must be a whole number from ${least} to ${most}`),
        });
      }
    },
  );

  it('is each setting that has a number', () => {
    const isNumber = (name: string) => {
      const agency = { CCE_REGION: 'cn-north-4', HUAWEICLOUD_ASSUME_AGENCY_URN: 'urn' };
      const faults = faultsOf({ ...TEST_ENVIRONMENT, ...agency, [name]: 'x' });
      return faults[name]?.includes('a whole number') ?? false;
    };
    const names = [...NUMBERS.map(([name]) => name), ...OF_SOURCES];
    expect(SETTING_NAMES.filter(isNumber).toSorted()).toEqual(names.toSorted());
  });
});
