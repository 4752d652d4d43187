import { describe, expect, it } from 'vitest';
import type { RuleInput } from '../simulator/simulator.ts';
import { type FaultService, startFaultService } from './fault-harness.ts';
import { FAULTS, PLANTED, REFUSED, refuse, TIMED_OUT } from './fault-table.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

interface State {
  /** How old the list is when the fault begins; undefined: none is held. */
  readonly ageMs: number | undefined;
  readonly outcome: 'fault' | 'hit' | 'stale' | 'stale_error';
}

/** Fresh for 30 seconds, then 5 minutes, then an hour: the ends are added up. */
const STATES: Readonly<Record<string, State>> = {
  cold: { ageMs: undefined, outcome: 'fault' },
  fresh: { ageMs: 20 * SECOND, outcome: 'hit' },
  'stale while revalidate': { ageMs: 2 * MINUTE, outcome: 'stale' },
  'stale if error': { ageMs: 30 * MINUTE, outcome: 'stale_error' },
  past: { ageMs: 2 * HOUR, outcome: 'fault' },
};

async function meetFault(service: FaultService, rule: RuleInput, { ageMs }: State): Promise<Response> {
  const { simulator } = service;
  if (ageMs !== undefined) {
    expect((await service.get()).status).toBe(200);
    service.advance(ageMs);
    simulator.forgetRequests();
  }
  simulator.script({ ...rule, times: 'always' });
  const response = await service.get();
  await service.settled();
  return response;
}

describe.each(FAULTS)('%s', (_name, rule, expected) => {
  it.each(Object.entries(STATES))('%s', async (_state, state) => {
    const service = await startFaultService({ givesUp: expected === TIMED_OUT });
    try {
      const response = await meetFault(service, rule, state);
      const text = await response.text();
      const { outcome } = state;
      const isGood = outcome !== 'fault' || expected.status === 200;
      expect(response.status).toBe(isGood ? 200 : expected.status);
      const { calls, callsWhenKept = calls } = expected;
      const callsOfMiss = state.ageMs === undefined ? calls : callsWhenKept;
      expect(service.simulator.count('/v5/imagecaches')).toBe(outcome === 'hit' ? 0 : callsOfMiss);

      const cacheStatus = response.headers.get('cache-status');
      if (!isGood) {
        expect(JSON.parse(text)).toMatchObject({ code: expected.code, status: expected.status });
        expect(response.headers.get('content-type')).toBe('application/problem+json');
        expect(response.headers.get('cache-control')).toBe('no-store');
        expect(response.headers.get('retry-after')).toBe(expected.retryAfter ?? null);
        expect(cacheStatus).toBeNull();
      } else if (outcome === 'hit') {
        expect(cacheStatus).toMatch(/^imagecaches; hit; ttl=\d+$/);
      } else if (outcome === 'stale') {
        expect(cacheStatus).toMatch(/^imagecaches; hit; ttl=-\d+; detail=stale-while-revalidate$/);
        expect(response.headers.get('cache-control')).toBe('private, max-age=0');
      } else if (expected.status !== 200) {
        expect(cacheStatus).toMatch(/^imagecaches; fwd=stale; ttl=-\d+; detail=stale-if-error$/);
        expect(Number(response.headers.get('age'))).toBeGreaterThanOrEqual(1800);
      } else {
        expect(cacheStatus).toMatch(/^imagecaches; fwd=(?:miss|stale); stored$/);
      }

      // Nothing that came of a fault is kept: what is held now is what was held before.
      service.simulator.clearScript();
      service.simulator.forgetRequests();
      const before = isGood && outcome !== 'hit' && expected.status === 200;
      const after = await service.get();
      if (before) expect(after.headers.get('cache-status')).toMatch(/; hit; ttl=\d+$/);
      else if (outcome === 'fault' && expected.retryAfter === '40') expect(after.status).toBe(503);
      // A key that was never accepted has one call.
      else if (state === STATES.cold && expected === REFUSED) expect(after.status).toBe(502);
      else expect(after.status).toBe(200);

      expect(
        text + JSON.stringify([...response.headers]) + JSON.stringify(service.logger.lines),
      ).not.toContain(PLANTED);
      expect(
        service.logger.lines.filter(
          ({ level, message }) => level === 'error' && message === 'internal error',
        ),
      ).toEqual([]);
    } finally {
      await service.stop();
    }
  });
});

describe('a refused credential', () => {
  it('ends stale data after 60 seconds', async () => {
    const service = await startFaultService();
    try {
      await service.get();
      service.advance(2 * MINUTE);
      service.simulator.script({ ...refuse('unknown-key'), times: 'always' });
      expect((await service.get()).status).toBe(200);
      await service.settled();
      service.advance(59 * SECOND);
      expect((await service.get()).status).toBe(200);
      await service.settled();
      service.advance(SECOND);
      const response = await service.get();
      expect(response.status).toBe(502);
      expect(await response.json()).toMatchObject({ code: 'upstream_rejected' });
      // The two refusals, and nothing after them.
      expect(service.simulator.count('/v5/imagecaches')).toBe(1 + 2);
    } finally {
      await service.stop();
    }
  });
});

describe('a clock that is off', () => {
  it('is corrected by what the gateway says, and the caller does not notice', async () => {
    const service = await startFaultService();
    try {
      service.simulator.setClockSkewMs(2 * HOUR);
      expect((await service.get()).status).toBe(200);
      expect(service.simulator.requests.map(({ authentication }) => authentication)).toHaveLength(2);
      expect(service.simulator.requests.at(-1)?.authentication).toBe('accepted');
    } finally {
      await service.stop();
    }
  });
});

describe('a connection that the gateway has just closed', () => {
  it('costs the caller nothing', async () => {
    const service = await startFaultService();
    try {
      expect((await service.get()).status).toBe(200);
      service.advance(2 * HOUR);
      service.simulator.script({ match: { reusedSocket: true }, answer: { kind: 'reset' } });
      expect((await service.get()).status).toBe(200);
      expect(service.simulator.count('/v5/imagecaches')).toBe(3);
    } finally {
      await service.stop();
    }
  });
});

describe('a name that does not resolve', () => {
  it('is a failure like any other', async () => {
    const cause = Object.assign(new Error(PLANTED), { code: 'ENOTFOUND' });
    const service = await startFaultService(
      {},
      {
        fetch: () => Promise.reject(new TypeError('fetch failed', { cause })),
      },
    );
    try {
      const response = await service.get();
      expect(response.status).toBe(502);
      expect(JSON.stringify(service.logger.lines)).toContain('ENOTFOUND');
      expect((await response.text()) + JSON.stringify(service.logger.lines)).not.toContain(PLANTED);
    } finally {
      await service.stop();
    }
  });
});
