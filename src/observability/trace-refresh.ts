import { UpstreamError } from '../vendor/upstream-error.ts';
import type { Tracer } from './tracing.ts';

/** Runs a refresh that no caller waits for. */
export type AroundRefresh = <Value>(refresh: () => Promise<Value>) => Promise<Value>;

/**
 * Puts a refresh that nobody waits for into a trace of its own, linked to the request that happened to start
 * it: it goes on after that request's answer, and would make the caller's trace seem to last as long.
 *
 * @param route the pattern of the resource's route
 */
export function traceRefresh(tracer: Tracer, route: string): AroundRefresh {
  const options = { name: `refresh ${route}`, kind: 'internal', beginsTrace: true } as const;
  return (refresh) =>
    tracer.inSpan(options, async (span) => {
      try {
        return await refresh();
      } catch (error) {
        span.fail(error instanceof UpstreamError ? error.reason : 'internal');
        throw error;
      }
    });
}
