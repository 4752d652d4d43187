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
 * the issuers without keys, by the claim `iss` that their tokens carry anyway, and no cause.
 */
export function health(
  checks: readonly ReadinessCheck[],
  { waitUntil }: Pick<Platform, 'waitUntil'>,
): Hono<AppEnv> {
  const { version } = document.info;
  return new Hono<AppEnv>()
    .get('/livez', (c) => {
      c.get('record').goodLevel = 'debug';
      return jsonAnswer(200, { status: 'ok', version }, NO_STORE);
    })
    .get('/readyz', (c) => {
      c.get('record').goodLevel = 'debug';
      const failing: string[] = [];
      const degraded: string[] = [];
      for (const { name, isReady, degraded: missing, recover } of checks) {
        const isFailing = !isReady();
        const without = (!isFailing && missing?.()) || [];
        if (isFailing) failing.push(name);
        degraded.push(...without);
        if (recover && (isFailing || without.length > 0)) waitUntil(recover());
      }
      const more = degraded.length > 0 ? { degraded } : {};
      if (failing.length === 0) return jsonAnswer(200, { status: 'ready', ...more }, NO_STORE);
      return jsonAnswer(503, { status: 'unready', failing, ...more }, NO_STORE);
    });
}
