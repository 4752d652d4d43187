import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEFAULT_PER_CORE, DEFAULT_SEED } from './defaults.ts';
import { createFleetSimulation } from './fleet.ts';
import { type ReplicaWorkload, simulateReplica } from './simulate-replica.ts';
import { placeTable, simulateTable, toMarkdown } from './table.ts';

const WORKLOAD: ReplicaWorkload = {
  requestsPerSecond: 50,
  names: 100,
  listShare: 0.1,
  ttlMs: 30_000,
  upstreamMs: 200,
  durationMs: 600_000,
  seed: 7,
};

const workload = fc.record({
  requestsPerSecond: fc.double({ min: 0.05, max: 300, noNaN: true }),
  names: fc.integer({ min: 1, max: 500 }),
  listShare: fc.double({ min: 0, max: 1, noNaN: true }),
  ttlMs: fc.integer({ min: 5000, max: 60_000 }),
  upstreamMs: fc.integer({ min: 1, max: 1000 }),
  durationMs: fc.constant(240_000),
  seed: fc.integer({ min: 0, max: 1_000_000 }),
});

/** Names in a life, and the list; an empty answer and a list of few lives add some at the edges. */
const CALLS_IN_A_LIFE = 17;

describe('a simulated replica', () => {
  it('is the same for the same seed, and another for another', async () => {
    const one = await simulateReplica({ ...WORKLOAD, requestsPerSecond: 1 });
    expect(await simulateReplica({ ...WORKLOAD, requestsPerSecond: 1 })).toEqual(one);
    expect(await simulateReplica({ ...WORKLOAD, requestsPerSecond: 1, seed: 8 })).not.toEqual(one);
  });

  it('makes one call in each life when its list is asked for all the time', async () => {
    const { upstreamCalls, requests } = await simulateReplica(WORKLOAD);
    const lives = WORKLOAD.durationMs / WORKLOAD.ttlMs;
    expect(upstreamCalls).toBeGreaterThanOrEqual(lives - 1);
    // Lives are shortened by up to a tenth, and refreshed shortly before their end.
    expect(upstreamCalls).toBeLessThanOrEqual(lives * 1.15 + 1);
    // Requests that are only counted are as many as would have come.
    expect(requests / (WORKLOAD.requestsPerSecond * 600)).toBeCloseTo(1, 1);
  });

  it('never makes more calls than the bound, nor waits for more requests than there are', async () => {
    await fc.assert(
      fc.asyncProperty(workload, async (values) => {
        const { upstreamCalls, requests, waited, cacheBytes } = await simulateReplica(values);
        const lives = values.durationMs / (values.ttlMs * 0.9) + 1;
        expect(upstreamCalls).toBeLessThanOrEqual(CALLS_IN_A_LIFE * lives);
        expect(waited).toBeLessThanOrEqual(requests);
        expect(cacheBytes).toBeLessThan(67_108_864);
      }),
      { numRuns: 30 },
    );
  });

  it('gains nothing from requests that are simulated and not counted', async () => {
    // The cap is at 2000 a second: just below and far above it the calls are the same.
    const below = await simulateReplica({ ...WORKLOAD, requestsPerSecond: 1999 });
    const above = await simulateReplica({ ...WORKLOAD, requestsPerSecond: 100_000 });
    expect(above.upstreamCalls / below.upstreamCalls).toBeCloseTo(1, 0);
  });
});

describe('a simulated fleet', () => {
  it('makes more calls with more replicas, fewer with a longer life, and those of one with Redis', async () => {
    const simulate = createFleetSimulation();
    const base = { requestsPerSecond: 200, names: 50, seed: 3 };
    const calls = async (replicas: number, ttlSeconds: number) =>
      (await simulate({ ...base, replicas, ttlSeconds })).upstreamCallsPerMinute;
    const byReplicas = [await calls(1, 30), await calls(5, 30), await calls(50, 30), await calls(200, 30)];
    expect(byReplicas).toEqual([...byReplicas].sort((a, b) => a - b));
    const byLife = [await calls(5, 10), await calls(5, 30), await calls(5, 120)];
    expect(byLife).toEqual([...byLife].sort((a, b) => b - a));
    const { sharedUpstreamCallsPerMinute } = await simulate({ ...base, replicas: 50, ttlSeconds: 30 });
    expect(sharedUpstreamCallsPerMinute).toBe(byReplicas[0]);
  });
});

describe('the sizing page', () => {
  it('has the table that the simulation prints', async () => {
    const page = await readFile(new URL('../../docs/sizing.md', import.meta.url), 'utf8');
    const rows = await simulateTable({ perCore: DEFAULT_PER_CORE, seed: DEFAULT_SEED });
    expect(placeTable(page, toMarkdown(rows))).toBe(page);
  }, 120_000);
});
