import type { ScopedHandler } from '../http/request-scope.ts';
import type { Answer } from '../http/route.ts';
import { SECURITY_HEADERS } from '../http/security-headers.ts';
import document from './api/openapi.json' with { type: 'json' };

/** Where the process is in its life. Only a serving process takes traffic; all three can answer. */
export type Lifecycle = 'starting' | 'serving' | 'draining';

/** A named condition of readiness, asked at each probe. It must not call upstream: probes are frequent. */
export interface ReadinessCheck {
  readonly name: string;
  readonly isReady: () => boolean;
  /** Tries to make it ready, in the background, behind a pause of its own. Never rejects. */
  readonly recover?: () => Promise<void>;
}

const HEADERS = { 'content-type': 'application/json', 'cache-control': 'no-store', ...SECURITY_HEADERS };

/** 200 while the process can serve: a failure here asks to be restarted, so nothing from outside counts. */
export function livez(): ScopedHandler {
  const { version } = document.info;
  return (_request, { requestId }) => healthAnswer(200, { status: 'ok', version }, requestId);
}

/** 200 when the process may take traffic, else 503 with the names of the checks that fail. */
export function readyz(
  checks: readonly ReadinessCheck[],
  waitUntil: (promise: Promise<unknown>) => void,
): ScopedHandler {
  return (_request, { requestId }) => {
    const failing = checks.filter((check) => !check.isReady());
    for (const check of failing) if (check.recover !== undefined) waitUntil(check.recover());
    if (failing.length === 0) return healthAnswer(200, { status: 'ready' }, requestId);
    return healthAnswer(503, { status: 'unready', failing: failing.map(({ name }) => name) }, requestId);
  };
}

function healthAnswer(status: number, body: object, requestId: string): Answer {
  return { status, body: JSON.stringify(body), headers: HEADERS, requestId };
}
