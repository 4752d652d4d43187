import { expect, it } from 'vitest';
import { randomNumbers } from '../simulator/random-numbers.ts';
import { createTestService, vendorEntry, vendorList } from '../support/test-service.ts';
import { simulateReplica } from './simulate-replica.ts';

const TTL_SECONDS = 1;
const REQUESTS_PER_SECOND = 100;
const UPSTREAM_MS = 40;
const SECONDS = 40;
const NAMES = 20;
const LIST_SHARE = 0.2;
/** Share of the calls that the simulation may be off, either way: both are random. */
const TOLERANCE = 0.25;

/**
 * All of the service between the socket of its caller and that of upstream. Requests, calls and its own timers run by a clock
 * that only this test moves, so the machine has no part in what is measured.
 */
it('the service makes the calls that the simulation says', async () => {
  const random = randomNumbers(13);
  const service = await createTestService(
    { CACHE_TTL_SECONDS: String(TTL_SECONDS), RATE_LIMIT_PER_MINUTE: '0' },
    { random: randomNumbers(12) },
  );
  const { clock } = service;
  service.upstream = () =>
    new Promise((resolve) => {
      clock.schedule(() => resolve(vendorList(vendorEntry('web-base'))), UPSTREAM_MS);
    });
  const headers = { authorization: `Bearer ${await service.token()}` };
  const answers: Promise<Response>[] = [];

  /** Requests come as a Poisson process. */
  async function runUntil(endMs: number): Promise<void> {
    for (;;) {
      const gapMs = (-Math.log(1 - random()) * 1000) / REQUESTS_PER_SECOND;
      await clock.advance(Math.min(gapMs, endMs - clock.now()));
      if (clock.now() >= endMs) return;
      const isForList = random() < LIST_SHARE;
      const path = isForList ? '/imagecaches' : `/imagecaches?name=made-up-${Math.floor(random() * NAMES)}`;
      answers.push(service.get(path, { headers }));
    }
  }

  // A life to warm up, as in the simulation.
  const begunMs = clock.now();
  await runUntil(begunMs + TTL_SECONDS * 1000);
  const [callsBefore, requestsBefore] = [service.calls.length, answers.length];
  await runUntil(begunMs + (TTL_SECONDS + SECONDS) * 1000);
  const calls = service.calls.length - callsBefore;
  const requests = answers.length - requestsBefore;
  await clock.advance(UPSTREAM_MS);
  const statuses = new Set((await Promise.all(answers)).map(({ status }) => status));
  expect(statuses).toEqual(new Set([200]));

  const simulated = await simulateReplica({
    requestsPerSecond: requests / SECONDS,
    names: NAMES,
    listShare: LIST_SHARE,
    ttlMs: TTL_SECONDS * 1000,
    upstreamMs: UPSTREAM_MS,
    durationMs: 200_000,
    seed: 11,
  });
  const measuredPerMinute = (calls * 60) / SECONDS;
  expect(measuredPerMinute / simulated.upstreamCallsPerMinute).toBeGreaterThan(1 - TOLERANCE);
  expect(measuredPerMinute / simulated.upstreamCallsPerMinute).toBeLessThan(1 + TOLERANCE);
});
