import { Hono } from 'hono';
import type { ReadinessCheck } from '../composition/readiness.ts';
import { jsonAnswer } from '../http/answer.ts';
import type { AppEnv } from '../http/env.ts';
import type { Platform } from '../platform/platform.ts';
import document from './api/openapi.json' with { type: 'json' };

const NO_STORE = { 'cache-control': 'no-store' };

/**
 * `GET /livez`: 200 while the process can serve; a failure asks for a restart, so nothing from outside counts.
 * `GET /readyz`: 200 when the process may take traffic, else 503 with the names of the checks that fail.
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
      const failing = checks.filter((check) => !check.isReady());
      for (const { recover } of failing) if (recover !== undefined) waitUntil(recover());
      if (failing.length === 0) return jsonAnswer(200, { status: 'ready' }, NO_STORE);
      return jsonAnswer(503, { status: 'unready', failing: failing.map(({ name }) => name) }, NO_STORE);
    });
}
