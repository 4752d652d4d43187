import { describe, expect, it } from 'vitest';
import { parseConfig, SETTINGS } from '../../src/config/config.ts';
import { MEANINGS } from '../../src/config/meanings.ts';
import type { Setting } from '../../src/config/setting.ts';
import { TEST_ENVIRONMENT } from '../support/test-service.ts';

const ROWS = Object.entries(SETTINGS) as [string, Setting][];
const isTaken = ({ form }: Setting, text: string) => form.safeParse(text).success;

describe('the rows', () => {
  it.each(ROWS.filter(([, row]) => row.default !== undefined))(
    '%s: a default of its own form',
    (_name, row) => {
      expect(isTaken(row, row.default as string)).toBe(true);
    },
  );

  it.each(ROWS)('%s: an example of its own form, or a placeholder', (_name, row) => {
    if (/[<…]/.test(row.example)) expect(row.isSecret || row.hasOwnFaults).toBe(true);
    else expect(isTaken(row, row.example)).toBe(true);
  });

  it.each(ROWS.filter(([, row]) => row.range !== undefined))(
    '%s: a number inside the bounds that its rule names',
    (_name, row) => {
      const { least, most } = row.range as { least: number; most: number };
      expect(row.rule).toBe(`a whole number from ${least} to ${most}`);
      expect([least, most].map((value) => row.form.parse(String(value)))).toEqual([least, most]);
      for (const text of [String(least - 1), String(most + 1), `${least}.5`, '1e1', '', 'x'])
        expect(isTaken(row, text), text).toBe(false);
    },
  );

  it.each(ROWS.filter(([, row]) => row.choices !== undefined))(
    '%s: the choices that its rule names, and no other text',
    (_name, row) => {
      for (const choice of row.choices ?? []) {
        expect(isTaken(row, choice)).toBe(true);
        expect(row.rule).toContain(choice);
      }
      expect(isTaken(row, 'another')).toBe(false);
    },
  );

  it.each(ROWS)('%s: a rule and a meaning that fit the cell of a table', (name, row) => {
    const meaning = MEANINGS[name as keyof typeof MEANINGS];
    for (const text of [row.rule, meaning]) expect(text).toMatch(/^[^\n|]{2,200}$/);
  });
});

describe('defaults', () => {
  it('are those of the contract, in all groups', () => {
    const { listen, metrics, target, issuers, ...others } = parseConfig({
      ...TEST_ENVIRONMENT,
      AUTH_JWKS_URL: undefined,
      SDK_KEYS: '{"keys":[]}',
      TRUSTED_PROXIES: 'none',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318',
    });
    expect(listen).toEqual({ host: '127.0.0.1', port: 8080, maxConnections: 2000 });
    expect(metrics).toEqual({ port: 9090, isDefault: true });
    expect(target.upstream).toEqual({
      endpoint: 'https://cce.example.test',
      projectId: undefined,
      connectTimeoutMs: 2000,
      attemptTimeoutMs: 5000,
      deadlineMs: 8000,
      maxConcurrent: 32,
    });
    expect(target.projectLookup).toBeUndefined();
    expect(target.cache).toEqual({
      ttlMs: 30_000,
      emptyTtlMs: 5000,
      staleWhileRevalidateMs: 300_000,
      staleIfErrorMs: 3_600_000,
      maxEntries: 1000,
      maxBytes: 67_108_864,
    });
    expect(issuers).toMatchObject([
      {
        algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
        requiredScopes: ['imagecaches:read'],
        scopeClaims: ['scope', 'scp'],
      },
    ]);
    expect(others).toEqual({
      tls: undefined,
      network: { httpsProxy: undefined, httpProxy: undefined, noProxy: [] },
      refreshScope: 'imagecaches:refresh',
      corsOrigins: [],
      sdkClients: {
        keys: [],
        file: undefined,
        requiredScope: 'imagecaches:read',
        publicHost: undefined,
        isReplayRefused: false,
      },
      limits: { requestsPerMinute: 600, failuresPerMinute: 60 },
      trustedProxies: [],
      sharedStore: undefined,
      console: undefined,
      isApiDocumented: true,
      logLevel: 'info',
      tracing: {
        url: 'http://collector:4318/v1/traces',
        protocol: 'http/protobuf',
        sampler: 'parentbased_always_on',
        sampledShare: 1,
      },
      shutdown: { delayMs: 5000, graceMs: 25_000 },
    });
  });

  it('come alone: what needs more is off until it is set', () => {
    const { limits, trustedProxies, tracing, sdkClients, target } = parseConfig(TEST_ENVIRONMENT);
    expect(limits.failuresPerMinute).toBe(0);
    expect([trustedProxies, tracing, sdkClients, target.name]).toEqual(Array(4).fill(undefined));
  });

  it('are told from the same value that was set, where that matters', () => {
    expect(parseConfig({ ...TEST_ENVIRONMENT, METRICS_PORT: '9090' }).metrics).toEqual({
      port: 9090,
      isDefault: false,
    });
  });
});
