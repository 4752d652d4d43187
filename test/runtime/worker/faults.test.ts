import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTokenIssuer, type TokenIssuer } from '../../../deploy/demo/token-issuer.ts';
import { FAULTS, PLANTED, REFUSED, TIMED_OUT } from '../../faults/fault-table.ts';
import { type Simulator, startSimulator } from '../../simulator/simulator.ts';
import { bundleWorker } from './bundle-worker.ts';
import { FAULT_DIFFERENCES } from './differences.ts';
import { type RunningWorkerd, startWorkerd } from './start-workerd.ts';

/** Shorter than the slow answers take, and still long for a good one, and for two attempts, on a machine that is busy. */
const SHORT_TIMEOUTS = {
  UPSTREAM_CONNECT_TIMEOUT_MS: '1000',
  UPSTREAM_ATTEMPT_TIMEOUT_MS: '1000',
  UPSTREAM_DEADLINE_MS: '30000',
};

/** The fault table of the service on Node, for the bundle in workerd: each fault meets an isolate that holds nothing. */
let bundle: Awaited<ReturnType<typeof bundleWorker>>;
let issuer: TokenIssuer;
let simulator: Simulator;
let worker: RunningWorkerd;

beforeAll(async () => {
  bundle = await bundleWorker();
  issuer = await startTokenIssuer();
});
beforeEach(async () => {
  simulator = await startSimulator();
});
afterEach(() => Promise.all([worker.stop(), simulator.stop()]));
afterAll(() => issuer.stop());

describe('a fault of upstream', () => {
  it.each(FAULTS)('%s', async (name, rule, onNode) => {
    const expected = FAULT_DIFFERENCES[name]?.expected ?? onNode;
    const isTimeout = onNode === TIMED_OUT;
    const bindings = {
      ...simulator.environment,
      AUTH_ISSUER: issuer.issuer,
      AUTH_AUDIENCE: 'imagecaches',
      // No other fault comes near the defaults.
      ...(isTimeout && SHORT_TIMEOUTS),
    };
    worker = await startWorkerd(bundle.script, bindings, bundle.compatibilityDate);
    const headers = { authorization: `Bearer ${await issuer.sign()}` };
    const get = (query = '') => fetch(`${worker.url}/imagecaches${query}`, { headers });
    if (isTimeout) {
      // A key that was never accepted has no second call while the first may still be answered.
      const earlier = await get('?name=earlier');
      await earlier.text();
      expect(earlier.status).toBe(200);
      simulator.forgetRequests();
    }
    simulator.script({ ...rule, times: 'always' });
    const response = await get();
    const text = await response.text();
    const { status, code, calls, retryAfter } = expected;
    expect([response.status, simulator.count('/v5/imagecaches')]).toEqual([status, calls]);
    if (status !== 200) {
      expect(JSON.parse(text)).toMatchObject({ code, status });
      expect(response.headers.get('content-type')).toBe('application/problem+json');
      expect(response.headers.get('retry-after')).toBe(retryAfter ?? null);
    }

    // Nothing that came of a fault is kept. Calls that were given up hold the key for 30 seconds.
    if (!isTimeout) {
      simulator.clearScript();
      const after = await get();
      await after.text();
      if (status === 200) expect(after.headers.get('cache-status')).toMatch(/; hit; ttl=\d+$/);
      else expect(after.status).toBe(retryAfter === '40' ? 503 : onNode === REFUSED ? 502 : 200);
    }

    expect(text + JSON.stringify([...response.headers]) + worker.output()).not.toContain(PLANTED);
    expect(worker.output()).not.toContain('"msg":"internal error"');
  });
});
