import { Hono } from 'hono';
import type { ReadinessCheck } from '../composition/readiness.ts';
import { jsonAnswer } from '../http/answer.ts';
import type { AppEnv } from '../http/env.ts';
import type { Platform } from '../platform/platform.ts';
import document from './api/openapi.json' with { type: 'json' };

const NO_STORE = { 'cache-control': 'no-store' };

/**
 * `GET /livez`: 200 while the process can serve; a failure asks for a restart, so nothing from outside counts.
 * `GET /readyz`: 200 when the process may take traffic, else 503 with the names of the checks that fail. `degraded` names
 * the issuers without keys, by the claim `iss` that their tokens carry anyway, and no cause. Where nothing runs before the
 * first request, it loads what fails before it answers, behind the same pauses.
 */
export function health(
  checks: readonly ReadinessCheck[],
  { waitUntil, isStartedByRequests }: Pick<Platform, 'waitUntil' | 'isStartedByRequests'>,
): Hono<AppEnv> {
  const { version } = document.info;
  return new Hono<AppEnv>()
    .get('/livez', (c) => {
      c.get('record').goodLevel = 'debug';
      return jsonAnswer(200, { status: 'ok', version }, NO_STORE);
    })
    .get('/readyz', async (c) => {
      c.get('record').goodLevel = 'debug';
      let state = look(checks);
      const recovered = Promise.all(state.recoveries.map((recover) => recover()));
      waitUntil(recovered);
      if (isStartedByRequests && state.failing.length > 0) {
        await recovered;
        state = look(checks);
      }
      const { failing, degraded } = state;
      const more = degraded.length > 0 ? { degraded } : {};
      if (failing.length === 0) return jsonAnswer(200, { status: 'ready', ...more }, NO_STORE);
      return jsonAnswer(503, { status: 'unready', failing, ...more }, NO_STORE);
    });
}

function look(checks: readonly ReadinessCheck[]) {
  const failing: string[] = [];
  const degraded: string[] = [];
  const recoveries: (() => Promise<void>)[] = [];
  for (const { name, isReady, degraded: missing, recover } of checks) {
    const isFailing = !isReady();
    const without = (!isFailing && missing?.()) || [];
    if (isFailing) failing.push(name);
    degraded.push(...without);
    if (recover && (isFailing || without.length > 0)) recoveries.push(recover);
  }
  return { failing, degraded, recoveries };
}
