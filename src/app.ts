import { Hono } from 'hono';
import { createAuthenticator } from './auth/authenticate.ts';
import { createResponseCache } from './cache/response-cache.ts';
import type { Config } from './config.ts';
import type { Dependencies } from './deps.ts';
import { describeError } from './describe-error.ts';
import { ProblemError } from './problem.ts';
import { type Lifecycle, livez, type ReadinessCheck, readyz } from './routes/health.ts';
import { imageCachesHandler, imageCachesLoader } from './routes/imagecaches.ts';
import { scoped } from './routes/request-scope.ts';
import { traced, tracedRefresh } from './routes/traced.ts';
import { createUpstreamClient } from './upstream/client.ts';
import { UpstreamError } from './upstream/upstream-error.ts';

export interface App {
  /** Answers a request. Never rejects: every error has become a problem. */
  readonly fetch: Hono['fetch'];
  /** The same for a path and RequestInit, for tests. */
  readonly request: Hono['request'];
  /** Gets what the first request would wait for. Never rejects. */
  readonly warm: () => Promise<void>;
}

/**
 * The service as one Hono app, the same on every runtime.
 *
 * @param config made by parseConfig
 * @param deps all that it needs from outside
 * @param lifecycle asked at each readiness probe
 */
export function createApp(config: Config, deps: Dependencies, lifecycle: () => Lifecycle): App {
  const authenticator = createAuthenticator(config, deps);
  const upstream = createUpstreamClient(config.upstream, deps);
  const cache = createResponseCache(
    {
      ...config.cache,
      load: imageCachesLoader(upstream, deps),
      isRefusal: (error) => error instanceof UpstreamError && error.kind === 'upstream_rejected',
      // The client has logged each fault of upstream; what is left is a fault of ours.
      reportFailure: (error) => {
        if (!(error instanceof UpstreamError))
          deps.logger.error({ error: describeError(error) }, 'a refresh failed');
      },
      ...(deps.tracer && { aroundRefresh: tracedRefresh(deps.tracer, '/imagecaches') }),
    },
    deps,
  );
  deps.metrics.observeCache(() => cache);

  const checks: ReadinessCheck[] = [
    { name: 'lifecycle', isReady: () => lifecycle() === 'serving' },
    { name: 'keys', isReady: authenticator.keysUsable, recover: authenticator.warm },
    {
      name: 'credentials',
      isReady: deps.credentialProvider.usable,
      recover: deps.credentialProvider.warm,
    },
  ];

  const app = new Hono();
  const routes = {
    '/imagecaches': traced(
      deps.tracer,
      '/imagecaches',
      scoped('/imagecaches', deps, imageCachesHandler({ authenticator, cache }, config, deps)),
    ),
    // Probes are not traced: there are many, and each says little.
    '/livez': scoped('/livez', deps, livez(), 'debug'),
    '/readyz': scoped('/readyz', deps, readyz(checks, deps.waitUntil), 'debug'),
  };
  // Hono answers HEAD from the GET handler. Each path has one handler only: with two that match, Hono chains
  // them, and every answer becomes a promise.
  for (const [path, handler] of Object.entries(routes)) app.get(path, handler);
  app.notFound(
    traced(
      deps.tracer,
      undefined,
      scoped('unmatched', deps, (c) => {
        if (Object.hasOwn(routes, c.req.path)) refuseMethod();
        throw new ProblemError('not_found', { detail: 'there is nothing at this path' });
      }),
    ),
  );
  const warm = async () => {
    await Promise.all([authenticator.warm(), warmCredentials(deps)]);
  };
  return { fetch: app.fetch, request: app.request, warm };
}

/** Gets the credential and, where it is looked up, the project id. A failure is in the log already. */
async function warmCredentials({ credentialProvider, resolveProjectId }: Dependencies): Promise<void> {
  await credentialProvider.warm();
  if (resolveProjectId === undefined || !credentialProvider.usable()) return;
  try {
    await resolveProjectId(await credentialProvider.get());
  } catch {
    // The first request tries again.
  }
}

/** RFC 9110, section 15.5.6: a 405 says what is allowed. */
function refuseMethod(): never {
  throw new ProblemError('method_not_allowed', {
    detail: 'only GET and HEAD are allowed here',
    headers: { allow: 'GET, HEAD' },
  });
}
